-- string.format for log lines; API of Prosody 13's util.format. It never raises, whatever the
-- arguments,
-- and what it writes cannot be mistaken for a second line or for terminal commands: control
-- characters
-- become visible symbols, a line break is followed by a tab, text that is not UTF-8 is quoted.

local find <const>, gsub <const>, s_format <const>, sub <const> =
	string.find, string.gsub, string.format, string.sub
local math_type <const>, pack <const>, unpack <const> = math.type, table.pack, table.unpack
local tostring <const>, type <const>, utf8_len <const> = tostring, type, utf8.len
local serialization <const> = require "util.serialization"

local dump <const> = serialization.new {
	preset = "compact", freeze = true, fatal = false, maxdepth = 5,
	fallback = function (value, why) return "_[[" .. (why or tostring(value)) .. "]] " end,
}

local CONTROLS <const> = "[%z\1-\8\11-\31\127]"
local symbols <const> = { ["\127"] = "\u{2421}" }
for i = 0, 31 do
	symbols[s_format("%c", i)] = s_format("\u{2400}"):gsub(".$", function (last)
		return s_format("%c", last:byte() + i)
	end)
end

local wants_integer <const> = { c = 1, d = 1, i = 1, o = 1, u = 1, X = 1, x = 1 }
local wants_positive <const> = { o = 1, u = 1, X = 1, x = 1 }

local function clean(text)
	return (gsub(gsub(text, CONTROLS, symbols), "\n\t?", "\n\t"))
end

-- Text for a place that asks for text.
local function write_text(spec, text)
	if not utf8_len(text) then return "%s", dump(text) end
	return spec, clean(text)
end

local function write_number(option, spec, n)
	if wants_integer[option] and math_type(n) ~= "integer" or wants_positive[option] and n < 0 then
		return "[%s]", tostring(n)
	end
	-- Lua has no %u
	return option == "u" and sub(spec, 1, -2) .. "d" or spec, n
end

-- One specifier and its argument -> the ones to use instead.
local function convert(spec, value)
	local option, kind = sub(spec, -1), type(value)
	if value == nil then
		return "(%s)", "nil"
	elseif option == "q" then
		return "%s", dump(value)
	elseif option == "s" then
		return write_text(spec, tostring(value))
	elseif option == "p" then
		if kind == "boolean" or kind == "number" then return "[%s]", tostring(value) end
		return spec, value
	elseif kind == "number" then
		return write_number(option, spec, value)
	end
	return write_text("[%s]", tostring(value))
end

-- string.format refuses a width or precision of more than two digits, and some flags.
local function checked(spec)
	return find(spec, "^%%[-+ #0]*%d?%d?%.?%d?%d?%a$") and spec or "%" .. sub(spec, -1)
end

--- @param pattern as for string.format, with %s, %q, %p and the number options
-- @return text; a missing argument is "(nil)", one of the wrong kind "[value]", a surplus one "
--   [value]"
local function format(pattern, ...)
	local args = pack(...)
	local i = 0
	pattern = gsub(pattern, "%%[^cdiouxXaAeEfgGpqs%%]*[cdiouxXaAeEfgGpqs%%]", function (spec)
		if spec == "%%" then return nil end
		i = i + 1
		spec, args[i] = convert(checked(spec), args[i])
		return spec
	end)
	while i < args.n do
		i = i + 1
		args[i] = args[i] == nil and "(nil)" or clean(tostring(args[i]))
		pattern = pattern .. " [%s]"
	end
	return s_format(pattern, unpack(args, 1, i))
end

return { format = format }
