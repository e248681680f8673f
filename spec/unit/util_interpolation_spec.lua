-- plain lua too
local interpolation <const> = require "util.interpolation"

local render <const> = interpolation.new("%b{}", string.upper, {
	twice = function (text) return text .. text end, count = function (t) return #t end,
})

describe("util.interpolation", function ()
	for _, case in ipairs {
		{ "hello {name}", { name = "you" }, "hello YOU" },
		{ "hello {name!}", { name = "you" }, "hello you" },
		{ "{a.b}", { a = { b = "x" } }, "X" },
		{ "{a.b}", { ["a.b"] = "dotted" }, "DOTTED" },
		{ "{none}", {}, "{none}" },
		{ "{none?instead of {x}}", { x = "y" }, "instead of Y" },
		{ "{a?instead}", { a = "b" }, "B" },
		{ "{a&it is {a}}{b&no}", { a = "x" }, "it is X" },
		{ "{a~no}{b~none}", { a = "x" }, "none" },
		{ "{list#{idx}={item} }", { list = { "a", "b" } }, "1=A 2=B " },
		{ "{map%{idx}:{item}}", { map = { k = "v" } }, "K:V" },
		{ "{nolist#x}", { nolist = "text" }, "" },
		{ "{n}", { n = 5 }, "5" },
		{ "{n}", { n = false }, "FALSE" },
		{ "{name|twice}", { name = "ab" }, "ABAB" },
		{ "{name|twice|twice!}", { name = "a" }, "aaaa" },
		{ "{list|count}", { list = { 1, 2 } }, "2" },
		{ "{name|unknown}", { name = "a" }, "A" },
		{ "{ x } {} {1}", {}, "{ x } {} {1}" },
	} do
		it(("renders %s as %s"):format(case[1], case[3]), function ()
			assert.equal(case[3], render(case[1], case[2]))
		end)
	end

	it("reads outer values inside a list", function ()
		assert.equal("AXBX", render("{list#{item}{x}}", { list = { "a", "b" }, x = "x" }))
	end)
end)
