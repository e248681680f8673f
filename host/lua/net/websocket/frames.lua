-- plain lua too
--- Frames of WebSocket (RFC 6455 5.2): texts to tables and back; names and fields are those of
-- Prosody's net.websocket.frames. A frame is a table: opcode, FIN, RSV1, RSV2, RSV3, MASK, key,
-- length, data.

local random_bytes <const> = require "util.random".bytes

local frames <const> = {}

--- Whether a text stands for a long payload in fewer bytes than it could; such lengths are refused
-- (RFC 6455 5.2: the minimal number of bytes must be used).
local function is_wasteful(length, extra)
	return extra == 2 and length < 126 or extra == 8 and length < 65536
end

-- @return the payload's length; nil if the sender is wrong
local function read_length(text, short, extra)
	if extra == 0 then
		return short
	end
	local length = string.unpack(extra == 2 and ">I2" or ">i8", text:sub(3, 2 + extra))
	if length < 0 or is_wasteful(length, extra) then
		return nil
	end
	return length
end

local function has(byte, bit)
	return byte & bit ~= 0
end

--- @param text string or util.dbuffer that begins with a frame
-- @return frame without data, and the bytes of the header; nil if more bytes are needed; nil, nil
-- and a reason if no frame begins so
function frames.parse_header(text)
	local first, second = text:byte(1, 2)
	if not second then
		return nil
	end
	local short, masked = second & 0x7f, has(second, 0x80)
	local extra = short == 126 and 2 or short == 127 and 8 or 0
	local size = 2 + extra + (masked and 4 or 0)
	if text:len() < size then
		return nil
	end
	local length = read_length(text, short, extra)
	if not length then
		return nil, nil, "invalid-length"
	end
	return {
		FIN = has(first, 0x80), RSV1 = has(first, 0x40), RSV2 = has(first, 0x20),
		RSV3 = has(first, 0x10), opcode = first & 0x0f, MASK = masked, length = length,
		key = masked and text:sub(3 + extra, 6 + extra) or nil,
	}, size
end

-- Eight bytes at a time: the key is repeated to fill them.
local function apply_mask(data, key)
	local size <const> = #data
	local wide <const> = string.unpack("<i8", key .. key)
	local out, n = {}, 0
	local pack <const>, unpack <const> = string.pack, string.unpack
	local at = 1
	while at + 31 <= size do
		local a, b, c, d = unpack("<i8i8i8i8", data, at)
		n = n + 1
		out[n] = pack("<i8i8i8i8", a ~ wide, b ~ wide, c ~ wide, d ~ wide)
		at = at + 32
	end
	for i = at, size do
		n = n + 1
		out[n] = string.char(data:byte(i) ~ key:byte((i - 1) % 4 + 1))
	end
	return table.concat(out)
end

--- The payload of a frame.
-- @param header of parse_header
-- @param position where the payload begins in text
function frames.parse_body(text, header, position)
	local data <const> = text:sub(position, position + header.length - 1)
	if header.MASK then
		return apply_mask(data, header.key)
	end
	return data
end

--- @return frame and its size in bytes; nil, nil and the header (nil, or a reason) if it is not
-- whole
function frames.parse(text)
	local frame, size, why = frames.parse_header(text)
	if not frame then
		return nil, nil, why
	elseif text:len() < size + frame.length then
		return nil, nil, frame
	end
	frame.data = frames.parse_body(text, frame, size + 1)
	return frame, size + frame.length
end

local function length_bytes(size)
	if size <= 125 then
		return size, ""
	elseif size <= 0xffff then
		return 126, string.pack(">I2", size)
	end
	return 127, string.pack(">I8", size)
end

local flags <const> = { FIN = 0x80, RSV1 = 0x40, RSV2 = 0x20, RSV3 = 0x10 }

--- @param frame table: opcode, data, FIN, RSV1, RSV2, RSV3, MASK (true: as clients must), key (four
-- bytes; default: random)
-- @return text
function frames.build(frame)
	local data <const> = frame.data or ""
	local first = frame.opcode
	assert(first and first >= 0 and first <= 15, "the opcode of a frame is 0 to 15")
	assert(first < 8 or #data <= 125, "a control frame has at most 125 bytes")
	for name, bit in pairs(flags) do
		first = frame[name] and first | bit or first
	end
	local short, extra = length_bytes(#data)
	if not frame.MASK then
		return string.char(first, short) .. extra .. data
	end
	local key <const> = frame.key or random_bytes(4)
	return string.char(first, short | 0x80) .. extra .. key .. apply_mask(data, key)
end

--- @param data payload of a close frame
-- @return code and reason, nil where there is none
function frames.parse_close(data)
	if #data < 2 then
		return nil
	end
	return (string.unpack(">I2", data)), #data > 2 and data:sub(3) or nil
end

--- @param code, message of RFC 6455 7.4; the message has at most 123 bytes
-- @param mask true: as clients must
function frames.build_close(code, message, mask)
	message = message or ""
	assert(#message <= 123, "the reason of a close frame has at most 123 bytes")
	return frames.build { opcode = 8, FIN = true, MASK = mask,
		data = string.pack(">I2", code) .. message }
end

return frames
