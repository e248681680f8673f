--- Help, made from the command table.

local commands <const> = require "cli.commands"

local help <const> = {}

local function flag_words(flag)
	local words = (flag.short and "-" .. flag.short .. ", " or "    ") .. "--" .. flag.name
	return flag.value and words .. " " .. flag.value or words
end

local function print_flags(out, title, flags)
	local shown <const> = {}
	for _, flag in ipairs(flags) do
		if not flag.hidden then
			shown[#shown + 1] = ("  %-28s %s\n"):format(flag_words(flag), flag.help)
		end
	end
	if #shown > 0 then
		out:write("\n", title, ":\n", table.concat(shown))
	end
end

--- All commands. @param out a file @return 0
function help.overview(out)
	out:write("gadwall: runs services written in Lua; stops, moves and changes them gracefully.\n\n",
		"usage: gadwall [OPTIONS] COMMAND …\n\ncommands:\n")
	for _, command in ipairs(commands.list) do
		out:write(("  %-11s %s\n"):format(command.name, command.summary))
	end
	print_flags(out, "options of every command", commands.common)
	print_flags(out, "without a command", commands.global)
	out:write("\ngadwall COMMAND --help says more. Exit: 0 done, 1 failed, 2 usage, 3 not running,\n",
		"4 timed out, 5 running but draining or degraded (status).\n")
	return 0
end

--- One command. @param command its row @param out a file @return 0
function help.command(command, out)
	local words <const> = command.args and " " .. command.args or ""
	local text <const> = "usage: gadwall %s [OPTIONS]%s\n\n%s\n"
	out:write(text:format(command.name, words, command.summary))
	print_flags(out, "options", command.flags)
	print_flags(out, "options of every command", commands.common)
	return 0
end

return help
