-- plain lua too
local array <const> = require "util.array"
local serialization <const> = require "util.serialization"
local set <const> = require "util.set"

local serialize <const>, deserialize <const> = serialization.serialize, serialization.deserialize

describe("util.serialization", function ()
	for name, case in pairs {
		["nil"] = { nil, "nil" }, ["true"] = { true, "true" }, ["an integer"] = { -7, "-7" },
		["a float"] = { 1.5, "1.5" }, ["a float without fraction"] = { 3.0, "3.0" },
		["the smallest integer"] = { math.mininteger, "-9223372036854775808" },
		["infinity"] = { math.huge, "(1/0)" }, ["minus infinity"] = { -math.huge, "(-1/0)" },
		["not a number"] = { 0 / 0, "(0/0)" }, ["an empty table"] = { {}, "{}" },
		["control characters"] = { "a\n\0\1\127\255\"'\\", [["a\n\000\001\127\255\"\'\\"]] },
		["a list"] = { { 1, 2 }, "{\n\t1;\n\t2;\n}" },
		["a name"] = { { a = 1 }, '{\n\t["a"] = 1;\n}' },
		["nested tables"] = { { { 1 } }, "{\n\t{\n\t\t1;\n\t};\n}" },
		["a key that is no string"] = { { [true] = 1 }, "{\n\t[true] = 1;\n}" },
	} do
		it("writes " .. name, function ()
			assert.equal(case[2], serialize(case[1]))
		end)
	end

	for preset, case in pairs {
		debug = { { 1, a = "x" }, '{ 1; a = "x" }' },
		oneline = { { 1, a = "x" }, '{ 1; ["a"] = "x" }' },
		compact = { { 1, a = "x" }, '{1;a="x"}' },
		pretty = { { 1, a = "x" }, '{\n\t1;\n\ta = "x";\n}' },
	} do
		it("has the preset " .. preset, function ()
			assert.equal(case[2], serialize(case[1], preset))
			assert.equal(case[2], serialize(case[1], { preset = preset }))
			assert.equal(case[2], serialization.new(preset)(case[1]))
			assert.equal("{}", (serialize({}, preset):gsub(" ", "")))
		end)
	end

	it("quotes reserved words and odd names", function ()
		assert.equal('{["end"]=1}', serialize({ ["end"] = 1 }, "compact"))
		assert.equal('{["a b"]=1}', serialize({ ["a b"] = 1 }, "compact"))
		assert.equal('{_a1=1}', serialize({ _a1 = 1 }, "compact"))
	end)

	for _, value in ipairs { print, coroutine.create(print), io.stdout } do
		it("raises on a " .. type(value) .. " unless told otherwise", function ()
			assert.error_matches(function () serialize { value } end, "Can't serialize " .. type(value))
			assert.matches("__type=\"" .. type(value), serialize({ value }, { fatal = false }))
			assert.matches("__error=\"fail\"", serialize(value, "debug"))
			assert.equal("{<x>}", serialize({ value },
				{ preset = "compact", fallback = function () return "<x>" end }))
		end)
	end

	it("raises on a table that stands twice, or in itself", function ()
		local t = {}
		assert.error_matches(function () serialize { t, t } end, "multiple references")
		t.t = t
		assert.error_matches(function () serialize(t) end, "multiple references")
		assert.matches("multiple references", serialize(t, "debug"))
	end)

	it("writes a table twice with multiref, but never a cycle", function ()
		local t = {}
		assert.equal("{{};{}}", serialize({ t, t }, { preset = "compact", multiref = true }))
		t[1] = t
		assert.has_error(function () serialize(t, { multiref = true }) end)
	end)

	it("stops at maxdepth", function ()
		assert.error_matches(function () serialize({ { {} } }, { maxdepth = 2 }) end, "depth")
		assert.equal("{\n\t{\n\t\t{};\n\t};\n}", serialize({ { {} } }, { maxdepth = 3 }))
	end)

	it("uses __freeze on demand", function ()
		assert.equal("set{ 1 }", serialize(set.new { 1 }, "debug"))
		assert.equal("array{ 1 }", serialize(array { 1 }, "debug"))
		local text = setmetatable({}, { __freeze = function () return "frozen" end })
		assert.equal("{frozen}", serialize({ text }, { preset = "compact", freeze = true }))
	end)

	it("takes an iterator for the order of keys", function ()
		local text = serialize({ c = 1, a = 2, b = 3 }, {
			preset = "compact", table_iterator = require "util.iterators".sorted_pairs,
		})
		assert.equal("{a=2;b=3;c=1}", text)
	end)

	it("writes bytes in hexadecimal where that is shorter", function ()
		local opt = { preset = "compact", hex = "h" }
		assert.equal('{h"000102030405060708"}', serialize({ "\0\1\2\3\4\5\6\7\8" }, opt))
		assert.equal('{"text"}', serialize({ "text" }, opt))
	end)

	describe("deserialize", function ()
		it("reads back", function ()
			assert.same({ 1, a = { "x" } }, deserialize('{1;a={"x"}}'))
			assert.equal(5, deserialize "5")
		end)

		for _, text in ipairs { "", "{", "}", "1 2", "\27Lua" } do
			it(("says why %q is nothing"):format(text), function ()
				local value, err = deserialize(text)
				assert.is_nil(value)
				if text ~= "" then assert.is_string(err) end
			end)
		end

		it("gives the text nothing to reach", function ()
			assert.is_nil((deserialize "os"))
			assert.is_nil((deserialize "print('x')"))
			assert.is_nil((deserialize(nil)))
		end)
	end)

	it("gives 1000 random values back unchanged, in every preset", function ()
		local seed = os.time() * 1000 + math.floor(os.clock() * 1000)
		math.randomseed(seed)
		local function random_scalar()
			local kind = math.random(4)
			if kind == 1 then return math.random(0) end
			if kind == 2 then return (math.random() - 0.5) * 10 ^ math.random(-300, 300) end
			if kind == 3 then return math.random(2) == 1 end
			local bytes = {}
			for i = 1, math.random(0, 12) do bytes[i] = string.char(math.random(0, 255)) end
			return table.concat(bytes)
		end
		local function random_value(depth)
			if depth > 3 or math.random(2) == 1 then return random_scalar() end
			local t = {}
			for i = 1, math.random(0, 5) do
				t[math.random(2) == 1 and i or random_scalar()] = random_value(depth + 1)
			end
			return t
		end
		local presets = { false, "oneline", "compact", "pretty", "debug" }
		for i = 1, 1000 do
			local value = random_value(1)
			local preset = presets[i % #presets + 1] or nil
			local text = serialize(value, preset)
			assert.same(value, deserialize(text), ("seed %d, value %d: %s"):format(seed, i, text))
		end
	end)
end)
