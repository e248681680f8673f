--- Every event that the runtime and our own modules fire, as data: the
-- isolation of handlers, the docs and a spec read it. mode "all": every handler runs, whatever
-- the others return; "first": the first answer that is not nil counts and ends the round.

local list <const> = {}

local function event(name, by, payload, doc, mode)
	list[#list + 1] = { name = name, by = by, payload = payload, doc = doc, mode = mode or "all" }
end

event("server-starting", "boot", "holds", "hosts activate, modules load; readiness waits for holds")
event("server-started", "lifecycle", "{generation, inherited}",
	"all listeners listen, ready; resolves `prosody.started`")
event("lifecycle-changed", "lifecycle", "{from, to, reason, origin, at}", "after each legal move")
event("service-added", "portmanager", "{name, service}", "a module provides a service")
event("service-removed", "portmanager", "{name, service}", "it no longer does")
event("listener-opened", "portmanager", "{service, interface, port, class, inherited}",
	"after listen")
event("listener-closed", "portmanager", "{service, interface, port, class, inherited}",
	"after close")
event("module-loaded", "modulemanager", "{module, host}", "on the host's events")
event("module-unloaded", "modulemanager", "{module, host}", "on the host's events")
event("module-reloaded", "modulemanager", "{module, host}", "on the host's events")
event("module-load-failed", "modulemanager", "{module, host, error, kept}",
	"kept: the old instance stays")
event("reloading-config", "configmanager", "{}", "a new config is about to be read")
event("config-reloaded", "configmanager", "{filename, config, changed, deferred}",
	"it is in force; changed and deferred are sets of option names")
event("config-reload-failed", "configmanager", "{faults}", "the old config stays in force")
event("reopen-log-files", "loggingmanager", "-", "log files are about to be reopened")
event("logging-reloaded", "loggingmanager", "-", "they have been")
event("signal-before/NAME", "lifecycle", "{signal, verb, state}", "false or a string vetoes",
	"first")
event("signal/NAME", "lifecycle", "{signal, verb, state}", "true: handled, no verb", "first")
event("signal-after/NAME", "lifecycle", "{signal, verb, result, reason}", "what became of it")
event("drain-started", "lifecycle", "{service, reason, origin}", "reversible; once per change")
event("drain-ended", "lifecycle", "{service, reason, origin}", "undrained")
event("sessions-idle", "core.sessions", "{service}",
	"the own count reached zero while draining, finishing or in lame-duck")
event("finish-started", "lifecycle", "{reason, deadline, sessions}", "the idle wait begins")
event("finish-ended", "lifecycle", "{result, sessions}", "teardown with evict = false follows")
event("shutdown-started", "lifecycle", "{reason, code, origin, evict, deadline}",
	"the driver takes over here; true: I drive", "first")
event("lameduck-started", "lameduck", "{period, deadline, holds}", "not ready, still serving")
event("lameduck-ended", "lameduck", "{result, error, seconds}",
	"the period is over, or was cut short")
event("shutdown/<phase>", "graceful_shutdown", "{phase, reason, code, evict, deadline, holds}",
	"the phase begins; it ends when work and holds are done, or at the deadline")
event("shutdown-phase-ended", "graceful_shutdown", "{phase, seconds, result, holders}",
	"holders: who was still holding when it ended")
event("server-stopping", "graceful_shutdown", "{reason, code, evict, deadline, holds}",
	"everything else closes; handlers may wait up to the deadline")
event("server-cleanup", "lifecycle", "{}", "connections have been told; what is left is given back")
event("server-stopped", "lifecycle", "{report}", "before any module.unload")
event("shutdown-aborted", "lifecycle", "{reason, origin}", "back to serving")
event("shutdown-hurried", "lifecycle", "{signal or origin, step}", 'step: "phase" or "hammer"')
event("upgrade-state", "keeper", "{state, from, generation, target, reason, deadline}",
	"in the active generation")
for _, name in ipairs { "started", "committed", "failed", "rolled-back" } do
	event("upgrade-" .. name, "keeper", "{generation, target, reason, failed_state}",
		"for modules that need only these")
end
event("generation-activated", "keeper", "{generation, predecessor}", "singletons start")
event("generation-deactivated", "keeper", "{generation, successor}", "singletons have been stopped")
event("predecessor-stopped", "keeper", "{generation, exit, result}", "in every younger generation")
event("handover-failed", "handover", "{module, name, error, side}", "fresh start")
event("worker-started", "keeper", "{generation, worker, exit, signal, restarts}",
	"in the other workers")
event("worker-ended", "keeper", "{generation, worker, exit, signal, restarts}",
	"in the other workers")
event("keeper-lost", "lifecycle", "{}", "the keeper has died; the worker serves on")
event("keeper-regained", "lifecycle", "{pid}", "a new keeper has taken the worker over")
event("peer-joined", "sessions_redis", "{server_id, state}", "another host shares the store")
event("peer-left", "sessions_redis", "{server_id, state}", "it has said so, or its lease is over")
event("store-up", "sessions_redis", "{error}", "the store answers")
event("store-down", "sessions_redis", "{error}", "down never means idle")
event("process-exited", "net.process", "{module, name, exit, signal}",
	"also the object's own callback")
event("callback-slow", "worker", "{module, event, seconds, traceback}", "a callback held the loop")
event("admin-line", "admin_socket", "{origin, line}",
	"a line came over the admin socket; true = answered", "first")
event("admin-disconnected", "admin_socket", "{origin}", "a client of the admin socket has gone")
event("stats-update", "statsmanager", "-", "producers set their values")
event("openmetrics-updated", "statsmanager", "{metric_registry}", "values are current")
event("host-activated", "hostmanager", "name", "modules of the host are about to be loaded")
event("host-deactivating", "hostmanager", "{host, host_session, reason}",
	"its modules are about to be unloaded")
event("host-deactivated", "hostmanager", "name", "it is gone")
event("hosts-activated", "hostmanager", "config", "all hosts of the config are active")
event("store-opened", "storagemanager", "{host, store_name, store_type, store}",
	"on the host's events; a handler may put another store in its place")
event("module-status/updated", "moduleapi", "{name}", "on the host's events: its status or message")
event("item-added/KEY", "moduleapi", "{source, item}", "on the host's events")
event("item-removed/KEY", "moduleapi", "{source, item}", "on the host's events")

local modes <const> = {}
for _, row in ipairs(list) do
	modes[row.name] = row.mode
end

--- The declared form of a name: "signal/SIGHUP" is declared as "signal/NAME".
local function declared(name)
	if modes[name] then
		return name
	end
	local front = type(name) == "string" and name:match("^([^/]+/)")
	for _, rest in ipairs { "NAME", "KEY", "<phase>" } do
		if front and modes[front .. rest] then
			return front .. rest
		end
	end
	return nil
end

return {
	list = list,
	--- How handlers of an event are treated: "all", "first", or nil for an event that is not ours.
	mode = function (name)
		local known = declared(name)
		return known and modes[known]
	end,
	--- The row that declares an event, or nil.
	declared = declared,
}
