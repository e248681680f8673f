-- A map that holds at most `size` keys and forgets the least recently set one; API of Prosody's
-- util.cache. Entries form a doubly linked list, newest at the head.

local methods = {}
local mt <const> = { __name = "cache", __index = methods }

local function unlink(cache, entry)
	local before, after = entry.before, entry.after
	if before then before.after = after else cache._head = after end
	if after then after.before = before else cache._tail = before end
	cache._count = cache._count - 1
end

local function link(cache, entry)
	local head = cache._head
	entry.before, entry.after = nil, head
	if head then head.before = entry else cache._tail = entry end
	cache._head = entry
	cache._count = cache._count + 1
end

local function forget(cache, entry)
	unlink(cache, entry)
	cache._data[entry.key] = nil
end

-- Asks on_evict about the oldest entry; false: it has to stay.
local function may_evict(cache)
	local on_evict, oldest = cache._on_evict, cache._tail
	if not on_evict then return on_evict == nil end
	return on_evict(oldest.key, oldest.value, cache) ~= false
end

--- Sets or, with nil, removes. @return true; false when full and nothing may be evicted
function methods:set(key, value)
	local entry = self._data[key]
	if entry then
		if value == nil then
			forget(self, entry)
		else
			unlink(self, entry)
			link(self, entry)
			entry.value = value
		end
		return true
	end
	if value == nil then return true end
	if self._count >= self.size then
		if not may_evict(self) then return false end
		-- on_evict may have made room itself
		if self._count >= self.size then forget(self, self._tail) end
	end
	entry = { key = key, value = value }
	self._data[key] = entry
	link(self, entry)
	return true
end

--- @return the value, or nil; does not count as use
function methods:get(key)
	local entry = self._data[key]
	if entry then return entry.value end
	return nil
end

--- Iterates key, value from the newest to the oldest.
function methods:items()
	local entry = self._head
	return function ()
		local current = entry
		if not current then return end
		entry = current.after
		return current.key, current.value
	end
end

--- Iterates values from the newest to the oldest.
function methods:values()
	local entry = self._head
	return function ()
		local current = entry
		if not current then return end
		entry = current.after
		return current.value
	end
end

function methods:count()
	return self._count
end

--- @return key and value of the newest entry, or nil, nil
function methods:head()
	local entry = self._head
	if not entry then return nil, nil end
	return entry.key, entry.value
end

--- @return key and value of the oldest entry, or nil, nil
function methods:tail()
	local entry = self._tail
	if not entry then return nil, nil end
	return entry.key, entry.value
end

local function check_size(size)
	size = math.floor(assert(tonumber(size), "cache size must be a number"))
	assert(size > 0, "cache size must be greater than zero")
	return size
end

--- Changes the size; evicts what is too much. @return true; false when on_evict refuses
function methods:resize(size)
	size = check_size(size)
	while self._count > size do
		local oldest = self._tail
		if not may_evict(self) then return false end
		if self._tail == oldest then forget(self, oldest) end
	end
	self.size = size
	return true
end

--- @return a proxy that reads, writes, iterates and counts like a table; a write that does not fit
-- raises
function methods:table()
	local cache = self
	self.proxy_table = self.proxy_table or setmetatable({}, {
		__index = function (_, key) return cache:get(key) end,
		__newindex = function (_, key, value)
			if not cache:set(key, value) then
				error("failed to insert key into cache - full")
			end
		end,
		__pairs = function () return cache:items() end,
		__len = function () return cache:count() end,
	})
	return self.proxy_table
end

function methods:clear()
	self._data, self._count, self._head, self._tail = {}, 0, nil, nil
end

--- @param size most entries
-- @param on_evict nil: the oldest entry goes; false: a full cache refuses; or a function (key,
--   value, cache), which refuses by returning false
local function new(size, on_evict)
	return setmetatable({ _data = {}, _count = 0, size = check_size(size), _on_evict = on_evict }, mt)
end

return { new = new }
