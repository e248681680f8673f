-- plain lua too
local io_lib <const> = require "util.human.io"
local units <const> = require "util.human.units"

describe("util.human.units", function ()
	for _, case in ipairs {
		{ 0, "0 B", "0 B" }, { 1, "1 B", "1 B" }, { 999, "999 B", "999 B" },
		{ 1000, "1 kB", "1e+03 B" }, { 1024, "1.02 kB", "1 KiB" }, { 1536, "1.54 kB", "1.5 KiB" },
		{ 1e6, "1 MB", "977 KiB" }, { 1048576, "1.05 MB", "1 MiB" }, { 1e9, "1 GB", "954 MiB" },
		{ 1e24, "1 YB", "847 ZiB" }, { 1e27, "1e+03 YB", "827 YiB" },
		{ -1500, "-1.5 kB", "-1.46 KiB" },
	} do
		it("writes " .. case[1] .. " as " .. case[2] .. " and " .. case[3], function ()
			assert.equal(case[2], units.format(case[1], "B"))
			assert.equal(case[3], units.format(case[1], "B", "b"))
		end)
	end

	for n, text in pairs {
		[0.5] = "500 ms", [0.001] = "1 ms", [0.0005] = "500 μs", [1e-9] = "1 ns",
	} do
		it("writes " .. n .. " as " .. text, function ()
			assert.equal(text, units.format(n, "s"))
		end)
	end

	it("gives multiplier and prefix", function ()
		assert.same({ 1000.0, "k" }, { units.adjust(5000) })
		assert.same({ 1, nil }, { units.adjust(5) })
		assert.same({ 1048576.0, "Mi" }, { units.adjust(2000000, "b") })
	end)
end)

describe("util.human.io", function ()
	for _, case in ipairs {
		{ "abc", 5, "abc" }, { "abc", 3, "abc" }, { "abcd", 3, "ab…" }, { "öäü", 2, "ö…" },
		{ "abc", 1, "…" }, { "abc", 0, "…" }, { "", 0, "" }, { "\255\255\255", 2, "\255…" },
	} do
		it(("cuts %q to %d columns"):format(case[1], case[2]), function ()
			assert.equal(case[3], io_lib.ellipsis(case[1], case[2]))
		end)
	end

	it("pads by columns, not bytes, and never cuts", function ()
		assert.equal("  ö", io_lib.padleft("ö", 3))
		assert.equal("ö  ", io_lib.padright("ö", 3))
		assert.equal("long", io_lib.padleft("long", 2))
		assert.equal("Chat", io_lib.capitalize("chat"))
	end)

	describe("table", function ()
		it("writes titles and rows with fixed and shared columns", function ()
			local row, width = io_lib.table({
				{ title = "Name", width = 6, key = "name" },
				{ title = "N", width = 3, align = "right", key = "n" },
				{ title = "Rest", width = "1p", key = "rest" },
				{ title = "More", width = "3p", key = "more", default = "-" },
			}, 38)
			assert.equal(38, width)
			assert.equal("Name   |   N | Rest  | More           ", row())
			assert.equal("a lon… |   5 | x     | -              ",
				row { name = "a long name", n = 5, rest = "x" })
			assert.equal(38, utf8.len(row {}))
		end)

		it("makes a column as wide as its title", function ()
			local row = io_lib.table({ { title = "Title", width = 2 }, { width = 1 } }, 20)
			assert.equal("Title  |  ", row())
			assert.equal("       | x", row { "", "x" })
		end)

		it("uses positions, mapper and ellipsis of a column", function ()
			local row = io_lib.table({
				{ width = 4, mapper = function (value, whole, width, column)
					assert.equal(4, width)
					assert.equal(4, column.width)
					return value .. whole[2]
				end },
				{ width = 2, ellipsis = function (text, width) return text:sub(-width) end },
			}, 20)
			assert.equal("ab   | b ", row { "a", "b" })
			assert.equal("xyz… | 56", row { "xyz", "23456" })
		end)

		it("takes false for a value and the terminal's width by default", function ()
			local row = io_lib.table({ { width = 5, key = "ok" } })
			assert.equal("false", row { ok = false })
		end)
	end)

	for text, case in pairs {
		["90s"] = { 90, 90 }, ["5 min"] = { 300, 300 }, ["2h"] = { 7200, 7200 },
		["1 day"] = { 86400, 86400 }, ["3w"] = { 1814400, 1814400 }, ["1mon"] = { 2678400, 2678400 },
		["1y"] = { 31556952, 31556952 }, ["1 HOUR"] = { 3600, 3600 }, ["2 months"] = { 5356800, 5356800 },
		["7"] = { nil, 7 }, ["2m"] = { nil, 5356800 }, ["2mi"] = { nil, 120 }, ["2mo"] = { nil, 5356800 },
		["x"] = { nil, nil }, [""] = { nil, nil },
	} do
		it(("reads the duration %q"):format(text), function ()
			assert.equal(case[1], io_lib.parse_duration(text))
			assert.equal(case[2], io_lib.parse_duration_lax(text))
		end)
	end

	it("gives the terminal's width or a default", function ()
		assert.is_true(io_lib.term_width(77) >= 1)
	end)
end)
