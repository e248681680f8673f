--- Completion: candidates for the last word of a line, each the whole word it would become.

local array <const> = require "util.array"

local complete <const> = {}

--- Where candidates for a type of argument come from: type = function () → list.
complete.sources = {}

local function keep(prefix, list, found)
	for _, word in ipairs(list) do
		if word:sub(1, #prefix) == prefix then
			found[#found + 1] = word
		end
	end
	return found
end

-- `module:re` → module:reload
local function call_form(commands, word)
	local section, prefix = word:match("^([%w_]+):([%w_]*)$")
	if not section or not commands:has_section(section) then
		return {}
	end
	local found <const> = {}
	for _, name in ipairs(keep(prefix, commands:command_names(section), {})) do
		found[#found + 1] = section .. ":" .. name
	end
	return found
end

local function flags(command, prefix)
	local names <const> = {}
	for _, flag in ipairs(command.flag_list or {}) do
		names[#names + 1] = "--" .. flag.name
	end
	return keep(prefix, names, {})
end

local function argument(command, position, prefix)
	if prefix:sub(1, 1) == "-" then
		return flags(command, prefix)
	end
	local arg <const> = (command.args or {})[position]
	local source <const> = arg and (arg.complete or complete.sources[arg.type or arg.name])
	return source and keep(prefix, source(), {}) or {}
end

--- @param commands registry @param line what stands before the cursor
-- @return sorted list of candidates
function complete.candidates(commands, line)
	local words <const> = {}
	for word in line:gmatch("%S+") do
		words[#words + 1] = word
	end
	if line == "" or line:match("%s$") then
		words[#words + 1] = ""
	end
	local last <const> = words[#words]
	if #words == 1 then
		if last:find(":", 1, true) then
			return call_form(commands, last)
		end
		local found <const> = keep(last, commands:section_names(), {})
		keep(last, commands:word_names(), found)
		table.sort(found)
		return found
	end
	local word <const> = commands:find(nil, words[1])
	if not commands:has_section(words[1]) then
		return word and argument(word, #words - 1, last) or {}
	elseif #words == 2 then
		return keep(last, commands:command_names(words[1]), {})
	end
	local command <const> = commands:find(words[1], words[2])
	return command and argument(command, #words - 2, last) or {}
end

--- Answers the line `complete PREFIX`.
function complete.answer(engine, prefix)
	local found <const> = complete.candidates(engine.registry, prefix)
	for _, word in ipairs(engine.out.json and {} or found) do
		engine.out.print(word)
	end
	engine.out:result(array(found))
	engine.out:finish("OK", ("%d candidates"):format(#found), 0)
end

return complete
