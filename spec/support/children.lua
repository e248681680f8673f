--- What the specs of child processes have in common: a module that starts them on request.

local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local children <const> = {}

-- Lines of shutdown.remote run here: `P` is net.process, `shell(text, opts)` starts sh -c text.
local starter <const> = [[
module:set_global()
local P = require "net.process"
local shared = module:shared "/*/children/all"
shared.P = P
function shared.shell(text, opts)
	opts = opts or {}
	opts.argv = { "/bin/sh", "-c", text }
	opts.name = opts.name or "child"
	local child, err = P.spawn(opts)
	return child, err
end
function shared.pid(text, opts)
	local child, err = shared.shell(text, opts)
	return child and child.pid or err
end
module:hook("process-exited", function (event)
	module:log("info", "exited %s of %s: exit %s signal %s", event.name, tostring(event.module),
		tostring(event.exit), tostring(event.signal))
end)
]]

local prelude <const> = 'local all = module:shared "/*/children/all" '
	.. "local P, shell, pid = all.P, all.shell, all.pid "

--- A daemon that starts children.
---@param spec table as for shutdown.start
---@return table daemon
---@return function control runs a line of Lua in the worker: P, shell, pid are there
function children.start(spec)
	spec = spec or {}
	-- A start waits for the exec, and a machine may be busy.
	spec.allow = table.move(spec.allow or {}, 1, #(spec.allow or {}), 2, { "A callback took" })
	spec.modules = spec.modules or {}
	spec.modules.children = starter
	spec.enable = spec.enable or { "graceful_shutdown" }
	table.insert(spec.enable, "children")
	local d = shutdown.start(spec)
	return d, children.control(d)
end

--- Such a function for a worker that was restarted.
function children.control(d)
	local control = shutdown.control(d)
	return function (line)
		return control(prelude .. line:gsub("%s*\n%s*", " "))
	end
end

--- Starts `sh -c text` and returns its pid, once it has said "up" in its folder.
function children.shell(d, control, text, opts)
	local file = d.dir .. "/up"
	os.remove(file)
	local script = text:gsub("UP", "echo up >" .. file)
	local pid = control(("return pid(%q, %s)"):format(script, opts or "{}"))
	assert(tonumber(pid), pid)
	wait(function () return process.read_file(file) end, 10, "a child that is up")
	return math.tointeger(tonumber(pid))
end

--- Starts many at once; in several lines, because a callback has a time limit.
---@param call string Lua that starts one
function children.many(control, count, call)
	for _ = 1, count / 10 do
		control(("for i = 1, 10 do %s end return 1"):format(call))
	end
	assert(control "return #P.list()" == tostring(count))
end

--- True once the process has gone.
function children.gone(pid, seconds)
	return wait.try(function () return not process.alive(pid) end, seconds or 15)
end

return children
