-- Bytes as hexadecimal text; API of Prosody's util.hex.

local byte_of <const>, text_of <const> = {}, {}
for i = 0, 255 do
	local byte, text = string.char(i), ("%02x"):format(i)
	text_of[byte], byte_of[text] = text, byte
end

local function encode(s)
	return (s:gsub(".", text_of))
end

--- The other way round; what is not a pair of digits is skipped, as in Prosody.
local function decode(s)
	return (s:lower():gsub("%X*(%x%x)%X*", byte_of))
end

return { encode = encode, decode = decode, to = encode, from = decode }
