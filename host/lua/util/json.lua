-- JSON; API of Prosody's util.json. Strings are dkjson's business; numbers are ours, because dkjson
-- writes 14 digits, and so is the grammar, because dkjson reads on where RFC 8259 says stop.

local array <const> = require "util.array"
local dkjson <const> = require "dkjson"
local iterators <const> = require "util.iterators"

local byte <const>, find <const>, match <const>, sub <const> =
	string.byte, string.find, string.match, string.sub
local array_mt <const> = getmetatable(array.new())

-- Deeper nesting than this is an attack or a cycle.
local DEPTH_MAX <const> = 512

-- Stands for null, which nil cannot: a key with nil is no key.
local null <const> = setmetatable({}, { __tostring = function () return "null" end })

local function quote(s)
	-- most strings have nothing to escape; dkjson looks ten times
	if not find(s, "[^ !#-%[%]-~]") then return '"' .. s .. '"' end
	return dkjson.quotestring(s)
end

-- The shortest text that reads back as the same number, and as a float if it was one.
local function number_text(n)
	if math.type(n) == "integer" then return ("%d"):format(n) end
	if n ~= n or n == math.huge or n == -math.huge then return "null" end
	for digits = 15, 17 do
		local text = ("%." .. digits .. "g"):format(n)
		if tonumber(text) == n then
			return find(text, "[.e]") and text or text .. ".0"
		end
	end
end

local encode_value

local function encode_array(t, out, depth)
	out[#out + 1] = "["
	for i, value in ipairs(t) do
		if i > 1 then out[#out + 1] = "," end
		encode_value(value, out, depth)
	end
	out[#out + 1] = "]"
end

local plain_type <const> = { number = true, string = true, table = true, boolean = true }

-- A pair that an object can hold as it is.
local function is_member(key, value)
	return type(key) == "string" and plain_type[type(value)]
		and key ~= "__array" and key ~= "__hash"
end

-- The pairs whose keys JSON has no word for, as a flat list, or nil; and whether there are members.
local function other_pairs(t, length)
	local others, has_members = nil, false
	for key, value in pairs(t) do
		if is_member(key, value) then
			has_members = true
		elseif plain_type[type(value)] and plain_type[type(key)]
			and not (math.type(key) == "integer" and key >= 1 and key <= length) then
			others = others or {}
			others[#others + 1] = key
			others[#others + 1] = value
		end
	end
	return others, has_members
end

-- The metafield __jsonorder (dkjson's name) lists the keys that come first; the others are sorted.
local function by_rank(names)
	local rank <const> = {}
	for i, name in ipairs(names) do rank[name] = i end
	return function (a, b)
		local one, other = rank[a] or math.huge, rank[b] or math.huge
		return one < other or one == other and a < b
	end
end

local function each_pair(t, ordered)
	local mt <const> = getmetatable(t)
	local names <const> = type(mt) == "table" and rawget(mt, "__jsonorder")
	if not ordered and not names then return pairs(t) end
	local members = {}
	for key, value in pairs(t) do
		if is_member(key, value) then members[key] = value end
	end
	return iterators.sorted_pairs(members, names and by_rank(names) or nil)
end

-- Prosody's way for what is no JSON: a table with both kinds of keys has its list under "__array",
-- keys that are no strings stand with their values in a list under "__hash".
local function encode_table(t, out, depth)
	local length = 0
	for i in ipairs(t) do length = i end
	local others, has_members = other_pairs(t, length)
	if length > 0 and not has_members and not others then return encode_array(t, out, depth) end
	local separator = "{"
	local function member(quoted, encoder, value)
		out[#out + 1] = separator .. quoted .. ":"
		separator = ","
		encoder(value, out, depth)
	end
	for key, value in each_pair(t, out.ordered) do
		if is_member(key, value) then member(quote(key), encode_value, value) end
	end
	if others then member('"__hash"', encode_array, others) end
	if length > 0 then member('"__array"', encode_array, t) end
	out[#out + 1] = separator == "{" and "{}" or "}"
end

function encode_value(value, out, depth)
	local kind, text = type(value), nil
	if kind == "string" then
		text = quote(value)
	elseif kind == "number" then
		text = number_text(value)
	elseif kind == "boolean" then
		text = tostring(value)
	elseif kind ~= "table" or value == null then
		text = "null"
	elseif depth >= DEPTH_MAX then
		error("cannot encode to JSON: more than " .. DEPTH_MAX .. " levels, or a cycle")
	elseif getmetatable(value) == array_mt then
		return encode_array(value, out, depth + 1)
	else
		return encode_table(value, out, depth + 1)
	end
	out[#out + 1] = text
end

--- @return JSON text. Functions, NaN and infinities become null; an empty table is {}, an empty
--   util.array []; a metafield __jsonorder lists the keys that come first. Raises on cycles and on
--   more than 512 levels.
local function encode(value)
	local out = {}
	encode_value(value, out, 0)
	return table.concat(out)
end

--- The same with sorted keys.
local function encode_ordered(value)
	local out = { ordered = true }
	encode_value(value, out, 0)
	return table.concat(out)
end

--- The list part of a table, empty or not, as a JSON array.
local function encode_list(value)
	local out = {}
	encode_array(value, out, 1)
	return table.concat(out)
end

-- Readers take the text, the position of the value's first byte and the depth; they return the
-- value and the position behind it, or nil, the position of the fault and its description.

local readers <const> = {}

local function skip_blank(text, pos)
	return find(text, "[^ \t\r\n]", pos) or #text + 1
end

local function read_value(text, pos, depth)
	pos = skip_blank(text, pos)
	local reader = readers[byte(text, pos)]
	if not reader then
		return nil, pos, pos > #text and "unexpected end" or "value expected"
	end
	return reader(text, pos, depth)
end

-- `pos` is that of a backslash. @return position behind the escape, or nil if it is none
local function skip_escape(text, pos)
	if find(text, '^["\\/bfnrt]', pos + 1) then return pos + 2 end
	local code = tonumber(match(text, "^u(%x%x%x%x)", pos + 1) or "", 16)
	if not code or code >= 0xdc00 and code <= 0xdfff then return nil end
	if code < 0xd800 or code > 0xdfff then return pos + 6 end
	return find(text, "^\\u[dD][c-fC-F]%x%x", pos + 6) and pos + 12 or nil
end

local function read_string(text, start)
	local pos, escaped = start + 1, false
	while true do
		local stop = find(text, '[%z\1-\31"\\]', pos)
		local char = stop and byte(text, stop)
		if not stop then
			return nil, start, "string without end"
		elseif char == 0x22 then
			if not escaped then return sub(text, start + 1, stop - 1), stop + 1 end
			return dkjson.decode(text, start), stop + 1
		elseif char ~= 0x5c then
			return nil, stop, "control character in string"
		end
		pos, escaped = skip_escape(text, stop), true
		if not pos then return nil, stop, "invalid escape" end
	end
end

local function read_number(text, pos)
	local token = match(text, "^[-+.%deE]+", pos)
	local integer = match(token, "^-?%d+") or ""
	local rest = sub(token, #integer + 1)
	rest = sub(rest, #(match(rest, "^%.%d+") or "") + 1)
	if integer == "" or find(integer, "^-?0%d")
		or not (rest == "" or find(rest, "^[eE][+-]?%d+$")) then
		return nil, pos, "invalid number"
	end
	return tonumber(token), pos + #token
end

local function read_array(text, pos, depth)
	if depth >= DEPTH_MAX then return nil, pos, "nested too deeply" end
	local list, n = array.new(), 0
	pos = skip_blank(text, pos + 1)
	if byte(text, pos) == 0x5d then return list, pos + 1 end
	while true do
		local value, behind, fault = read_value(text, pos, depth + 1)
		if value == nil then return nil, behind, fault end
		n = n + 1
		list[n] = value
		pos = skip_blank(text, behind)
		local char = byte(text, pos)
		if char == 0x5d then return list, pos + 1 end
		if char ~= 0x2c then return nil, pos, "',' or ']' expected" end
		pos = pos + 1
	end
end

-- Undoes what encode_table does to keys that are no strings.
local function restore_keys(object)
	local list, others = object.__array, object.__hash
	if type(list) == "table" then
		object.__array = nil
		for _, value in ipairs(list) do object[#object + 1] = value end
	end
	if type(others) == "table" then
		object.__hash = nil
		for i = 2, #others, 2 do object[others[i - 1]] = others[i] end
	end
	return object
end

local function read_object(text, pos, depth)
	if depth >= DEPTH_MAX then return nil, pos, "nested too deeply" end
	local object = {}
	pos = skip_blank(text, pos + 1)
	if byte(text, pos) == 0x7d then return object, pos + 1 end
	while true do
		if byte(text, pos) ~= 0x22 then return nil, pos, "key expected" end
		local key, behind, fault = read_string(text, pos)
		if key == nil then return nil, behind, fault end
		pos = skip_blank(text, behind)
		if byte(text, pos) ~= 0x3a then return nil, pos, "':' expected" end
		local value
		value, behind, fault = read_value(text, pos + 1, depth + 1)
		if value == nil then return nil, behind, fault end
		object[key] = value
		pos = skip_blank(text, behind)
		local char = byte(text, pos)
		if char == 0x7d then return restore_keys(object), pos + 1 end
		if char ~= 0x2c then return nil, pos, "',' or '}' expected" end
		pos = skip_blank(text, pos + 1)
	end
end

local function word_reader(word, value)
	return function (text, pos)
		if sub(text, pos, pos + #word - 1) == word then return value, pos + #word end
		return nil, pos, "value expected"
	end
end

readers[0x22], readers[0x5b], readers[0x7b] = read_string, read_array, read_object
for char in ("-0123456789"):gmatch(".") do readers[byte(char)] = read_number end
for word, value in pairs { ["true"] = true, ["false"] = false, null = null } do
	readers[byte(word)] = word_reader(word, value)
end

-- "line:column: fault", columns in bytes.
local function describe(text, pos, fault)
	local line, line_start = 1, 1
	for newline in text:sub(1, pos - 1):gmatch("()\n") do
		line, line_start = line + 1, newline + 1
	end
	return ("%d:%d: %s"):format(line, pos - line_start + 1, fault)
end

--- @return the value: objects are tables, arrays util.arrays, null is json.null; or nil and
--   "line:column: what is wrong"
local function decode(text)
	if type(text) ~= "string" then return nil, "string expected, got " .. type(text) end
	local value, pos, fault = read_value(text, 1, 0)
	if value == nil then return nil, describe(text, pos, fault) end
	pos = skip_blank(text, pos)
	if pos <= #text then return nil, describe(text, pos, "text behind the value") end
	return value
end

--- Whether a value survives; prints what it became.
local function test(value)
	local encoded = encode_ordered(value)
	local recoded = encode_ordered(decode(encoded))
	print(encoded == recoded and encoded or "FAILED\n" .. encoded .. "\n" .. recoded)
	return encoded == recoded
end

return {
	null = null, array = array, encode = encode, encode_ordered = encode_ordered,
	encode_array = encode_list, decode = decode, test = test,
}
