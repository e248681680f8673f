--- The table behind `module` (Prosody's core.moduleapi). Options,
-- items and metrics, and what only this host has, are in core.moduleapi_options, _items and
-- _host.

local check <const> = require "core.arguments".check
local logger <const> = require "util.logger"
local paths <const> = require "util.paths"
local promise <const> = require "util.promise"
local timer <const> = require "util.timer"

local api <const> = {}

for _, part in ipairs { "core.moduleapi_options", "core.moduleapi_items", "core.moduleapi_host" } do
	for name, fn in pairs(require(part)) do
		api[name] = fn
	end
end

local function events_of(module)
	return (prosody.hosts[module.host] or prosody).events
end

function api:get_name()
	return self.name
end

function api:get_host()
	return self.host
end

function api:get_host_type()
	if self.host == "*" then
		return "global"
	end
	return prosody.hosts[self.host].type or "local"
end

--- Makes the module one for all hosts.
function api:set_global()
	local log <const> = logger.init("mod_" .. self.name)
	self.host, self.global, self._log = "*", true, log
	self.log = function (_, ...) return log(...) end
end

--- Fires an event on the module's host.
-- @return the first value that a handler returned and that is not nil
function api:fire_event(...)
	return events_of(self).fire_event(...)
end

--- Hooks an event of any object with add_handler and remove_handler, until the module is
-- unloaded.
function api:hook_object_event(object, event, handler, priority)
	if event == nil then
		check("hook", 1, event, "string")
	end
	check("hook", 2, handler, "function")
	self.event_handlers:set(object, event, handler, true)
	table.insert(self._hooks, { object, event, handler, priority })
	return object.add_handler(event, handler, priority)
end

function api:unhook_object_event(object, event, handler)
	self.event_handlers:remove(object, event, handler)
	for i = #self._hooks, 1, -1 do
		local hook = self._hooks[i]
		if hook[1] == object and hook[2] == event and hook[3] == handler then
			table.remove(self._hooks, i)
		end
	end
	return object.remove_handler(event, handler)
end

function api:hook(event, handler, priority)
	return self:hook_object_event(events_of(self), event, handler, priority)
end

function api:unhook(event, handler)
	return self:unhook_object_event(events_of(self), event, handler)
end

function api:hook_global(event, handler, priority)
	return self:hook_object_event(prosody.events, event, handler, priority)
end

function api:wrap_object_event(events, event, handler)
	return self:hook_object_event(assert(events.wrappers, "no wrappers"), event, handler)
end

--- Wraps the handlers of an event: handler(handlers, event_name, data). `false` wraps all events.
function api:wrap_event(event, handler)
	return self:wrap_object_event(events_of(self), event, handler)
end

function api:wrap_global(event, handler)
	return self:wrap_object_event(prosody.events, event, handler)
end

--- Loads LIB.lib.lua (or LIB.lua) from the module's folder, in the module's environment.
-- @return what it returns; it is run anew at each call
function api:require(lib)
	local loader <const> = require "core.modulemanager".loader
	local chunk, err = loader:load_code_ext(self.name, lib, "lib.lua", self.environment)
	if not chunk then
		error(("Failed to load plugin library '%s', error: %s"):format(lib, tostring(err)), 2)
	end
	return chunk()
end

--- The same module seen from another host.
function api:context(host)
	return setmetatable({ host = host or "*", global = host == "*" },
		{ __index = self, __newindex = self })
end

local timer_methods <const> = {}

--- Stops the timer; harmless if it has ended.
function timer_methods:stop()
	timer.stop(self.id)
end
timer_methods.disarm = timer_methods.stop

function timer_methods:reschedule(delay)
	self.again = true
	timer.reschedule(self.id, delay)
end

-- The loop knows a timer weakly and its module owns it: one that waits for an hour does not keep
-- an instance that was unloaded, and goes with it.
local timer_mt <const> = { __index = timer_methods, __gc = timer_methods.stop }
local weak <const> = { __mode = "v" }

local function timers_of(module)
	local owner = getmetatable(module).__newindex or module -- a context lives shorter than its module
	local owned = rawget(owner, "_timers") or {}
	rawset(owner, "_timers", owned)
	return owned
end

local function run_timer(now, _, known)
	local task = known[1]
	-- A timer of a module that is gone is a no-op, also if it was to repeat.
	if not task or task.module_env.loaded == false then
		return nil
	end
	task.again, task.owned[task] = nil, nil
	local delay = task.callback(now, table.unpack(task, 1, task.n))
	if type(delay) == "number" or task.again then
		task.owned[task] = true
	end
	return delay
end

--- Calls callback(now, ...) after a delay; a number that it returns is the next delay.
-- @param delay seconds
-- @return object with :stop(), :disarm(), :reschedule(delay)
function api:add_timer(delay, callback, ...)
	local task = table.pack(...)
	check("add_timer", 1, delay, "number")
	check("add_timer", 2, callback, "function")
	task.module_env, task.callback, task.owned = self, callback, timers_of(self)
	task.id = timer.add_task(delay, run_timer, setmetatable({ task }, weak))
	task.owned[task] = true
	return setmetatable(task, timer_mt)
end

--- Calls fn once the server has started (at once if it has).
-- @return a promise
function api:on_ready(fn)
	check("on_ready", 1, fn, "function")
	local started = prosody.started or promise.resolve()
	return started:next(function ()
		if self.loaded ~= false then
			return fn()
		end
	end):catch(function (err)
		self:log("error", "on_ready: %s", tostring(err))
	end)
end
api.once = api.on_ready

--- The folder that the module's file is in.
function api:get_directory()
	return self.resource_path or self.path and paths.dirname(self.path) or nil
end

--- Opens a file that lies beside the module.
function api:load_resource(path, mode)
	return io.open(paths.resolve_relative_path(self:get_directory(), path), mode)
end

-- The table itself: modules add methods to it (mod_http adds http_url).
return api
