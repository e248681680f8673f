-- Arrays with methods; API of Prosody's util.array. `array.f(a, …)` leaves `a` alone and returns a
-- new array, `a:f(…)` changes `a` and returns it, for map, filter, slice, sort, unique, pluck,
-- reverse.

local random <const> = math.random

local array, base, methods = {}, {}, {}
local mt <const> = { __name = "array", __index = methods }

--- @param t nil, a table (becomes the array), or an iterator with its state and control variable
function array.new(t)
	return setmetatable(t or {}, mt)
end

--- A new array of the first values of an iterator.
function array.collect(f, s, var)
	local result, n = {}, 0
	for value in f, s, var do
		n = n + 1
		result[n] = value
	end
	return setmetatable(result, mt)
end

setmetatable(array, { __call = function (_, t, s, var)
	if type(t) == "function" then return array.collect(t, s, var) end
	return array.new(t)
end })

function mt.__tostring(self)
	return "[" .. self:concat(", ") .. "]"
end

function mt.__freeze(self)
	return self
end

function mt.__add(a, b)
	return array.new():append(a):append(b)
end

function mt.__eq(a, b)
	if getmetatable(a) ~= mt or getmetatable(b) ~= mt or #a ~= #b then return false end
	for i = 1, #a do
		if a[i] ~= b[i] then return false end
	end
	return true
end

-- array / f maps and leaves out nil.
function mt.__div(a, f)
	local result, n = array.new(), 0
	for i = 1, #a do
		local value = f(a[i])
		if value ~= nil then
			n = n + 1
			result[n] = value
		end
	end
	return result
end

local function truncate(a, length)
	for i = #a, length + 1, -1 do a[i] = nil end
	return a
end

function base.map(out, a, f)
	for i, value in ipairs(a) do out[i] = f(value) end
	return out
end

function base.filter(out, a, keep)
	local n = 0
	for i = 1, #a do
		local value = a[i]
		if keep(value) then
			n = n + 1
			out[n] = value
		end
	end
	return truncate(out, n)
end

--- Items i to j (default: the end); negative positions count from the end.
function base.slice(out, a, i, j)
	local length = #a
	if j == nil then j = length elseif j < 0 then j = length + 1 + j end
	if i < 0 then i = length + 1 + i end
	i, j = math.max(i, 1), math.min(j, length)
	table.move(a, i, j, 1, out)
	return truncate(out, math.max(j - i + 1, 0))
end

function base.sort(out, a, ...)
	if out ~= a then out:append(a) end
	table.sort(out, ...)
	return out
end

function base.unique(out, a)
	local seen = {}
	return base.filter(out, a, function (value)
		if seen[value] then return false end
		seen[value] = true
		return true
	end)
end

function base.pluck(out, a, key, default)
	for i = 1, #a do
		local value = a[i][key]
		if value == nil then value = default end
		out[i] = value
	end
	return out
end

function base.reverse(out, a)
	local i, j = 1, #a
	while i <= j do
		out[i], out[j] = a[j], a[i]
		i, j = i + 1, j - 1
	end
	return out
end

for name, f in pairs(base) do
	array[name] = function (a, ...) return f(array.new(), a, ...) end
	methods[name] = function (self, ...) return f(self, self, ...) end
end

function methods:random()
	return self[random(1, #self)]
end

--- A random item that is not the one at `index`.
function methods:random_other(index)
	local length = #self
	return self[(random(1, length - 1) + index - 1) % length + 1]
end

function methods:shuffle()
	local length = #self
	for i = 1, length do
		local j = random(i, length)
		self[i], self[j] = self[j], self[i]
	end
	return self
end

function methods:append(other)
	table.move(other, 1, #other, #self + 1, self)
	return self
end

function methods:push(value)
	self[#self + 1] = value
	return self
end

methods.pop = table.remove

function methods:concat(sep)
	return table.concat(array.map(self, tostring), sep)
end

function methods:length()
	return #self
end

return array
