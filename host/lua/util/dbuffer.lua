--- A buffer of strings: written at the end, read from the front, joined only where it must be.

local queue <const> = require "util.queue"

local dbuffer <const> = {}

local methods <const> = {}
local mt <const> = { __name = "dbuffer", __index = methods }

--- @return true; nil if it would be longer than max_size
function methods:write(data)
	if self.max_size and #data + self._length > self.max_size then
		return nil
	end
	if not self.items:push(data) then
		self:collapse()
		if not self.items:push(data) then
			return nil
		end
	end
	self._length = self._length + #data
	return true
end

--- At most `size` bytes of the first string (all of it if nil).
-- @return text and its length; nil if empty
function methods:read_chunk(size)
	local chunk <const>, from <const> = self.items:peek(), self.front_consumed
	if not chunk then
		return nil
	end
	local left <const> = #chunk - from
	if not size or size >= left then
		self.items:pop()
		self.front_consumed = 0
		self._length = self._length - left
		return chunk:sub(from + 1), left
	end
	self.front_consumed = from + size
	self._length = self._length - size
	return chunk:sub(from + 1, from + size), size
end

--- Exactly `size` bytes, or nil if there are not as many; without size the first string.
function methods:read(size)
	if not size then
		return (self:read_chunk())
	elseif size > self._length or self._length == 0 then
		return nil
	end
	local parts <const> = {}
	repeat
		local part, n = self:read_chunk(size)
		parts[#parts + 1] = part
		size = size - n
	until size == 0
	return table.concat(parts)
end

--- Everything up to the end of `text`; nil if it is not there within one of the written strings.
function methods:read_until(text)
	local before = 0
	for i, chunk in self.items:items() do
		local from <const> = i == 1 and self.front_consumed or 0
		local _, last = chunk:find(text, from + 1, true)
		if last then
			return self:read(before + last - from)
		end
		before = before + #chunk - from
	end
	return nil
end

--- Drops `size` bytes (default: one string), or all if there are not as many; true.
function methods:discard(size)
	repeat
		local _, n = self:read_chunk(size)
		size = size and n and size - n or 0
	until size <= 0 or self._length == 0
	return true
end

-- Positions within the first string, made long enough; nil for nothing.
local function range(self, i, j)
	j = j or -1
	if j < 0 then
		j = self._length + j + 1
	end
	if i < 0 then
		i = self._length + i + 1
	end
	i, j = math.max(i, 1), math.min(j, self._length)
	if i > j then
		return nil
	end
	self:collapse(j)
	return i + self.front_consumed, j + self.front_consumed
end

--- As string.sub.
function methods:sub(i, j)
	i, j = range(self, i, j)
	return i and self.items:peek():sub(i, j) or ""
end

--- As string.byte.
function methods:byte(i, j)
	i = i or 1
	i, j = range(self, i, j or i)
	if i then
		return self.items:peek():byte(i, j)
	end
end

function methods:length()
	return self._length
end
methods.len, mt.__len = methods.length, methods.length

--- Joins the first `bytes` bytes (default: all) into one string.
function methods:collapse(bytes)
	bytes = bytes or self._length
	local front <const> = self.items:peek()
	if not front or #front - self.front_consumed >= bytes then
		return
	end
	local parts <const> = { front:sub(self.front_consumed + 1) }
	local have = #parts[1]
	while have < bytes do
		self.items:pop()
		local part = self.items:peek()
		parts[#parts + 1] = part
		have = have + #part
	end
	self.items:replace(table.concat(parts))
	self.front_consumed = 0
end

--- @param max_size most bytes, or nil
-- @param max_chunks strings kept apart (32)
-- @return buffer; nil if max_size is not positive
function dbuffer.new(max_size, max_chunks)
	if max_size and max_size <= 0 then
		return nil
	end
	return setmetatable({ front_consumed = 0, _length = 0, max_size = max_size,
		items = queue.new(max_chunks or 32) }, mt)
end

return dbuffer
