--- What the shutdown specs have in common: a daemon that writes its report, and test modules.

local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local wait_until <const> = require "spec.support.wait"

local shutdown <const> = {}

--- A module that logs every lifecycle event with the time since its first one.
shutdown.witness = [[
module:set_global()
local time = require "util.time"
local started
for _, name in ipairs {
	"shutdown-started", "shutdown/lame-duck", "shutdown/stop-accepting", "shutdown/close-clients",
	"shutdown/stop-services", "shutdown/quit", "lameduck-started", "lameduck-ended",
	"server-stopping", "server-cleanup", "server-stopped", "shutdown-aborted", "shutdown-hurried",
	"drain-started", "drain-ended", "finish-started", "finish-ended", "lifecycle-changed",
	"sessions-idle", "signal-after/SIGTERM", "signal-after/SIGUSR1", "listener-closed",
} do
	module:hook(name, function (event)
		started = started or time.monotonic()
		local words = {}
		for _, key in ipairs { "from", "to", "reason", "result", "step", "service", "evict", "origin" } do
			if event[key] ~= nil then words[#words + 1] = key .. "=" .. tostring(event[key]) end
		end
		module:log("info", "saw %s [%s] at %.3f", name, table.concat(words, " "),
			time.monotonic() - started)
	end, 1000)
end
]]

--- A module of class admin that runs each line as Lua in the worker and answers with one line; it
-- is there until the last phase, whether or not a console is enabled.
shutdown.remote = [[
module:set_global()
local lifecycle = require "core.lifecycle"
local listener = { default_mode = "*l" }
local function show(...)
	local words = {}
	for i = 1, select("#", ...) do
		local value = select(i, ...)
		words[i] = type(value) == "table" and value.line or tostring(value)
	end
	return table.concat(words, " ")
end
function listener.onincoming(conn, line)
	local chunk, err = load("local lifecycle, module = ... " .. line, "=remote", "t")
	if not chunk then
		return conn:write(err .. "\n")
	end
	conn:write(show(select(2, pcall(chunk, lifecycle, module))) .. "\n")
end
module:provides("net", { name = "remote", default_port = 0, default_interface = "127.0.0.1",
	class = "admin", listener = listener })
]]

--- Starts a daemon with echo and the witness.
---@param spec table as for daemon.start; `enable` (list of modules besides), `config` is added
function shutdown.start(spec)
	local names = { '"witness"', '"echo"', '"remote"' }
	for _, name in ipairs(spec.enable or { "graceful_shutdown" }) do
		names[#names + 1] = ("%q"):format(name)
	end
	spec.config = ("modules_enabled = { %s }\n"):format(table.concat(names, ", "))
		.. 'echo_ports = { 0 }\necho_interfaces = { "127.0.0.1" }\n'
		.. 'remote_interfaces = { "127.0.0.1" }\nshutdown_report = "report.json"\n'
		.. "shutdown_pause = 0.2\nclose_spread = 0.05\n" .. (spec.config or "")
	spec.modules = spec.modules or {}
	spec.modules.remote = shutdown.remote
	spec.modules.witness = spec.modules.witness or shutdown.witness
	return daemon.start(spec)
end

--- Starts one with the modules of the spec enabled beside those that are named.
---@param names table list
---@param spec table as for shutdown.start
function shutdown.with(names, spec)
	local added = {}
	for name in pairs(spec.modules or {}) do added[#added + 1] = name end
	table.sort(added)
	spec.enable = table.move(added, 1, #added, #names + 1, table.move(names, 1, #names, 1, {}))
	return shutdown.start(spec)
end

--- The text of a global module.
function shutdown.global(body)
	return "module:set_global()\n" .. body
end

--- A module that holds a phase for ever.
---@param phase string|nil default "close-clients"
function shutdown.holder(phase)
	return shutdown.global(('module:hook("shutdown/%s", function (event) event:hold("never") end)')
		:format(phase or "close-clients"))
end

--- The shutdown report of a daemon that has ended.
function shutdown.report(d)
	local text = process.read_file(d.dir .. "/data/report.json")
	assert(text, "no report; log:\n" .. d:log())
	return assert(json.decode(text))
end

--- The names of the events that the witness saw, in order; `prefix` keeps those that begin with it.
function shutdown.seen(d, prefix)
	local names = {}
	for _, line in ipairs(d:log_lines("saw ")) do
		local name = line:match("saw (%S+)")
		if not prefix or name:sub(1, #prefix) == prefix then names[#names + 1] = name end
	end
	return names
end

--- The states the host went through.
function shutdown.moves(d)
	local list = {}
	for _, line in ipairs(d:log_lines("saw lifecycle%-changed")) do
		list[#list + 1] = line:match("from=(%S+)") .. " " .. line:match("to=([^%s%]]+)")
	end
	return list
end

--- The port of a service, from the log: these specs look at the stop, also without a console.
function shutdown.port(d, service)
	return math.tointeger(d:wait_log("Activated service '" .. service .. "'"):match("%]:(%d+)"))
end

--- A function that runs a line of Lua in the worker (`lifecycle` and `module` are there) and
-- returns what it answers.
function shutdown.control(d)
	local c = d:connect(shutdown.port(d, "remote"))
	return function (line)
		assert(c:send(line .. "\n"))
		return assert(c:line())
	end
end

--- An answering connection to echo: it is known to be accepted.
function shutdown.client(d)
	local c = d:connect(shutdown.port(d, "echo"))
	c:send("hello\n")
	assert(c:line() == "hello")
	return c
end

--- Everything up to the end of the connection.
function shutdown.rest(c, seconds)
	local lines = {}
	wait_until(function()
		local line, err = c:line(0.1)
		if line then lines[#lines + 1] = line end
		return not line and err ~= "timeout"
	end, seconds or 5, "the end of the connection")
	return lines
end

return shutdown
