-- plain lua too
local array <const> = require "util.array"
local json <const> = require "util.json"

local null <const> = json.null

-- Alike in JSON: same contents, numbers of the same type and value, null the same object.
local function alike(a, b)
	if type(a) ~= "table" or type(b) ~= "table" or a == null or b == null then
		return a == b and math.type(a) == math.type(b)
	end
	for key, value in next, a do
		if not alike(value, b[key]) then return false end
	end
	for key in next, b do
		if a[key] == nil then return false end
	end
	return true
end

describe("util.json encode", function ()
	for name, case in pairs {
		["null"] = { null, "null" },
		["true"] = { true, "true" },
		["false"] = { false, "false" },
		["an integer"] = { 42, "42" },
		["the largest integer"] = { math.maxinteger, "9223372036854775807" },
		["the smallest integer"] = { math.mininteger, "-9223372036854775808" },
		["a short fraction"] = { 0.1, "0.1" },
		["a third"] = { 1 / 3, "0.3333333333333333" },
		["a number of 17 digits"] = { 0.1 + 0.2, "0.30000000000000004" },
		["a float without fraction"] = { 3.0, "3.0" },
		["minus zero"] = { -0.0, "-0.0" },
		["a large float"] = { 1e100, "1e+100" },
		["infinity"] = { math.huge, "null" },
		["not a number"] = { 0 / 0, "null" },
		["a function"] = { print, "null" },
		["an empty table"] = { {}, "{}" },
		["an empty array"] = { array(), "[]" },
		["a list"] = { { 1, "x", true }, '[1,"x",true]' },
		["a list with null"] = { { null, 1 }, "[null,1]" },
		["nested tables"] = { { a = { { b = array() } } }, '{"a":[{"b":[]}]}' },
		["members that JSON cannot hold"] = { { f = print, a = 1 }, '{"a":1}' },
		["escapes"] = { 'a"\\\n\r\t\b\f\1/', '"a\\"\\\\\\n\\r\\t\\b\\f\\u0001/"' },
		["UTF-8"] = { "äöü€😀", '"äöü€😀"' },
		["a list with names"] = { { 1, 2, a = 3 }, '{"a":3,"__array":[1,2]}' },
		["keys that are no strings"] = { { [true] = 1 }, '{"__hash":[true,1]}' },
		["a list with a hole"] = { { 1, nil, nil, 4 }, '{"__hash":[4,4],"__array":[1]}' },
	} do
		it("writes " .. name, function ()
			assert.equal(case[2], json.encode(case[1]))
		end)
	end

	it("sorts keys on demand", function ()
		local t = {}
		for _, key in ipairs { "d", "b", "a", "c" } do t[key] = 1 end
		assert.equal('{"a":1,"b":1,"c":1,"d":1}', json.encode_ordered(t))
	end)

	it("writes the list part of any table as an array", function ()
		assert.equal("[]", json.encode_array {})
		assert.equal("[1,2]", json.encode_array { 1, 2, x = 3 })
	end)

	it("raises on a cycle instead of running out of stack", function ()
		local t = {}
		t.t = t
		assert.error_matches(function () json.encode(t) end, "512 levels, or a cycle")
	end)

	it("writes 500 levels", function ()
		local t = array()
		for _ = 1, 500 do t = array { t } end
		assert.equal(("["):rep(501) .. ("]"):rep(501), json.encode(t))
	end)
end)

describe("util.json decode", function ()
	for text, value in pairs {
		["null"] = null, ["true"] = true, ["false"] = false,
		["0"] = 0, ["-1"] = -1, ["1.5"] = 1.5, ["1e3"] = 1000.0, ["1E+2"] = 100.0, ["-0.5e-1"] = -0.05,
		["9223372036854775807"] = math.maxinteger, ["-9223372036854775808"] = math.mininteger,
		["9223372036854775808"] = 2.0 ^ 63, ["3.0"] = 3.0,
		[" \t\r\n1 \n"] = 1, ['""'] = "", ['"x"'] = "x", ['"\127"'] = "\127",
		['"\\"\\\\\\/\\b\\f\\n\\r\\t"'] = '"\\/\b\f\n\r\t', ['"\\u00e9\\u20AC"'] = "é€",
		['"\\ud83d\\ude00"'] = "😀", ['"\\uD83D\\uDE00x"'] = "😀x", ['"\\u0000"'] = "\0",
		['"a\\\\"'] = "a\\", ['"\\\\u0041"'] = "\\u0041",
	} do
		it("reads " .. text, function ()
			local got, err = json.decode(text)
			assert.is_nil(err)
			assert.equal(value, got)
			assert.equal(math.type(value), math.type(got))
		end)
	end

	for text, value in pairs {
		["[]"] = {}, ["{}"] = {}, ["[1,[2,[3]]]"] = { 1, { 2, { 3 } } },
		['{"a":1,"b":{"c":[]}}'] = { a = 1, b = { c = {} } },
		[' { "a" : [ 1 , 2 ] } '] = { a = { 1, 2 } }, ['{"a":1,"a":2}'] = { a = 2 },
		['{"":0}'] = { [""] = 0 }, ["[false]"] = { false },
		['{"__array":[1,2],"b":3}'] = { 1, 2, b = 3 }, ['{"__hash":[true,6]}'] = { [true] = 6 },
		['{"__hash":1}'] = { __hash = 1 },
	} do
		it("reads " .. text, function ()
			assert.is_true(alike(value, json.decode(text)))
		end)
	end

	it("makes arrays that stay arrays and objects that stay objects", function ()
		for _, text in ipairs { "[]", "{}", '{"a":[]}', "[{}]" } do
			assert.equal(text, json.encode(json.decode(text)))
		end
		assert.equal(getmetatable(array()), getmetatable(json.decode "[1]"))
	end)

	it("keeps null in lists and objects", function ()
		assert.equal(null, json.decode("[1,null]")[2])
		assert.equal(null, json.decode('{"a":null}').a)
		assert.equal("null", tostring(null))
	end)

	for text, message in pairs {
		[""] = "1:1: unexpected end", ["  "] = "1:3: unexpected end", ["["] = "1:2: unexpected end",
		["[1,]"] = "1:4: value expected", ["[1 2]"] = "1:4: ',' or ']' expected",
		["{"] = "1:2: key expected", ['{"a":1,}'] = "1:8: key expected",
		["{a:1}"] = "1:2: key expected", ['{"a" 1}'] = "1:6: ':' expected",
		['{"a":}'] = "1:6: value expected", ['{"a":1 "b":2}'] = "1:8: ',' or '}' expected",
		['"abc'] = "1:1: string without end", ['"a\nb"'] = "1:3: control character in string",
		['"\\x"'] = "1:2: invalid escape", ['"\\u12g4"'] = "1:2: invalid escape",
		['"\\ud83d"'] = "1:2: invalid escape", ['"\\ude00"'] = "1:2: invalid escape",
		['"\\ud83d\\u0041"'] = "1:2: invalid escape", ["nul"] = "1:1: value expected",
		["01"] = "1:1: invalid number", ["-"] = "1:1: invalid number", ["1."] = "1:1: invalid number",
		["1e"] = "1:1: invalid number", ["--1"] = "1:1: invalid number",
		["1.2.3"] = "1:1: invalid number",
		["+1"] = "1:1: value expected", [".5"] = "1:1: value expected",
		["0x10"] = "1:2: text behind the value", ["1 2"] = "1:3: text behind the value",
		["[1]]"] = "1:4: text behind the value", ["/*c*/1"] = "1:1: value expected",
		["NaN"] = "1:1: value expected", ["\239\187\1911"] = "1:1: value expected",
		["{\n\t\"a\": 1,\n\t\"b\" 2\n}"] = "3:6: ':' expected", ["\0"] = "1:1: value expected",
	} do
		it(("refuses %q at the right place"):format(text), function ()
			assert.same({ nil, message, n = 2 }, table.pack(json.decode(text)))
		end)
	end

	it("refuses what is no text", function ()
		for _, value in ipairs { 1, {}, true } do
			local got, err = json.decode(value)
			assert.is_nil(got)
			assert.matches("^string expected, got ", err)
		end
		assert.is_nil((json.decode(nil)))
	end)

	it("refuses hostile nesting at the limit and reads what is below", function ()
		for _, pair in ipairs { { "[", "]" }, { '{"a":', "1}" } } do
			local value, err = json.decode(pair[1]:rep(100000))
			assert.is_nil(value)
			assert.matches("nested too deeply", err)
		end
		assert.is_table(json.decode(("["):rep(512) .. ("]"):rep(512)))
		assert.is_nil((json.decode(("["):rep(513) .. ("]"):rep(513))))
	end)

	it("survives any cut and any changed byte of a text", function ()
		local text = '{"a":[1,-2.5e3,"x\\u00e9\\n",null,true],"b":{"c":false}}'
		for i = 1, #text do
			local value, err = json.decode(text:sub(1, i - 1))
			assert.is_nil(value)
			assert.matches("^1:%d+: ", err)
			for _, byte in ipairs { "\0", '"', "\\", "{", "]", "9", "\255" } do
				json.decode(text:sub(1, i - 1) .. byte .. text:sub(i + 1))
			end
		end
	end)
end)

describe("util.json", function ()
	local seed <const> = os.time() * 1000 + math.floor(os.clock() * 1000)

	local function random_number()
		if math.random(2) == 1 then
			return math.random(0) >> math.random(0, 63)
		end
		local n
		repeat n = string.unpack("d", string.pack("i8", math.random(0)))
		until n == n and n ~= math.huge and n ~= -math.huge
		return n
	end

	local function random_string()
		local points = {}
		for i = 1, math.random(0, 8) do
			points[i] = ({ 0, 0x22, 0x5c, 0x7f, 0xe9, 0x2028, 0x20ac, 0x1f600 })[math.random(16)]
				or math.random(0, 0x7f)
		end
		return utf8.char(table.unpack(points))
	end

	local function random_value(depth)
		local kind = math.random(depth > 4 and 4 or 6)
		if kind == 1 then return random_number() end
		if kind == 2 then return random_string() end
		if kind == 3 then return math.random(2) == 1 end
		if kind == 4 then return null end
		local t = kind == 5 and array() or {}
		for i = 1, math.random(0, 5) do
			t[kind == 5 and i or random_string()] = random_value(depth + 1)
		end
		return t
	end

	it("gives 2000 random values back unchanged", function ()
		math.randomseed(seed)
		for i = 1, 2000 do
			local value = random_value(1)
			local text = json.encode(value)
			local back, err = json.decode(text)
			assert(err == nil and alike(value, back),
				("seed %d, value %d: %s (%s)"):format(seed, i, text, tostring(err)))
		end
	end)

	it("tests whether a value survives", function ()
		local print_was = print
		finally(function () _G.print = print_was end)
		local printed
		_G.print = function (text) printed = text end
		assert.is_true(json.test { a = { 1, 2.5, "x" } })
		assert.equal('{"a":[1,2.5,"x"]}', printed)
	end)
end)
