-- Functions over iterators (f, s, var); API of Prosody's util.iterators.

local pack <const>, unpack <const> = table.pack, table.unpack

local it = {}

-- Every tuple that the iterator gives, in order.
local function tuples(f, s, var)
	local list, n = {}, 0
	while true do
		local tuple = pack(f(s, var))
		var = tuple[1]
		if var == nil then return list, n end
		n = n + 1
		list[n] = tuple
	end
end

--- The last tuple first.
function it.reverse(f, s, var)
	local list, n = tuples(f, s, var)
	return function ()
		local tuple = list[n]
		if not tuple then return end
		n = n - 1
		return unpack(tuple, 1, tuple.n)
	end
end

local function next_key(t, key)
	return (next(t, key))
end

--- The keys of a table.
function it.keys(t)
	return next_key, t
end

--- The values of a table.
function it.values(t)
	local key, value
	return function (state)
		key, value = next(state, key)
		return value
	end, t
end

--- The n-th value of each tuple; ends at the first that is nil.
function it.select(n, f, s, var)
	return function (state)
		local tuple = pack(f(state, var))
		var = tuple[1]
		return tuple[n]
	end, s, var
end

--- Leaves out tuples whose first value has been seen.
function it.unique(f, s, var)
	local seen = {}
	return function ()
		while true do
			local tuple = pack(f(s, var))
			var = tuple[1]
			if var == nil then return end
			if not seen[var] then
				seen[var] = true
				return unpack(tuple, 1, tuple.n)
			end
		end
	end
end

--- How many tuples there are.
function it.count(f, s, var)
	local n = 0
	for _ in f, s, var do n = n + 1 end
	return n
end

--- The first n tuples.
function it.head(n, f, s, var)
	local given = 0
	return function (state, control)
		if given >= n then return nil end
		given = given + 1
		return f(state, control)
	end, s, var
end

--- All but the first n tuples.
function it.skip(n, f, s, var)
	for _ = 1, n do
		var = f(s, var)
		-- an iterator must not be asked again after its end
		if var == nil then return function () end end
	end
	return f, s, var
end

--- The last n tuples.
function it.tail(n, f, s, var)
	local ring, count = {}, 0
	while n > 0 do
		local tuple = pack(f(s, var))
		var = tuple[1]
		if var == nil then break end
		ring[count % n + 1] = tuple
		count = count + 1
	end
	local i = math.max(count - n, 0)
	return function ()
		if i >= count then return end
		local tuple = ring[i % n + 1]
		i = i + 1
		return unpack(tuple, 1, tuple.n)
	end
end

--- Tuples for which filter(...) is true; a filter that is no function leaves out that first value.
function it.filter(filter, f, s, var)
	local keep = filter
	if type(filter) ~= "function" then
		keep = function (value) return value ~= filter end
	end
	return function (state, control)
		while true do
			local tuple = pack(f(state, control))
			control = tuple[1]
			if control == nil then return end
			if keep(unpack(tuple, 1, tuple.n)) then return unpack(tuple, 1, tuple.n) end
		end
	end, s, var
end

local function previous(t, i)
	if i > 1 then return i - 1, t[i - 1] end
end

--- ipairs from the end.
function it.ripairs(t)
	return previous, t, #t + 1
end

local function count_up(max, i)
	if i < max then return i + 1 end
end

--- x to y, or 1 to x.
function it.range(x, y)
	if not y then x, y = 1, x end
	return count_up, y, x - 1
end

--- The first values as a list.
function it.to_array(f, s, var)
	local list, n = {}, 0
	for value in f, s, var do
		n = n + 1
		list[n] = value
	end
	return list
end

--- The first values as keys, the second as their values.
function it.to_table(f, s, var)
	local t = {}
	for key, value in f, s, var do t[key] = value end
	return t
end

--- pairs in the order of the keys, or of sort_func.
function it.sorted_pairs(t, sort_func)
	local keys = it.to_array(it.keys(t))
	table.sort(keys, sort_func)
	local i = 0
	return function ()
		i = i + 1
		local key = keys[i]
		if key ~= nil then return key, t[key] end
	end
end

-- The state of a joined iterator: { list of {f, s, var}, index of the one that runs }.
local function join_next(state, control)
	local list, index = state[1], state[2]
	while true do
		local part = list[index]
		if control == nil then control = part[3] end
		local tuple = pack(part[1](part[2], control))
		if tuple[1] ~= nil then return unpack(tuple, 1, tuple.n) end
		if index >= #list then return end
		index, control = index + 1, nil
		state[2] = index
	end
end

local join_methods <const> = {}
local join_mt <const> = {
	__index = join_methods,
	__call = function (_, state, control) return join_next(state, control) end,
}

function join_methods:append(f, s, var)
	self[#self + 1] = { f, s, var }
	return self, { self, 1 }
end

function join_methods:prepend(f, s, var)
	table.insert(self, 1, { f, s, var })
	return self, { self, 1 }
end

--- One iterator after another: it.join(pairs(a)):append(pairs(b)).
function it.join(f, s, var)
	local joined = setmetatable({ { f, s, var } }, join_mt)
	return joined, { joined, 1 }
end

return it
