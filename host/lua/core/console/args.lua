--- Words and flags, for the command line and the console alike: one grammar, one wording.
--
-- A flag is { name, value = "NAME" if it takes one, type ("period", "integer", "number", "text"),
-- short = "c", also = "other name", choices = set, help }.
-- Its value is found under the name with "-" turned to "_".

local didyoumean <const> = require "util.didyoumean"

local args <const> = {}

local units <const> = { ms = 0.001, s = 1, m = 60, min = 60, h = 3600, d = 86400, w = 604800 }

--- A time as people type it. @param text "30", "30s", "1.5m", "5 minutes"
-- @return seconds, or nil and what is wrong
function args.period(text)
	local number, unit = text:match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
	if not number then
		return nil, "is not a time (30, 30s, 5m, 1h)"
	end
	unit = unit:lower()
	local short <const> = unit:match("^min") or unit:sub(1, 1)
	local factor <const> = unit == "" and 1 or units[unit] or units[short]
	if not factor then
		return nil, "has an unknown unit of time (ms, s, m, h, d)"
	end
	return tonumber(number) * factor
end

local converters <const> = {
	text = function(text) return text end,
	string = function(text) return text end,
	period = args.period,
	number = function(text) return tonumber(text), "is not a number" end,
	integer = function(text) return math.tointeger(tonumber(text)), "is not a whole number" end,
	boolean = function(text)
		local known <const> = { ["true"] = true, yes = true, on = true, ["1"] = true,
			["false"] = false, no = false, off = false, ["0"] = false }
		return known[text:lower()], "is neither true nor false"
	end,
}

--- Turns one word into a value.
-- @param kind name of a type; others ("host", "module") are text
-- @return value; nil and what is wrong
function args.convert(kind, text)
	local value, fault = (converters[kind or "text"] or converters.text)(text)
	if value == nil then
		return nil, fault
	end
	return value
end

local function key_of(flag)
	return (flag.name:gsub("%-", "_"))
end

local function find_flag(flags, name, short)
	for _, flag in ipairs(flags) do
		local same <const> = flag.name == name or flag.also == name
		if short and flag.short == name or not short and same then
			return flag
		end
	end
end

local function unknown_flag(flags, word)
	local names <const> = {}
	for _, flag in ipairs(flags) do
		names[#names + 1] = flag.name
	end
	local near <const> = didyoumean.suggest(word:gsub("^%-+", ""):gsub("=.*", ""), names)
	local hint <const> = near and (" (did you mean '--%s'?)"):format(near) or ""
	return ("unknown option '%s'%s"):format(word:gsub("=.*", ""), hint)
end

local function store(values, flag, word, text)
	if not flag.value then
		if text then
			return nil, ("option '--%s' takes no value"):format(flag.name)
		end
		values[key_of(flag)] = true
		return true
	end
	if not text then
		return nil, ("option '%s' needs a value: %s"):format(word, flag.value)
	end
	local value, fault = args.convert(flag.type, text)
	if value == nil then
		return nil, ("option '--%s': '%s' %s"):format(flag.name, text, fault)
	end
	if flag.choices and not flag.choices[value] then
		return nil, ("option '--%s': '%s' is none of %s"):format(flag.name, text, flag.value)
	end
	values[key_of(flag)] = value
	return true
end

local function split_flag(word)
	local name, text = word:match("^%-%-([^=]+)=(.*)$")
	if name then
		return name, text, false
	end
	if word:sub(1, 2) == "--" then
		return word:sub(3), nil, false
	end
	return word:sub(2), nil, true
end

-- Stores one flag. @return how many of the following words it used; or nil, fault
local function take_flag(values, flags, word, following)
	local name, text, short = split_flag(word)
	local flag <const> = find_flag(flags, name, short)
	if not flag then
		return nil, unknown_flag(flags, word)
	end
	local used = 0
	if flag.value and not text then
		text, used = following, 1
	end
	local ok, fault = store(values, flag, word, text)
	return ok and used, fault
end

--- Takes the flags out of a list of words.
-- @param words list of strings
-- @param flags list of flags
-- @param opts `stop_at_word`: leave what follows the first plain word; `values`: table to fill
-- @return values, rest (list of plain words); or nil and a message. After "--" nothing is a flag.
function args.parse(words, flags, opts)
	opts = opts or {}
	local values <const>, rest <const> = opts.values or {}, {}
	local i, open = 1, true
	while i <= #words do
		local word <const> = words[i]
		if not open or not word:match("^%-%D") then
			rest[#rest + 1] = word
			open = open and not opts.stop_at_word
		elseif word == "--" then
			open = false
		else
			local used, fault = take_flag(values, flags, word, words[i + 1])
			if not used then
				return nil, fault
			end
			i = i + used
		end
		i = i + 1
	end
	return values, rest
end

local escapes <const> = { n = "\n", t = "\t", r = "\r", ['"'] = '"', ["'"] = "'", ["\\"] = "\\" }

-- One word, of quoted and plain pieces. @return word, position after it; or nil, fault
local function one_word(line, pos)
	local parts = {}
	while pos <= #line and not line:match("^%s", pos) do
		local quote <const> = line:match("^[\"']", pos)
		if quote then
			local stop = pos + 1
			while line:sub(stop, stop) ~= quote do
				if stop > #line then
					return nil, "a quote is not closed"
				end
				local escaped <const> = quote == '"' and line:match("^\\(.)", stop)
				parts[#parts + 1] = escaped and (escapes[escaped] or escaped) or line:sub(stop, stop)
				stop = stop + (escaped and 2 or 1)
			end
			pos = stop + 1
		else
			parts[#parts + 1] = line:sub(pos, pos)
			pos = pos + 1
		end
	end
	return table.concat(parts), pos
end

--- Splits a line into words; '…' and "…" (with \n, \t, \") keep spaces.
-- @return list of words; nil and what is wrong
function args.split(line)
	local words <const>, pos = {}, line:match("^%s*()")
	while pos <= #line do
		local word, after = one_word(line, pos)
		if not word then
			return nil, after
		end
		words[#words + 1] = word
		pos = line:match("^%s*()", after)
	end
	return words
end

return args
