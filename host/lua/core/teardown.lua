-- The last phase: final events, modules, the flush of every queue.
--
-- It runs for every kind of stop, also when a foreign driver leaves the loop by itself; then only
-- the events are left to do.

local async <const> = require "util.async"
local blame <const> = require "core.blame"
local configmanager <const> = require "core.configmanager"
local fire <const> = require "core.fire"
local jobs <const> = require "core.jobs"
local log <const> = require "util.logger".init("lifecycle")
local modulemanager <const> = require "core.modulemanager"
local options <const> = require "core.lifecycle_options"
local promise <const> = require "util.promise"
local report <const> = require "core.report"
local server <const> = require "net.server"
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local timer <const> = require "util.timer"
local whole <const> = require "core.whole"

local teardown <const> = {
	--- Seconds that the flush gets even when the stop has none left: what is queued is tried once.
	least = 0.2,
}

-- How often the flush looks at the queues: they are the kernel's to empty, and nobody tells of
-- that.
local flush_look <const> = 0.01

--- Seconds for the flush when no phase says otherwise: `shutdown_deadline` of network_settings.
function teardown.flush_time()
	local settings = configmanager.get("*", "network_settings")
	return type(settings) == "table" and tonumber(settings.shutdown_deadline) or 5
end

--- Steps 1 and 2: `server-cleanup`, `server-stopped` (final metrics).
-- @param mine the stop's record
-- @param note_error function(event, module, error)
function teardown.events(mine, note_error)
	mine.seconds = time.monotonic() - mine.asked
	fire.in_order("server-cleanup", {}, { on_error = note_error })
	fire.in_order("server-stopped", { report = report.build(mine) }, { on_error = note_error })
end

local function items_of(host, name, kind)
	local env = modulemanager.get_module(host, name)
	return (env and rawget(env.module, "items") or {})[kind] or {}
end

-- The services that a module provides. @return whether there are any; whether one is of class admin
local function services_of(host, name)
	local list = items_of(host, name, "net-provider")
	for _, item in ipairs(list) do
		if item.class == "admin" then
			return true, true
		end
	end
	return #list > 0, false
end

-- Whether a module belongs to class admin, the console or health: it provides a service of that
-- class, or none at all and stands on a module that does.
local function is_admin(host, name, depth)
	local some, admin = services_of(host, name)
	local env = modulemanager.get_module(host, name)
	if some or not env or depth == 0 then
		return admin
	end
	for below in pairs(rawget(env.module, "dependencies") or {}) do
		if is_admin(host, below, depth - 1) or is_admin("*", below, depth - 1) then
			return true
		end
	end
	return false
end

-- As deep as modules of class admin stand on one another.
local deepest <const> = 3

local OTHER <const>, MEASURING <const>, ADMIN <const> = 1, 2, 3

-- With a module all that stand on it are unloaded: what a module stands on goes no earlier than it.
-- A service does not wait for class admin: what its unload() writes has to be sent.
local function lift(ranks, entry)
	local own, lifted = ranks[entry.host .. "/" .. entry.name], false
	local env = modulemanager.get_module(entry.host, entry.name)
	for below in pairs(env and rawget(env.module, "dependencies") or {}) do
		for _, host in ipairs { entry.host, "*" } do
			local key, at_least = host .. "/" .. below, own
			if own == ADMIN and services_of(host, below) then
				at_least = OTHER
			end
			if ranks[key] and ranks[key] < at_least then
				ranks[key], lifted = at_least, true
			end
		end
	end
	return lifted
end

local function ranks_of(entries)
	local ranks = {}
	for _, entry in ipairs(entries) do
		local measures = #items_of(entry.host, entry.name, "telemetry-provider") > 0
		ranks[entry.host .. "/" .. entry.name] = is_admin(entry.host, entry.name, deepest) and ADMIN
			or measures and MEASURING or OTHER
	end
	repeat
		local lifted = false
		for _, entry in ipairs(entries) do
			lifted = lift(ranks, entry) or lifted
		end
	until not lifted
	return ranks
end

-- All modules, the last one loaded first.
-- @return those that nobody needs at the end; then what stays for it: telemetry; class admin
local function unload_order()
	local entries, lists = modulemanager.names(nil, true), { {}, {}, {} }
	local ranks = ranks_of(entries)
	for _, entry in ipairs(entries) do
		table.insert(lists[ranks[entry.host .. "/" .. entry.name]], entry)
	end
	return table.unpack(lists)
end

local function unload(list, note_error)
	for _, entry in ipairs(list) do
		blame.enter("module.unload", entry.name)
		local ok, done, err = pcall(modulemanager.unload, entry.host, entry.name)
		blame.leave()
		if not ok or done == nil and err ~= "module-not-loaded" then
			err = ok and err or done
			log("error", "unload of mod_%s: %s", entry.name, tostring(err))
			note_error("module.unload", entry.name, err)
		end
	end
end

-- One provider of telemetry sends what it has; who is late is named by its hold. done() is called
-- once.
local function flush_one(item, phase, note_error, done)
	local limit = item.timeout or options.period("job_timeout", 5)
	local release = phase.holds:hold("telemetry " .. item.name, limit, done, nil, item._provided_by)
	local function over()
		release()
		done()
	end
	local function failed(err)
		log("error", "telemetry %s: %s", item.name, tostring(err))
		note_error("telemetry " .. item.name, item._provided_by, err)
		over()
	end
	async.runner(function ()
		local result = item.flush()
		if promise.is_promise(result) then
			result:next(over, failed)
		else
			over()
		end
	end, { error = function (_, err) failed(err) end }):run(true)
end

local function telemetry()
	local list = {}
	for _, item in ipairs(require "core.lifecycle_host".items("telemetry-provider")) do
		list[#list + 1] = type(item.flush) == "function" and item or nil
	end
	return list
end

-- All at once; nothing but the queues comes after it.
local function flush_telemetry(phase, note_error)
	local list, waiting = telemetry(), {}
	if #list == 0 then
		return
	end
	local wait, done = async.waiter()
	local function finish()
		if done then
			done()
			done = nil
		end
	end
	phase.on_cut = finish
	for _, item in ipairs(list) do
		waiting[item] = true
	end
	for _, item in ipairs(list) do
		flush_one(item, phase, note_error, function ()
			waiting[item] = nil
			if next(waiting) == nil then
				finish()
			end
		end)
	end
	wait()
	phase.on_cut = nil
end

--- What is left to do when the loop has ended or os.exit was called: nothing waits any more.
-- @param mine the stop's record
-- @param note_error function(event, module, error)
-- @param unload_too whether modules are unloaded too (not from inside a module that calls os.exit)
function teardown.at_once(mine, note_error, unload_too)
	teardown.events(mine, note_error)
	if unload_too then
		for _, list in ipairs { unload_order() } do
			unload(list, note_error)
		end
	end
end

-- Connections other than class admin that still have something to send, and how much.
local function unsent()
	local connections, bytes = 0, 0
	for _, handle in ipairs(server.handles()) do
		if handle.class and handle:class() ~= "admin" then
			local queued = handle:queued()
			if queued > 0 then
				connections, bytes = connections + 1, bytes + queued
			end
		end
	end
	return connections, bytes
end

local function close_all_but_admin()
	for _, handle in ipairs(server.handles()) do
		if handle:class() ~= "admin" then
			handle:close()
		end
	end
end

-- Waits until every queue is empty; the phase's deadline cuts it.
local function flush(mine, phase)
	local before, bytes_before = unsent()
	close_all_but_admin()
	local started = time.monotonic()
	local wait, done = async.waiter()
	local over = false
	local function finish(result)
		if over then
			return
		end
		over = true
		local connections, bytes = unsent()
		mine.lost = {
			connections = connections, bytes_unsent = bytes, jobs = sessions.jobs() + #jobs.list(),
		}
		log(connections == 0 and "info" or "warn",
			"flushed %d bytes of %d connections in %.3f s%s", bytes_before - bytes, before,
			time.monotonic() - started, connections == 0 and ""
			or (", %d bytes of %d connections are lost"):format(bytes, connections))
		done()
		return result
	end
	phase.on_cut = function () return finish(unsent() == 0 and "clean" or "expired") end
	timer.add_task(0, function ()
		if not over and unsent() > 0 then
			return flush_look
		end
		finish()
	end)
	wait()
end

--- The work of the phase.
-- @param mine the stop's record
-- @param _ the phase's event
-- @param phase the running phase
-- @param note_error function(event, module, error)
function teardown.work(mine, _, phase, note_error)
	teardown.events(mine, note_error)
	local others, measuring, admin = unload_order()
	unload(others, note_error)
	flush_telemetry(phase, note_error)
	unload(measuring, note_error)
	flush(mine, phase)
	-- Console and health answer while the last bytes leave.
	whole.leave_admin()
	unload(admin, note_error)
end

return teardown
