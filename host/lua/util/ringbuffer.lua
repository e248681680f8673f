--- A buffer of fixed size: Prosody's util.ringbuffer (C there).

local ringbuffer <const> = {}

local methods <const> = {}
local mt <const> = { __name = "ringbuffer_mt", __index = methods }

function mt:__tostring()
	return ("ringbuffer: %p %d/%d"):format(self, #self._text, self._size)
end

--- @return bytes written; nil if they do not fit
function methods:write(data)
	data = tostring(data)
	if #data > self:free() then
		return nil
	end
	self._text = self._text .. data
	return #data
end

--- @param size bytes @param peek true: they stay
-- @return them, or nil if there are not as many
function methods:read(size, peek)
	if size > #self._text then
		return nil
	end
	local data <const> = self._text:sub(1, size)
	if not peek then
		self._text = self._text:sub(size + 1)
	end
	return data
end

--- Drops bytes: true, or false if there are not as many.
function methods:discard(size)
	return self:read(size) ~= nil
end

--- @return position of the last byte of the first `text`, so that read() takes it too; or nil
function methods:find(text)
	local _, last = self._text:find(text, 1, true)
	return text ~= "" and last or nil
end

--- Everything up to the end of `text`, or nil.
function methods:readuntil(text)
	local last <const> = self:find(text)
	return last and self:read(last)
end

function methods:sub(i, j) return self._text:sub(i, j) end
function methods:byte(i, j) return self._text:byte(i or 1, j or i or 1) end
function methods:length() return #self._text end
function methods:size() return self._size end
function methods:free() return self._size - #self._text end
mt.__len = methods.length

--- @param size bytes it holds (default 4,096)
function ringbuffer.new(size)
	size = math.tointeger(size or 4096)
	if not size or size < 1 then
		error("bad argument #1 to 'new' (positive size expected)", 2)
	end
	return setmetatable({ _size = size, _text = "" }, mt)
end

return ringbuffer
