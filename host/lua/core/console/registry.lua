--- The commands that the console knows: section, name, arguments, flags, handler.
--
-- A command is an item "shell-command" as in Prosody 13: { section, section_desc, name, desc,
-- args = { { name, type, optional } }, flags, host_selector, handler = function (self, ...) }.
-- A command without a section is a word of its own (`status`). flags is Prosody's
-- { value_params = { name = true } } or a list as core.console.args has it; the handler gets their
-- values as one table after the last argument. Modules for Prosody 0.12 put functions into the
-- shared tables `env` (sections) and `commands` (words) instead.

local didyoumean <const> = require "util.didyoumean"

local registry <const> = {}
local methods <const> = {}
methods.__index = methods

--- @param env shared table of sections, @param words shared table of words; both may be empty
function registry.new(env, words)
	return setmetatable({ sections = {}, words = {}, env = env or {}, old_words = words or {} },
		methods)
end

-- Prosody's two ways to write flags, as a list.
local function flag_list(flags)
	if not flags then
		return nil
	elseif #flags > 0 then
		return flags
	end
	local list <const>, seen <const> = {}, {}
	local function add(name, takes_value)
		if not seen[name] then
			seen[name] = true
			list[#list + 1] = { name = (name:gsub("_", "-")), value = takes_value and "VALUE" or nil }
		end
	end
	for name in pairs(flags.value_params or {}) do
		add(name, true)
	end
	for short, name in pairs(flags.short_params or {}) do
		add(name)
		for _, flag in ipairs(list) do
			flag.short = flag.name == name:gsub("_", "-") and short or flag.short
		end
	end
	for _, name in ipairs(flags.bool_params or {}) do
		add(name)
	end
	return list
end

--- Adds a command. The newest one of a name wins; removing it brings the older one back.
-- @param item the item @param host of the module that added it, if it is one of a host
-- @return what remove() takes
function methods:add(item, host)
	local command <const> = setmetatable({ host = host, flag_list = flag_list(item.flags) },
		{ __index = item })
	local list = self.words
	if command.section then
		local section = self.sections[command.section] or { name = command.section, commands = {} }
		self.sections[command.section] = section
		section.desc = command.section_desc or section.desc
		list = section.commands
	end
	list[command.name] = list[command.name] or {}
	table.insert(list[command.name], 1, command)
	return command
end

--- The command of the host that the arguments name (Prosody 13's host_selector), else itself.
-- @param values arguments, in the order of `args`
-- @return command; nil and what is wrong
function methods:for_host(command, values)
	local selector <const> = command.host_selector
	for i, arg in ipairs(selector and command.args or {}) do
		if arg.name == selector then
			local host <const> = tostring(values[i]):match("@(.+)$") or values[i]
			for _, candidate in ipairs(self.sections[command.section].commands[command.name]) do
				if candidate.host == nil or candidate.host == host then
					return candidate
				end
			end
			return nil, ("'%s %s' is not available on '%s'"):format(command.section, command.name,
				tostring(host))
		end
	end
	return command
end

--- Removes what add() added.
function methods:remove(command)
	local section <const> = self.sections[command.section]
	local list <const> = command.section and (section and section.commands or {}) or self.words
	local stack <const> = list[command.name] or {}
	for i = #stack, 1, -1 do
		if stack[i] == command then
			table.remove(stack, i)
		end
	end
	list[command.name] = stack[1] and stack or nil
	if section and not next(section.commands) then
		self.sections[command.section] = nil
	end
end

-- A function from the table `env`, dressed as a command.
local function from_env(section, name, fn)
	return { section = section, name = name, args = {}, any_args = true, handler = fn, old = true }
end

--- @return the command `name` of `section` (nil: the word), or nil
function methods:find(section, name)
	if not section then
		local stack <const> = self.words[name]
		return stack and stack[1]
	end
	local known <const> = self.sections[section]
	local stack <const> = known and known.commands[name]
	if stack then
		return stack[1]
	end
	local old <const> = self.env[section]
	if type(old) == "table" and type(old[name]) == "function" then
		return from_env(section, name, old[name])
	end
end

--- Whether there is such a section.
function methods:has_section(name)
	return self.sections[name] ~= nil or type(self.env[name]) == "table"
end

local function sorted(set)
	local list <const> = {}
	for name in pairs(set) do
		list[#list + 1] = name
	end
	table.sort(list)
	return list
end

--- Sorted names of all sections.
function methods:section_names()
	local names <const> = {}
	for name in pairs(self.sections) do
		names[name] = true
	end
	for name, value in pairs(self.env) do
		names[name] = type(value) == "table" or nil
	end
	return sorted(names)
end

--- Sorted names of all words that stand alone.
function methods:word_names()
	local names <const> = {}
	for _, list in ipairs { self.words, self.old_words } do
		for name in pairs(list) do
			names[name] = true
		end
	end
	return sorted(names)
end

--- Sorted names of the commands of a section.
function methods:command_names(section)
	local names <const> = {}
	for name in pairs(self.sections[section] and self.sections[section].commands or {}) do
		names[name] = true
	end
	if type(self.env[section]) == "table" then
		for name, value in pairs(self.env[section]) do
			names[name] = type(value) == "function" or nil
		end
	end
	return sorted(names)
end

local function hint(near, otherwise)
	return near and ("did you mean '%s'?"):format(near) or otherwise
end

--- What to say about a word that is neither a section nor a command.
function methods:unknown(word)
	local all <const> = {}
	for _, list in ipairs { self:section_names(), self:word_names() } do
		for _, name in ipairs(list) do
			all[name] = true
		end
	end
	return ("unknown command '%s' (%s)"):format(word:sub(1, 64),
		hint(didyoumean.suggest(word:sub(1, 64), all), "'help' lists them"))
end

--- What to say about a command that its section does not have.
function methods:unknown_in(section, name)
	local names <const> = self:command_names(section)
	local near <const> = didyoumean.suggest(name:sub(1, 64), names)
	return ("'%s' has no command '%s' (%s)"):format(section, name:sub(1, 64),
		hint(near, "it has " .. table.concat(names, ", ")))
end

--- How a command is written: "module reload MODULE [HOST]".
function registry.usage(command)
	local parts <const> = { command.section or command.name, command.section and command.name }
	for _, arg in ipairs(command.args or {}) do
		local name <const> = (arg.name or "?"):upper()
		parts[#parts + 1] = arg.optional and "[" .. name .. "]" or name
	end
	for _, flag in ipairs(command.flag_list or {}) do
		parts[#parts + 1] = ("[--%s%s]"):format(flag.name, flag.value and " " .. flag.value or "")
	end
	return table.concat(parts, " ")
end

return registry
