-- plain lua too
local it_lib <const> = require "util.iterators"

local letters <const> = { "a", "b", "c", "d" }

local function tuples(f, s, var)
	local list = {}
	while true do
		local tuple = table.pack(f(s, var))
		var = tuple[1]
		if var == nil then return list end
		tuple.n = nil
		list[#list + 1] = tuple
	end
end

describe("util.iterators", function ()
	for name, case in pairs {
		reverse = { { it_lib.reverse(ipairs(letters)) },
			{ { 4, "d" }, { 3, "c" }, { 2, "b" }, { 1, "a" } } },
		keys = { { it_lib.keys { x = 1 } }, { { "x" } } },
		values = { { it_lib.values { x = 1 } }, { { 1 } } },
		select = { { it_lib.select(2, ipairs(letters)) }, { { "a" }, { "b" }, { "c" }, { "d" } } },
		unique = { { it_lib.unique(it_lib.values { 1, 1, 2, 1 }) }, { { 1 }, { 2 } } },
		head = { { it_lib.head(2, ipairs(letters)) }, { { 1, "a" }, { 2, "b" } } },
		["head of too many"] = { { it_lib.head(9, ipairs { "x" }) }, { { 1, "x" } } },
		skip = { { it_lib.skip(2, ipairs(letters)) }, { { 3, "c" }, { 4, "d" } } },
		["skip of too many"] = { { it_lib.skip(9, ipairs(letters)) }, {} },
		tail = { { it_lib.tail(2, ipairs(letters)) }, { { 3, "c" }, { 4, "d" } } },
		["tail of too many"] = { { it_lib.tail(9, ipairs { "x" }) }, { { 1, "x" } } },
		["tail of none"] = { { it_lib.tail(0, ipairs(letters)) }, {} },
		["filter by value"] = { { it_lib.filter(2, ipairs { "a", "b", "c" }) },
			{ { 1, "a" }, { 3, "c" } } },
		["filter by function"] = { { it_lib.filter(function (_, v) return v > "c" end,
			ipairs(letters)) }, { { 4, "d" } } },
		ripairs = { { it_lib.ripairs { "a", "b" } }, { { 2, "b" }, { 1, "a" } } },
		["range to"] = { { it_lib.range(3) }, { { 1 }, { 2 }, { 3 } } },
		["range from to"] = { { it_lib.range(2, 3) }, { { 2 }, { 3 } } },
		["empty range"] = { { it_lib.range(3, 2) }, {} },
		sorted_pairs = { { it_lib.sorted_pairs { b = 1, a = 2 } }, { { "a", 2 }, { "b", 1 } } },
		["sorted_pairs backwards"] = {
			{ it_lib.sorted_pairs({ b = 1, a = 2 }, function (x, y) return x > y end) },
			{ { "b", 1 }, { "a", 2 } },
		},
		join = { { it_lib.join(ipairs { 1 }):append(ipairs {}):append(ipairs { 2, 3 }) },
			{ { 1, 1 }, { 1, 2 }, { 2, 3 } } },
		["join in front"] = { { it_lib.join(ipairs { 1 }):prepend(ipairs { 0 }) },
			{ { 1, 0 }, { 1, 1 } } },
	} do
		it("gives the right tuples for " .. name, function ()
			assert.same(case[2], tuples(table.unpack(case[1], 1, 3)))
		end)
	end

	it("counts and collects", function ()
		assert.equal(4, it_lib.count(ipairs(letters)))
		assert.equal(0, it_lib.count(pairs {}))
		assert.same({ 1, 2, 3, 4 }, it_lib.to_array(ipairs(letters)))
		assert.same({ a = 1, b = false }, it_lib.to_table(pairs { a = 1, b = false }))
	end)

	it("joins without an append, too", function ()
		assert.same({ { 1, "x" } }, tuples(it_lib.join(ipairs { "x" })))
	end)
end)
