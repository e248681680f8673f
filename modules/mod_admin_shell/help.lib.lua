-- help, quit, output.

local complete <const> = require "core.console.complete"
local registry <const> = require "core.console.registry"

local help <const> = {}

local intro <const> = {
	"Commands are written in words, or as in Prosody:",
	"  module reload echo        module:reload(\"echo\")",
	"A line that begins with > is Lua in the running server:  > prosody.generation",
	"",
}

local function overview(commands, print)
	for _, line in ipairs(intro) do
		print(line)
	end
	print("Sections ('help SECTION' says more):")
	for _, name in ipairs(commands:section_names()) do
		local section <const> = commands.sections[name]
		print(("  %-10s %s"):format(name, section and section.desc or ""))
	end
	print("Words:")
	for _, name in ipairs(commands:word_names()) do
		local word <const> = commands:find(nil, name)
		print(("  %-10s %s"):format(name, word and word.desc or ""))
	end
end

local function section_help(commands, name, print)
	for _, command_name in ipairs(commands:command_names(name)) do
		local command <const> = commands:find(name, command_name)
		print(("  %-44s %s"):format(registry.usage(command), command.desc or ""))
	end
end

local function word_help(command, print)
	print(("  %s"):format(registry.usage(command)))
	print(("  %s"):format(command.desc or ""))
	for _, flag in ipairs(command.flag_list or {}) do
		print(("    --%-20s %s"):format(flag.name .. (flag.value and " " .. flag.value or ""),
			flag.help or ""))
	end
end

--- @return list of commands
function help.commands(commands, opts)
	local list <const> = {}
	list[1] = { name = "help", desc = "what there is", args = {
		{ name = "topic", optional = true, type = "topic" },
		{ name = "command", optional = true } },
		handler = function (self, topic, name)
			local print <const> = self.session.print
			local command <const> = topic and commands:find(nil, topic)
			local named <const> = name and commands:find(topic, name)
			if named then
				word_help(named, print)
			elseif topic and commands:has_section(topic) then
				section_help(commands, topic, print)
			elseif command then
				word_help(command, print)
			elseif topic then
				return nil, commands:unknown(topic)
			else
				overview(commands, print)
			end
			return true, "see also: man gadwall, modules/README.md"
		end }
	for _, name in ipairs { "quit", "exit", "bye" } do
		list[#list + 1] = { name = name, desc = "ends this session", args = {},
			handler = function (self)
				self.session:finish("OK", "bye", 0)
				self.session.origin.close()
			end }
	end
	list[#list + 1] = { name = "banner", desc = "the greeting and the prompt of gadwall shell",
		args = {}, handler = function ()
			return true, opts.banner or "", { banner = opts.banner, prompt = opts.prompt }
		end }
	list[#list + 1] = { section = "output", section_desc = "how values are shown",
		name = "configure", desc = "a preset of util.serialization, or a table of its options",
		args = { { name = "preset", optional = true } },
		handler = function (self, preset)
			self.session:configure(preset)
			return true, "output configured"
		end }
	complete.sources.topic = function ()
		return commands:section_names()
	end
	return list
end

return help
