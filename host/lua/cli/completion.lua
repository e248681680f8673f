--- `gadwall completion bash|zsh|fish`: made from the command table.

local commands <const> = require "cli.commands"
local exit <const> = require "cli.ui".exit

local shells <const> = {}

local function names(list, prefix)
	local words <const> = {}
	for _, item in ipairs(list) do
		if not item.hidden then
			words[#words + 1] = (prefix or "") .. item.name
		end
	end
	return table.concat(words, " ")
end

-- Names of modules and services come from the running host, quietly.
local dynamic <const> = { module = "module reload ", service = "server drain " }

local function live(kind)
	return ("gadwall shell complete '%s' 2>/dev/null"):format(dynamic[kind])
end

function shells.bash()
	local out <const> = {
		"# bash completion for gadwall; made by `gadwall completion bash`",
		"_gadwall() {",
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} word= i",
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do",
		"\t\tcase ${COMP_WORDS[i]} in",
		"\t\t-c|--config|--socket|--timeout|--color) ((i++)) ;;",
		"\t\t-*) ;;",
		"\t\t*) word=${COMP_WORDS[i]}; break ;;",
		"\t\tesac",
		"\tdone",
		"\tcase ${COMP_WORDS[COMP_CWORD-1]} in",
		"\t-c|--config|--socket|--binary|--dir) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;",
		"\tesac",
		"\tlocal list=",
		"\tcase $word in",
		('\t"") list="%s %s %s" ;;'):format(names(commands.list), names(commands.common, "--"),
			names(commands.global, "--")),
	}
	for _, command in ipairs(commands.list) do
		local words = names(commands.flags_of(command), "--")
		if command.name == "completion" then
			words = words .. " bash zsh fish"
		elseif command.name == "new" then
			words = words .. " module"
		end
		local kind <const> = command.complete
		local more <const> = dynamic[kind] and (" $(%s)"):format(live(kind)) or ""
		out[#out + 1] = ('\t%s) list="%s%s" ;;'):format(command.name, words, more)
	end
	out[#out + 1] = "\tesac"
	out[#out + 1] = "\tif [[ $word == lua ]]; then COMPREPLY=($(compgen -f -- \"$cur\")); return; fi"
	out[#out + 1] = "\tCOMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))"
	out[#out + 1] = "}"
	out[#out + 1] = "complete -F _gadwall gadwall"
	return out
end

local function quoted(text)
	return (text:gsub("'", "'\\''"):gsub("[%[%]:]", "\\%0"))
end

function shells.zsh()
	local out <const> = {
		"#compdef gadwall",
		"# zsh completion for gadwall; made by `gadwall completion zsh`",
		"local -a commands options",
		"commands=(",
	}
	for _, command in ipairs(commands.list) do
		out[#out + 1] = ("\t'%s:%s'"):format(command.name, quoted(command.summary))
	end
	out[#out + 1] = ")"
	out[#out + 1] = "if (( CURRENT == 2 )); then _describe command commands; return; fi"
	out[#out + 1] = "case ${words[2]} in"
	for _, command in ipairs(commands.list) do
		out[#out + 1] = command.name .. ")"
		out[#out + 1] = "\toptions=("
		for _, flag in ipairs(commands.flags_of(command)) do
			if not flag.hidden then
				out[#out + 1] = ("\t\t'--%s[%s]%s'"):format(flag.name, quoted(flag.help or ""),
					flag.value and ":" .. quoted(flag.value) .. ":" or "")
			end
		end
		out[#out + 1] = "\t) ;;"
	end
	out[#out + 1] = "esac"
	out[#out + 1] = ("[[ ${words[2]} == reload ]] && compadd -- $(%s)"):format(live "module")
	out[#out + 1] = "_arguments $options '*:argument:_files'"
	return out
end

local function fish_flag(start, flag)
	return ("%s -l %s%s%s -d '%s'"):format(start, flag.name, flag.short and " -s " .. flag.short or "",
		flag.value and " -r" or "", (flag.help:gsub("'", "\\'")))
end

local function fish_command(out, command)
	out[#out + 1] = ("complete -c gadwall -n __fish_use_subcommand -a %s -d '%s'"):format(
		command.name, (command.summary:gsub("'", "\\'")))
	local seen <const> = ("complete -c gadwall -n '__fish_seen_subcommand_from %s'"):format(
		command.name)
	for _, flag in ipairs(command.flags) do
		if not flag.hidden then
			out[#out + 1] = fish_flag(seen, flag)
		end
	end
	if dynamic[command.complete] then
		out[#out + 1] = ([[%s -a "(%s)"]]):format(seen, live(command.complete))
	elseif command.name == "completion" then
		out[#out + 1] = seen .. " -a 'bash zsh fish'"
	end
end

function shells.fish()
	local out <const> = { "# fish completion for gadwall; made by `gadwall completion fish`",
		"complete -c gadwall -f" }
	for _, flag in ipairs(commands.common) do
		if not flag.hidden then
			out[#out + 1] = fish_flag("complete -c gadwall", flag)
		end
	end
	for _, command in ipairs(commands.list) do
		fish_command(out, command)
	end
	return out
end

return function (ctx)
	local make <const> = shells[ctx.words[1] or ""]
	if not make then
		return ctx.ui:fail(exit.usage, "completion: name a shell: bash, zsh or fish")
	end
	io.stdout:write(table.concat(make(), "\n"), "\n")
	return 0
end
