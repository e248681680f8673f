-- Sets with operators; API of Prosody's util.set.

local getmetatable <const>, setmetatable <const> = getmetatable, setmetatable
local ipairs <const>, next <const>, pairs <const>, tostring <const> = ipairs, next, pairs, tostring
local concat <const> = table.concat

-- Both a set and its `_items` can stand in a for loop: `for item in set do`.
local mt = { __name = "set", __call = function (set, _, item) return next(set._items, item) end }
local items_mt <const> = { __call = function (items, _, item) return next(items, item) end }

local function is_set(o)
	return getmetatable(o) == mt
end

--- @param list nil, or an array of the first items
-- @return set: add, remove, contains (true or nil), contains_set, items(), add_list, include(set),
--   exclude(set), empty(); a + b union, a - b difference, set / f map (nil drops), a == b, tostring
local function new(list)
	local items = setmetatable({}, items_mt)
	local set = { _items = items }
	-- luacheck: push ignore 212/self
	function set:add(item) items[item] = true end
	function set:remove(item) items[item] = nil end
	function set:contains(item) return items[item] end
	function set:items() return next, items end
	function set:empty() return next(items) == nil end

	function set:contains_set(other)
		for item in pairs(other._items) do
			if not items[item] then return false end
		end
		return true
	end

	function set:add_list(more)
		for _, item in ipairs(more or {}) do items[item] = true end
	end

	function set:include(other)
		for item in pairs(other._items) do items[item] = true end
	end

	function set:exclude(other)
		for item in pairs(other._items) do items[item] = nil end
	end
	-- luacheck: pop
	set:add_list(list)
	return setmetatable(set, mt)
end

local function union(a, b)
	local set = new()
	set:include(a)
	set:include(b)
	return set
end

local function difference(a, b)
	local set = new()
	for item in pairs(a._items) do
		if not b._items[item] then set:add(item) end
	end
	return set
end

local function intersection(a, b)
	local set = new()
	for item in pairs(a._items) do
		if b._items[item] then set:add(item) end
	end
	return set
end

--- Items that stand in exactly one of both.
local function xor(a, b)
	return union(difference(a, b), difference(b, a))
end

mt.__add, mt.__sub = union, difference

function mt.__div(set, f)
	local result = new()
	for item in pairs(set._items) do
		local mapped = f(item)
		if mapped ~= nil then result:add(mapped) end
	end
	return result
end

function mt.__eq(a, b)
	return is_set(a) and is_set(b) and a:contains_set(b) and b:contains_set(a)
end

function mt.__tostring(set)
	local texts = {}
	for item in pairs(set._items) do texts[#texts + 1] = tostring(item) end
	return "{" .. concat(texts, ", ") .. "}"
end

-- For util.serialization: a set is written as the list of its items.
function mt:__freeze()
	local list = {}
	for item in pairs(self._items) do list[#list + 1] = item end
	return list
end

return {
	new = new, is_set = is_set,
	union = union, difference = difference, intersection = intersection, xor = xor,
}
