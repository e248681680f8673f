-- plain lua too
local array <const> = require "util.array"
local multitable <const> = require "util.multitable"
local set <const> = require "util.set"

local function sorted(list)
	table.sort(list, function (a, b) return tostring(a) < tostring(b) end)
	return list
end

local function items(s)
	local list = {}
	for item in s do list[#list + 1] = item end
	return sorted(list)
end

describe("util.set", function ()
	local a, b

	before_each(function () a, b = set.new { 1, 2, 3 }, set.new { 2, 3, 4 } end)

	it("adds, removes and finds", function ()
		a:add(9)
		a:remove(1)
		assert.is_true(a:contains(9))
		assert.is_nil(a:contains(1))
		assert.is_false(a:empty())
		assert.is_true(set.new():empty())
	end)

	it("takes lists and other sets in and out", function ()
		a:add_list { 7, 8 }
		a:add_list(nil)
		a:include(b)
		a:exclude(set.new { 1, 7 })
		assert.same({ 2, 3, 4, 8 }, items(a))
	end)

	for name, case in pairs {
		["a + b"] = { function () return a + b end, { 1, 2, 3, 4 } },
		["a - b"] = { function () return a - b end, { 1 } },
		union = { function () return set.union(a, b) end, { 1, 2, 3, 4 } },
		difference = { function () return set.difference(b, a) end, { 4 } },
		intersection = { function () return set.intersection(a, b) end, { 2, 3 } },
		xor = { function () return set.xor(a, b) end, { 1, 4 } },
		["a / f"] = { function () return a / function (x) return x > 1 and x * 2 or nil end end,
			{ 4, 6 } },
	} do
		it("makes a new set by " .. name, function ()
			assert.same(case[2], items(case[1]()))
			assert.same({ 1, 2, 3 }, items(a))
			assert.same({ 2, 3, 4 }, items(b))
		end)
	end

	it("compares by contents", function ()
		assert.is_true(a == set.new { 3, 2, 1 })
		assert.is_false(a == b)
		assert.is_false(a == {})
		assert.is_true(a:contains_set(set.new { 1 }))
		assert.is_true(a:contains_set(set.new()))
		assert.is_false(a:contains_set(b))
	end)

	it("is told from tables, written and iterated", function ()
		assert.is_true(set.is_set(a))
		assert.is_false(set.is_set {})
		assert.equal("{x}", tostring(set.new { "x" }))
		local seen = {}
		for item in a:items() do seen[#seen + 1] = item end
		assert.same({ 1, 2, 3 }, sorted(seen))
	end)
end)

describe("util.array", function ()
	local a

	before_each(function () a = array { 3, 1, 2, 3 } end)

	it("is made of a table, an iterator or nothing", function ()
		local t = {}
		assert.equal(t, array(t))
		assert.same({ 1, 2 }, { table.unpack(array(ipairs { "x", "y" })) })
		assert.equal(0, #array())
		assert.equal(0, #array.new())
		assert.same({ 1 }, { table.unpack(array.collect(ipairs { "x" })) })
	end)

	for name, case in pairs {
		sort = { {}, { 1, 2, 3, 3 } },
		unique = { {}, { 3, 1, 2 } },
		reverse = { {}, { 3, 2, 1, 3 } },
		map = { { function (x) return x * 2 end }, { 6, 2, 4, 6 } },
		filter = { { function (x) return x > 1 end }, { 3, 2, 3 } },
		slice = { { 2, 3 }, { 1, 2 } },
	} do
		it(name .. " of the library makes a new array, the method changes its own", function ()
			local new = array[name](a, table.unpack(case[1]))
			assert.same(case[2], { table.unpack(new) })
			assert.same({ 3, 1, 2, 3 }, { table.unpack(a) })
			assert.equal(a, a[name](a, table.unpack(case[1])))
			assert.same(case[2], { table.unpack(a) })
		end)
	end

	for _, case in ipairs {
		{ 1, 2, { 1, 2 } }, { 2, nil, { 2, 3, 4 } }, { -2, nil, { 3, 4 } }, { -3, -2, { 2, 3 } },
		{ 0, 1, { 1 } }, { 3, 1, {} }, { 2, 9, { 2, 3, 4 } }, { -9, 2, { 1, 2 } }, { 9, 10, {} },
	} do
		it(("slices from %d to %s"):format(case[1], tostring(case[2])), function ()
			local four = array { 1, 2, 3, 4 }
			assert.same(case[3], { table.unpack(array.slice(four, case[1], case[2])) })
			assert.same(case[3], { table.unpack(four:slice(case[1], case[2])) })
		end)
	end

	it("plucks a key of every item, with a default", function ()
		local list = array { { k = 1 }, {}, { k = false } }
		assert.same({ 1, "d", false }, { table.unpack(array.pluck(list, "k", "d")) })
	end)

	it("has operators", function ()
		assert.is_true(a == array { 3, 1, 2, 3 })
		assert.is_false(a == array { 3, 1 })
		assert.is_false(a == { 3, 1, 2, 3 })
		assert.same({ 3, 1, 2, 3, 9 }, { table.unpack(a + array { 9 }) })
		local doubled = a / function (x) return x > 1 and x or nil end
		assert.same({ 3, 2, 3 }, { table.unpack(doubled) })
		assert.equal("[3, 1, 2, 3]", tostring(a))
	end)

	it("pushes, pops, appends, joins and counts", function ()
		assert.equal(a, a:push(4):append { 5, 6 })
		assert.equal(6, a:pop())
		assert.equal("3-1-2-3-4-5", a:concat("-"))
		assert.equal(6, a:length())
	end)

	it("takes random items and shuffles without losing any", function ()
		for _ = 1, 50 do
			assert.is_true(set.new(a):contains(a:random()))
			assert.not_equal(1, array({ 1, 2, 3 }):random_other(1))
		end
		assert.same({ 1, 2, 3, 3 }, { table.unpack(a:shuffle():sort()) })
	end)
end)

describe("util.multitable", function ()
	local m

	before_each(function ()
		m = multitable.new()
		m:set(1, 2, 3, "x")
		m:set(1, 2, 4, "y")
		m:set(1, 9, 3, "z")
	end)

	it("sets and gets by any number of keys", function ()
		assert.equal("x", m:get(1, 2, 3))
		assert.same({ [3] = "x", [4] = "y" }, m:get(1, 2))
		assert.is_nil(m:get(5, 6, 7))
		assert.equal(m.data, m:get())
	end)

	it("adds to lists", function ()
		m:add("l", "a")
		m:add("l", "b")
		assert.same({ "a", "b" }, m:get("l"))
	end)

	it("removes one entry and the tables that it leaves empty", function ()
		m:remove(1, 9, 3)
		assert.same({ [1] = { [2] = { [3] = "x", [4] = "y" } } }, m.data)
	end)

	it("removes every match of a nil key", function ()
		m:remove(1, nil, 3)
		assert.same({ [1] = { [2] = { [4] = "y" } } }, m.data)
		m:remove(1, 2, nil)
		assert.same({}, m.data)
	end)

	it("searches with nil for any key", function ()
		assert.same({ "x", "z" }, sorted(m:search(1, nil, 3)))
		assert.same({ "x", "y", "z" }, sorted(m:search(nil, nil, nil)))
		assert.same({}, m:search(1, 7, nil))
		assert.same({ "q", "y" }, m:search_add({ "q" }, 1, 2, 4))
	end)

	it("iterates keys and value of every match", function ()
		local lines = {}
		for a, b, c, value in m:iter(1, nil, 3) do lines[#lines + 1] = a .. b .. c .. value end
		assert.same({ "123x", "193z" }, sorted(lines))
	end)
end)
