--- module: what this host adds, cron, stores, and words of XMPP that do
-- nothing here.

local check <const> = require "core.arguments".check

local api <const> = {}

--- Counts work in flight, so that lame-duck and finish wait for it.
-- @param name what it is
-- @param service name of a service it belongs to, default none
-- @return done(), to be called once
function api:begin(name, service)
	check("begin", 1, name, "string", true)
	local sessions <const> = require "core.sessions"
	return sessions.begin(self.name, name, service)
end

--- A part of the lifecycle that a later version may lack is a clear error, not a nil call.
local function delegate(name)
	return function (module, ...)
		local lifecycle <const> = require "core.lifecycle"
		local fn = lifecycle["module_" .. name]
		if not fn then
			error(("module:%s is not available in this version"):format(name), 2)
		end
		return fn(module, ...)
	end
end

--- A background job: begun when the host serves, cancelled and joined when it ends.
-- @param name what it is
-- @param def table: start(done), cancel(reason), timeout; see core/jobs.lua
function api:background(name, def)
	check("background", 1, name, "string")
	check("background", 2, def, "table")
	return require "core.jobs".add(self, name, def)
end

--- Tables and descriptors that pass to the next generation (core.handover, core.kept_fds).
api.handover = delegate "handover"
api.keep_fd = delegate "keep_fd"
api.kept_fd = delegate "kept_fd"

--- Work that runs in one process only: the lowest worker that lives, of the host that is in charge.
-- @param name unique in the module
-- @param start called when the right is ours; may be at once, and again after a stop
-- @param stop optional: called before another process starts it, and before the module's unload
function api:singleton(name, start, stop)
	check("singleton", 1, name, "string")
	check("singleton", 2, start, "function")
	check("singleton", 3, stop, "function", true)
	require "core.singletons".add(self, name, start, stop)
end

--- The name of the module's store in the session registry.
function api:registry_name()
	return self.host == "*" and self.name or self.name .. "@" .. self.host
end

--- Opens the module's store in the session registry; see core.registry.
-- @param options nil or { onadopt = function(id, value, from) }
-- @return store with set(id, value), get(id), remove(id), list(), find(id) → promise
function api:open_registry(options)
	check("open_registry", 1, options and options.onadopt, "function", true)
	return require "core.registry".open(self:registry_name(), options)
end

--- Fires an event in all workers of the generation, this one included; see core.fire_all.
function api:fire_event_all(event, data)
	check("fire_event_all", 1, event, "string")
	return require "core.fire_all".fire(self, event, data)
end

--- Tasks of mod_cron: { name, when = "hourly" | "daily" | "weekly", run }.
function api:cron(task)
	self:depends("cron")
	self:add_item("task", task)
end

local function cron_word(when)
	return function (module, name, fn)
		if type(name) == "function" then
			name, fn = nil, name
		end
		return module:cron { name = name, when = when, run = fn }
	end
end

api.hourly, api.daily, api.weekly = cron_word "hourly", cron_word "daily", cron_word "weekly"

--- Opens a store of the module's host; see core.storagemanager.
-- @param name of the store, default the module's
-- @param kind "keyval" (default), "map", "keyval+", "list", "archive"
function api:open_store(name, kind)
	if self.host == "*" then
		return nil, "global-storage-not-supported"
	end
	return require "core.storagemanager".open(self.host, name or self.name, kind)
end

-- Announcements about XMPP are items that nobody reads; a module that sends stanzas is told.
function api:add_feature(xmlns)
	self:add_item("feature", xmlns)
end

function api:add_identity(category, kind, name)
	self:add_item("identity", { category = category, type = kind, name = name })
end

function api:add_extension(data)
	self:add_item("extension", data)
end

local function no_xmpp(name)
	return function (module)
		module:log("warn", "module:%s does nothing: this host does not speak XMPP", name)
		return nil, "not-supported"
	end
end

for _, name in ipairs { "send", "broadcast", "hook_tag", "hook_stanza" } do
	api[name] = no_xmpp(name)
end

--- @return a rejected promise: callers go on with :next()
function api:send_iq()
	no_xmpp("send_iq")(self)
	return require "util.promise".reject(require "util.error".new { type = "cancel",
		condition = "feature-not-implemented", text = "this host does not speak XMPP" })
end

function api.may()
	return true
end

function api.could()
	return true
end

function api.default_permission() end
function api.default_permissions() end

return api
