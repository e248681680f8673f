--- A light tokenizer of config files: where is an option assigned, where does a string stand.
-- Lua's debug info knows the line on which a statement ended; people want the line and column on
-- which it began.

local config_scan <const> = {}

--- Skips a long bracket that starts at pos. @return position after it, or nil if there is none
local function long_bracket(text, pos)
	local level = text:match("^%[(=*)%[", pos)
	if not level then
		return nil
	end
	local _, stop = text:find("]" .. level .. "]", pos, true)
	return (stop or #text) + 1
end

local function short_string(text, pos)
	local quote = text:sub(pos, pos)
	local i = pos + 1
	while i <= #text do
		local c = text:sub(i, i)
		if c == "\\" then
			i = i + 2
		elseif c == quote or c == "\n" then
			return i + 1, text:sub(pos + 1, i - 1)
		else
			i = i + 1
		end
	end
	return #text + 1, text:sub(pos + 1)
end

--- One token at pos. @return kind, value, position after it
local function token(text, pos)
	local word, after = text:match("^([%a_][%w_]*)()", pos)
	if word then
		return "name", word, after
	end
	local c = text:sub(pos, pos)
	if c == '"' or c == "'" then
		local stop, value = short_string(text, pos)
		return "string", value, stop
	end
	if text:match("^%-%-", pos) then
		return "comment", nil, long_bracket(text, pos + 2) or text:match("^[^\n]*()", pos)
	end
	local stop = c == "[" and long_bracket(text, pos)
	if stop then
		return "string", text:sub(pos, stop - 1):gsub("^%[=*%[\n?", ""):gsub("%]=*%]$", ""), stop
	end
	local number, number_end = text:match("^([%d]+[%w%.]*)()", pos)
	if number then
		return "number", number, number_end
	end
	local operator = text:match("^[=~<>]=", pos) or c
	return "symbol", operator, pos + #operator
end

local nesting <const> = { ["{"] = 1, ["("] = 1, ["}"] = -1, [")"] = -1 }

--- Scans a text.
-- @return list of { kind, value, line, column, depth }, comments left out
function config_scan.tokens(text)
	local list, pos, line, line_start, depth = {}, 1, 1, 1, 0
	while true do
		local next_pos = text:match("^[ \t\r\v\f]*()", pos)
		pos = next_pos
		if pos > #text then
			return list
		end
		if text:sub(pos, pos) == "\n" then
			line, line_start, pos = line + 1, pos + 1, pos + 1
		else
			local kind, value, stop = token(text, pos)
			local change = kind == "symbol" and nesting[value] or 0
			depth = depth + math.min(change, 0)
			if kind ~= "comment" then
				list[#list + 1] = { kind = kind, value = value, line = line,
					column = pos - line_start + 1, depth = depth }
			end
			depth = depth + math.max(change, 0)
			for newline in text:sub(pos, stop - 1):gmatch("()\n") do
				line, line_start = line + 1, pos + newline
			end
			pos = stop
		end
	end
end

local none <const> = {}

--- Whether the name at i is given a value there: `name =`, `name:append {`, `name {`.
local function is_assigned(tokens, i)
	local item, after = tokens[i], tokens[i + 1] or none
	if item.kind ~= "name" or after.kind ~= "symbol" then
		return false
	elseif after.value == ":" then
		return (tokens[i + 2] or none).value == "append"
	end
	return after.value == "=" or after.value == "{" and item.depth == 0
end

--- @param tokens list of tokens
-- @return map option name → list of { line, column, index }, in the order of the text
function config_scan.assignments(tokens)
	local map = {}
	for i, item in ipairs(tokens) do
		if is_assigned(tokens, i) then
			local places = map[item.value] or {}
			map[item.value] = places
			places[#places + 1] = { line = item.line, column = item.column, index = i }
		end
	end
	return map
end

--- Where an assignment that Lua says happened at `line` began.
-- @param scan { tokens, assignments }
-- @return place { line, column, index } or nil
function config_scan.place(scan, name, line)
	local best
	for _, place in ipairs(scan.assignments[name] or {}) do
		if place.line <= line then
			best = place
		end
	end
	return best
end

--- As place, for the options in a table that was given to a call which began at `line`.
function config_scan.place_after(scan, name, line)
	for _, place in ipairs(scan.assignments[name] or {}) do
		if place.line >= line then
			return place
		end
	end
	return nil
end

--- Where a string, number or name stands inside the assignment that began at `place`.
-- @return line, column; nil if it is not there
function config_scan.find_value(scan, place, value)
	local tokens = scan.tokens
	local start = place.index and tokens[place.index]
	if not start then
		return nil
	end
	local wanted = tostring(value)
	for i = place.index + 1, #tokens do
		local item = tokens[i]
		if item.value == wanted and item.kind ~= "symbol" then
			return item.line, item.column
		end
		if item.depth <= start.depth and item.kind == "name" and i > place.index + 1
		and tokens[i + 1] and tokens[i + 1].value == "=" then
			break
		end
	end
	return nil
end

--- @return scan of a text for place() and find_value()
function config_scan.scan(text)
	local tokens = config_scan.tokens(text)
	return { tokens = tokens, assignments = config_scan.assignments(tokens) }
end

return config_scan
