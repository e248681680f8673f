-- string.format for log lines; API of Prosody 13's util.format. It never raises, whatever the
-- arguments, and what it writes cannot be mistaken for a second line or for terminal commands:
-- control characters become visible symbols, a line break is followed by a tab, text that is not
-- UTF-8 is quoted.

local find <const>, gsub <const>, s_format <const>, sub <const> =
	string.find, string.gsub, string.format, string.sub
local math_type <const>, pack <const>, unpack <const> = math.type, table.pack, table.unpack
local concat <const>, utf8_len <const> = table.concat, utf8.len
local serialization <const> = require "util.serialization"

local dump <const> = serialization.new {
	preset = "compact", freeze = true, fatal = false, maxdepth = 5,
	fallback = function (value, why) return "_[[" .. (why or tostring(value)) .. "]] " end,
}

local CONTROLS <const> = "[%z\1-\8\11-\31\127]"
local symbols <const> = { ["\127"] = "\u{2421}" }
for i = 0, 31 do
	symbols[string.char(i)] = utf8.char(0x2400 + i)
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

--- @param pattern as for string.format, with %s, %q, %p and the number options
-- @return text; a missing argument is "(nil)", one of the wrong kind "[value]", a surplus one
--   " [value]"; a pattern that string.format refuses stands there as it is, before its arguments
local function format(pattern, ...)
	local args = pack(...)
	local i = 0
	if type(pattern) ~= "string" then pattern = tostring(pattern) end
	local converted = gsub(pattern, "%%([^cdiouxXaAeEfgGpqs%%]*)([cdiouxXaAeEfgGpqs%%]?)",
		function (flags, option)
			if option == "%" and flags == "" then return nil end
			if option == "" or option == "%" then return "%%" .. flags .. option .. option end
			i = i + 1
			local value = args[i]
			-- what nearly every log line is made of
			if option == "s" and type(value) == "string" and not find(value, "[^ -~]")
				or option == "d" and math_type(value) == "integer" then
				return nil
			end
			local spec
			spec, args[i] = convert("%" .. flags .. option, value)
			return spec
		end)
	local used = i
	while i < args.n do
		i = i + 1
		args[i] = args[i] == nil and "(nil)" or clean(tostring(args[i]))
		converted = converted .. " [%s]"
	end
	local ok, text = pcall(s_format, converted, unpack(args, 1, i))
	if ok then return text end
	for k = 1, used do args[k] = clean(tostring(args[k])) end
	return clean(pattern) .. " [" .. concat(args, "] [", 1, i) .. "]"
end

return { format = format }
