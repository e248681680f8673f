-- The console: answers the lines of mod_admin_socket. The engine is core.console; commands stand in
-- mod_admin_shell/ by section; other modules add theirs as items "shell-command" (Prosody 13) or
-- in the shared tables "env" and "commands" (Prosody 0.12).

module:set_global()
module:depends("admin_socket")

local complete <const> = require "core.console.complete"
local engine <const> = require "core.console.engine"
local everywhere <const> = require "core.console.everywhere"
local registry <const> = require "core.console.registry"
local sandbox <const> = require "core.console.sandbox"
local status <const> = require "core.status"

local env <const>, words <const> = module:shared("env"), module:shared("commands")
local commands <const> = registry.new(env, words)
local banner <const> = module:get_option_string("console_banner")
local prompt <const> = module:get_option_string("admin_shell_prompt", "gadwall> ")

local sections <const> = { "help", "server", "stop", "module", "config", "port", "conn", "event",
	"log", "profile" }

local function engine_of(session)
	-- After a reload the old engine may still answer; new lines are for the new one.
	if not session.console or session.console.registry ~= commands then
		session.console = engine.new(commands, session.send, {
			origin = session,
			connected = function () return not session.gone end,
		})
	end
	return session.console
end

module:hook("admin-line", function (event)
	engine_of(event.origin):line(event.line)
	return true
end)

module:hook("admin-disconnected", function (event)
	event.origin.gone = true
	if event.origin.console then
		event.origin.console:close()
	end
end)

module:hook("config-reloaded", function ()
	status.config_loaded(require "util.time".now())
end)

-- Commands of one module of a host carry that host; see registry.
local function follow(source, host)
	local copies <const> = {}
	source:handle_items("shell-command", function (event)
		copies[event.item] = commands:add(event.item, host)
	end, function (event)
		commands:remove(copies[event.item])
		copies[event.item] = nil
	end, true)
end

follow(module, nil)
everywhere.serve(sandbox, commands)

function module.add_host(host_module)
	follow(host_module, host_module.host)
end

local unloaders <const> = {}

function module.unload()
	for _, unload in ipairs(unloaders) do
		unload()
	end
end

for _, name in ipairs(sections) do
	local library <const> = module:require(name)
	unloaders[#unloaders + 1] = library.unload
	for _, command in ipairs(library.commands(commands, { banner = banner, prompt = prompt })) do
		module:add_item("shell-command", command)
	end
	for kind, source in pairs(library.sources or {}) do
		complete.sources[kind] = source
	end
end
