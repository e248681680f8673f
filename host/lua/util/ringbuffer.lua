--- A buffer of fixed size: Prosody's util.ringbuffer (C there).

local dbuffer <const> = require "util.dbuffer"

-- Strings that are kept apart. Writing to one long string would copy all of it each time: 12 us for
-- a log line into 100 KiB, a tenth of that so.
local most_strings <const> = 1024

local ringbuffer <const> = {}

local methods <const> = {}
local mt <const> = { __name = "ringbuffer_mt", __index = methods }

function mt:__tostring()
	return ("ringbuffer: %p %d/%d"):format(self, self:length(), self._size)
end

--- @return bytes written; nil if they do not fit
function methods:write(data)
	data = tostring(data)
	if data == "" then
		return 0
	end
	return self._bytes:write(data) and #data or nil
end

--- @param size bytes @param peek true: they stay
-- @return them, or nil if there are not as many
function methods:read(size, peek)
	if size < 0 or size > self:length() then
		return nil
	elseif size == 0 then
		return ""
	end
	return peek and self._bytes:sub(1, size) or self._bytes:read(size)
end

--- Drops bytes: true, or false if there are not as many.
function methods:discard(size)
	if size < 0 or size > self:length() then
		return false
	end
	return size == 0 or self._bytes:discard(size)
end

--- @return position of the last byte of the first `text`, so that read() takes it too; or nil
function methods:find(text)
	local _, last = self._bytes:sub(1):find(text, 1, true)
	return text ~= "" and last or nil
end

--- Everything up to the end of `text`, or nil.
function methods:readuntil(text)
	local last <const> = self:find(text)
	return last and self:read(last)
end

function methods:sub(i, j) return self._bytes:sub(i, j) end
function methods:byte(i, j) return self._bytes:byte(i, j) end
function methods:length() return self._bytes:length() end
function methods:size() return self._size end
function methods:free() return self._size - self:length() end
mt.__len = methods.length

--- @param size bytes it holds (default 4,096)
function ringbuffer.new(size)
	size = math.tointeger(size or 4096)
	if not size or size < 1 then
		error("bad argument #1 to 'new' (positive size expected)", 2)
	end
	return setmetatable({ _size = size, _bytes = dbuffer.new(size, most_strings) }, mt)
end

return ringbuffer
