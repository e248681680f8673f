-- Tables of tables; API of Prosody's util.multitable. In remove, search and iter a nil key stands
-- for every key of its level.

local insert <const>, unpack <const> = table.insert, table.unpack

local function get(self, ...)
	local t = self.data
	for i = 1, select("#", ...) do
		t = t[(select(i, ...))]
		if not t then break end
	end
	return t
end

-- The table that the first `depth` keys lead to; made where it is missing.
local function descend(t, depth, ...)
	for i = 1, depth do
		local key = select(i, ...)
		if not t[key] then t[key] = {} end
		t = t[key]
	end
	return t
end

local function add(self, ...)
	local count = select("#", ...)
	insert(descend(self.data, count - 1, ...), (select(count, ...)))
end

local function set(self, ...)
	local count = select("#", ...)
	descend(self.data, count - 2, ...)[(select(count - 1, ...))] = (select(count, ...))
end

local function remove_below(t, depth, last, ...)
	local key = select(depth, ...)
	if depth == last then
		if key ~= nil then
			t[key] = nil
		else
			for k in pairs(t) do t[k] = nil end
		end
	elseif key ~= nil then
		local below = t[key]
		if below then
			remove_below(below, depth + 1, last, ...)
			if next(below) == nil then t[key] = nil end
		end
	else
		for k, below in pairs(t) do
			remove_below(below, depth + 1, last, ...)
			if next(below) == nil then t[k] = nil end
		end
	end
end

local function remove(self, ...)
	local last = select("#", ...)
	if last > 0 then remove_below(self.data, 1, last, ...) end
end

local function search_below(t, depth, last, results, ...)
	local key = select(depth, ...)
	for k, value in next, t do
		if key == nil or k == key then
			if depth == last then
				insert(results, value)
			elseif type(value) == "table" then
				search_below(value, depth + 1, last, results, ...)
			end
		end
	end
end

local function search_add(self, results, ...)
	results = results or {}
	local last = select("#", ...)
	if last > 0 then search_below(self.data, 1, last, results, ...) end
	return results
end

local function search(self, ...)
	return search_add(self, nil, ...)
end

--- Iterates key1, …, keyN, value over everything that matches the N keys.
local function iter(self, ...)
	local query, depth_max = { ... }, select("#", ...)
	local stack, keys = { self.data }, {}
	return function ()
		while #stack > 0 do
			local depth = #stack
			local key, value = next(stack[depth], keys[depth])
			keys[depth] = key
			if key == nil then
				stack[depth] = nil
			elseif query[depth] == nil or query[depth] == key then
				if depth == depth_max then
					local result = { unpack(keys, 1, depth) }
					result[depth + 1] = value
					return unpack(result, 1, depth + 1)
				elseif type(value) == "table" then
					stack[depth + 1] = value
				end
			end
		end
	end, self
end

--- @return multitable: get(k1, …), set(k1, …, value), add(k1, …, value) appends to a list,
--   remove(k1, …), search(k1, …) -> list of values, search_add(list, k1, …), iter(k1, …);
--   field `data`
local function new()
	return {
		data = {}, get = get, add = add, set = set, remove = remove,
		search = search, search_add = search_add, iter = iter,
	}
end

return { new = new, iter = iter }
