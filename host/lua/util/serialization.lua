-- Lua values as Lua text; API and options of Prosody's util.serialization.

local s_format <const>, s_gsub <const>, s_match <const>, s_rep <const> =
	string.format, string.gsub, string.match, string.rep
local hex_encode <const> = require "util.hex".encode

local keywords <const> = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
	return then true until while]]):gmatch("%a+") do
	keywords[word] = true
end

local escapes <const> = {
	["\a"] = "\\a", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
	["\t"] = "\\t", ["\v"] = "\\v", ["\\"] = "\\\\", ['"'] = '\\"', ["'"] = "\\'",
}
for i = 0, 255 do
	local char = string.char(i)
	escapes[char] = escapes[char] or s_format("\\%03d", i)
end

local presets <const> = {
	debug = {
		freeze = true, fatal = false, unquoted = true,
		indentwith = "", itemstart = " ", itemlast = "", tend = " }",
		fallback = function (value, why)
			return s_format("{__type=%q,__error=%q}", type(value), why or "fail")
		end,
	},
	oneline = { indentwith = "", itemstart = " ", itemlast = "", tend = " }" },
	compact = { indentwith = "", itemstart = "", itemlast = "", equals = "=", unquoted = true },
	pretty = { fatal = false, freeze = true, unquoted = true },
}

local defaults <const> = {
	indentwith = "\t", itemstart = "\n", itemsep = ";", itemlast = ";\n", tstart = "{", tend = "}",
	kstart = "[", kend = "]", equals = " = ", maxdepth = 127, keywords = keywords,
	table_iterator = function (t) return next, t, nil end,
}

local function fatal_fallback(value, why)
	error("Can't serialize " .. type(value) .. (why and ": " .. why or ""), 0)
end

local function write_number(n)
	if math.type(n) == "integer" then return s_format("%d", n) end
	if n ~= n then return "(0/0)" end
	if n == math.huge then return "(1/0)" elseif n == -math.huge then return "(-1/0)" end
	local text = s_format("%.18g", n)
	-- a float stays a float
	return s_match(text, "[.e]") and text or text .. ".0"
end

local function write_string(s)
	return '"' .. s_gsub(s, "[%z\1-\31\"'\\\127-\255]", escapes) .. '"'
end

-- A string that needs many escapes is written in hexadecimal, with the option's text before it.
local function hex_writer(prefix)
	return function (s)
		local text = write_string(s)
		if #text > #s * 2 + 2 + #prefix then return prefix .. '"' .. hex_encode(s) .. '"' end
		return text
	end
end

-- options over preset over defaults
local function settle(options)
	if type(options) ~= "table" then options = { preset = options } end
	local preset = presets[options.preset] or {}
	local opt = setmetatable({}, { __index = function (_, key)
		if options[key] ~= nil then return options[key] end
		if preset[key] ~= nil then return preset[key] end
		return defaults[key]
	end })
	opt.fallback = options.fallback or preset.fallback
		or (opt.fatal == false and presets.debug.fallback or fatal_fallback)
	opt.key_pattern = opt.unquoted == true and "^[%a_][%w_]*$" or opt.unquoted
	return opt
end

-- A metatable's __freeze may give another table, or text. @return value, tag to write before it
local function freeze(t)
	local mt = getmetatable(t)
	local f = type(mt) == "table" and mt.__freeze
	if type(f) ~= "function" then return t end
	return f(t), type(mt.__name) == "string" and mt.__name or nil
end

local write_value

local function write_key(opt, out, key, depth)
	if opt.key_pattern and type(key) == "string" and not opt.keywords[key]
		and s_match(key, opt.key_pattern) then
		out[#out + 1] = key
	else
		out[#out + 1] = opt.kstart
		write_value(opt, out, key, depth + 1)
		out[#out + 1] = opt.kend
	end
	out[#out + 1] = opt.equals
end

local function write_items(opt, out, t, depth)
	local indent, following, empty = s_rep(opt.indentwith, depth), 1, true
	out[#out + 1] = opt.tstart
	for key, value in opt.table_iterator(t) do
		if not empty then out[#out + 1] = opt.itemsep end
		empty = false
		out[#out + 1] = opt.itemstart
		out[#out + 1] = indent
		if key == following then
			following = following + 1
		else
			write_key(opt, out, key, depth)
		end
		write_value(opt, out, value, depth + 1)
	end
	if not empty then
		out[#out + 1] = opt.itemlast
		out[#out + 1] = s_rep(opt.indentwith, depth - 1)
	end
	out[#out + 1] = opt.tend
end

local function write_table(opt, out, t, depth)
	local seen = out.seen
	if seen[t] or depth > opt.maxdepth then
		out[#out + 1] = opt.fallback(t, seen[t] and "table has multiple references"
			or "max table depth reached")
		return
	end
	local frozen, tag = t, nil
	seen[t] = true
	if opt.freeze == true then frozen, tag = freeze(t) end
	if type(frozen) == "string" then
		out[#out + 1] = frozen
	else
		seen[frozen] = true
		out[#out + 1] = tag
		write_items(opt, out, frozen, depth)
	end
	if opt.multiref then seen[t], seen[frozen] = nil, nil end
end

function write_value(opt, out, value, depth)
	local kind = type(value)
	if kind == "table" then
		write_table(opt, out, value, depth)
	elseif kind == "string" then
		out[#out + 1] = opt.write_string(value)
	elseif kind == "number" then
		out[#out + 1] = write_number(value)
	elseif kind == "boolean" or kind == "nil" then
		out[#out + 1] = tostring(value)
	else
		out[#out + 1] = opt.fallback(value)
	end
end

--- @param options nil, a preset ("debug", "oneline", "compact", "pretty") or a table: preset,
--   fallback(value, why) -> text, fatal (false: a mark instead of an error), freeze, unquoted (true
--   or pattern), hex (prefix), maxdepth, multiref, table_iterator, keywords, indentwith, itemstart,
--   itemsep, itemlast, tstart, tend, kstart, kend, equals
-- @return function (value) -> text
local function new(options)
	local opt = settle(options)
	opt.write_string = type(opt.hex) == "string" and hex_writer(opt.hex) or write_string
	return function (value)
		local out = { seen = {} }
		write_value(opt, out, value, 1)
		return table.concat(out)
	end
end

local default <const> = new()

local function serialize(value, options)
	if options == nil then return default(value) end
	return new(options)(value)
end

--- Reads back. The text is run as Lua in an empty environment: it must come from us.
-- @return the value; or nil and why not
local function deserialize(text)
	if type(text) ~= "string" then return nil end
	local f, err = load("return " .. text, "=serialized data", "t", {})
	if not f then return nil, err end
	local ok, value = pcall(f)
	if not ok then return nil, value end
	return value
end

return { new = new, serialize = serialize, deserialize = deserialize }
