--- `gadwall WORD …`: finds the command and hands over. Called by boot.lua with the arguments.

local args <const> = require "core.console.args"
local commands <const> = require "cli.commands"
local didyoumean <const> = require "util.didyoumean"
local ui <const> = require "cli.ui"

local function usage(message)
	io.stderr:write("gadwall: ", message, "\n")
	return ui.exit.usage
end

local function unknown(word)
	local near <const> = didyoumean.suggest(word, commands.by_name)
	local hint <const> = near and ("did you mean '%s'?"):format(near)
		or "gadwall --help lists them"
	return usage(("unknown command '%s' (%s)"):format(word, hint))
end

-- `gadwall help COMMAND`, also for a command of two words (new module).
local function help(about, more)
	local text <const> = require "cli.help"
	local command <const> = commands.by_name[about or ""]
	if not about or about == "help" or about:find("^%-") then
		return text.overview(io.stdout)
	elseif not command then
		return unknown(about)
	elseif more and more ~= (command.args or ""):match("^%a+") then
		return usage(("help: unexpected word '%s' (gadwall help COMMAND)"):format(more))
	end
	return text.command(command, io.stdout)
end

local function without_command(values)
	local info <const> = require "cli.about"
	if values.list_failpoints then
		return info.failpoints()
	elseif values.version then
		return info.version(values)
	end
	require "cli.help".overview(values.help and io.stdout or io.stderr)
	return values.help and 0 or ui.exit.usage
end

-- The words after the command word: flags and plain words, or untouched ones for shell and lua.
local function parse_command(command, words, values)
	return args.parse(words, commands.flags_of(command),
		{ values = values, stop_at_word = command.raw })
end

local function run(command, values, words)
	if values.help then
		require "cli.help".command(command, io.stdout)
		return 0
	end
	if not command.raw and #words > (command.words or 0) then
		return usage(("%s: unexpected word '%s' (gadwall %s --help)"):format(command.name,
			words[(command.words or 0) + 1], command.name))
	end
	if values.color == nil and values.json then
		values.color = "never"
	end
	local handler <const> = require(command.handler)
	return handler { command = command, opts = values, words = words, ui = ui.new(values) }
end

return function(...)
	local flags <const> = commands.flags_of(nil)
	local values, words = args.parse({ ... }, flags, { stop_at_word = true })
	if not values then
		return usage(words)
	end
	local word <const> = table.remove(words, 1)
	if not word then
		return without_command(values)
	end
	if word == "help" then
		return help(table.unpack(words))
	end
	local command <const> = commands.by_name[word]
	if not command then
		return unknown(word)
	end
	local parsed, rest = parse_command(command, words, values)
	if not parsed then
		return usage(("%s: %s"):format(word, rest))
	end
	return run(command, parsed, rest)
end
