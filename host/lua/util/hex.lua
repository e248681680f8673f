-- Bytes as hexadecimal text; API of Prosody's util.hex.

local gsub <const>, lower <const> = string.gsub, string.lower

local byte_of <const>, text_of <const> = {}, {}
for i = 0, 255 do
	local byte, text = string.char(i), ("%02x"):format(i)
	text_of[byte], byte_of[text] = text, byte
end

local function encode(s)
	return (gsub(s, ".", text_of))
end

--- The other way round; what is not a pair of digits is skipped, as in Prosody.
local function decode(s)
	return (gsub(lower(s), "%X*(%x%x)%X*", byte_of))
end

return { encode = encode, decode = decode, to = encode, from = decode }
