-- plain lua too
local format <const> = require "util.format".format

local named <const> = setmetatable({}, { __tostring = function () return "a\1b" end })

describe("util.format", function ()
	for name, case in pairs {
		["plain text"] = { "hello", "hello" },
		["a string"] = { "a b", "a %s", "b" },
		["an integer"] = { "007|7  |+7", "%03d|%-3d|%+d", 7, 7, 7 },
		["a float"] = { "1.23", "%.2f", 1.234 },
		["percent"] = { "5%", "%d%%", 5 },
		["hexadecimal"] = { "0xff", "%#x", 255 },
		["a character"] = { "A", "%c", 65 },
		["an unsigned integer"] = { "5", "%u", 5 },
		["a padded string"] = { "  abc", "%5.3s", "abcdef" },
		["true and nil"] = { "true (nil)", "%s %s", true, nil },
		["a missing argument"] = { "a (nil)", "a %d" },
		["surplus arguments"] = { "a [1] [(nil)] [x]", "a", 1, nil, "x" },
		["text for a number"] = { "[x]", "%d", "x" },
		["a fraction for an integer"] = { "[1.5]", "%d", 1.5 },
		["a negative number in hexadecimal"] = { "[-1]", "%x", -1 },
		["infinity for an integer"] = { "[inf]", "%d", math.huge },
		["a table for a number"] = { "[a␁b]", "%d", named },
		["a table for text"] = { "a␁b", "%s", named },
		["control characters"] = { "␀␛[1m␡", "%s", "\0\27[1m\127" },
		["a line break"] = { "a\n\tb", "%s", "a\nb" },
		["a line break with its tab"] = { "a\n\tb", "%s", "a\n\tb" },
		["a line break in a surplus argument"] = { "x [a\n\tb]", "x", "a\nb" },
		["UTF-8"] = { "nödig", "%s", "nödig" },
		["what is not UTF-8"] = { '"n\\195"', "%s", "n\195" },
		["what is not UTF-8 for a number"] = { '"\\255"', "%d", "\255" },
		["a quoted string"] = { '"a\\nb"', "%q", "a\nb" },
		["a quoted table"] = { "{1;a=2}", "%q", { 1, a = 2 } },
		["a quoted boolean"] = { "true", "%q", true },
		["a pointer of no pointer"] = { "[1] [true]", "%p %p", 1, true },
		["a lonely percent"] = { "100%", "100%" },
		["a lonely percent and an argument"] = { "100% [x]", "100%", "x" },
		["an unknown specifier"] = { "%z [1]", "%z", 1 },
		["a width of three digits"] = { "%123d [5]", "%123d", 5 },
		["a flag that does not fit"] = { "%#d x [5]", "%#d x", 5 },
		["a number in scientific form"] = { "1.5e+00", "%.1e", 1.5 },
	} do
		it("writes " .. name, function ()
			assert.equal(case[1], format(table.unpack(case, 2, name == "true and nil" and 4
				or name:find "^surplus" and 5 or #case)))
		end)
	end

	it("writes pointers", function ()
		assert.matches("^0x%x+$", format("%p", {}))
	end)

	it("writes functions and deep or cyclic tables quoted without raising", function ()
		local t = {}
		t.t = t
		assert.matches("^_%[%[function: ", format("%q", print))
		assert.matches("multiple references", format("%q", t))
		assert.matches("max table depth", format("%q", { { { { { { 1 } } } } } }))
	end)

	it("takes any value for a pattern", function ()
		assert.equal("nil", format(nil))
		assert.equal("5 [6]", format(5, 6))
		assert.equal("true", format(true))
	end)

	it("never raises and never writes a raw control character, whatever it is given", function ()
		local seed = os.time()
		math.randomseed(seed)
		local values = { 1, -1, 1.5, "x", "\n\27", "\255", true, {}, print, named, math.huge }
		local pieces = { "%", "d", "s", "q", "x", "5", ".", "-", "#", "0", "%s", "%d", "%%", " ", "z" }
		for i = 1, 3000 do
			local pattern = {}
			for k = 1, math.random(6) do pattern[k] = pieces[math.random(#pieces)] end
			pattern = table.concat(pattern)
			local ok, text = pcall(format, pattern, values[math.random(#values)],
				values[math.random(#values)])
			local where = ("seed %d, round %d, pattern %q: %s"):format(seed, i, pattern, tostring(text))
			assert.is_true(ok, where)
			assert.is_nil(text:find("[%z\1-\8\11-\31\127]"), where)
		end
	end)
end)
