-- From the first module to "ready": the holds on `server-starting`, and what was asked for
-- meanwhile.

local active_worker <const> = require "core.active_worker"
local drained <const> = require "core.drained"
local fire <const> = require "core.fire"
local holds <const> = require "core.holds"
local idle <const> = require "core.idle"
local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local stop <const> = require "core.stop"
local time <const> = require "util.time"
local timer <const> = require "util.timer"
local verbs <const> = require "core.verbs"
local whole <const> = require "core.whole"

local start <const> = {}

local life               -- core/lifecycle_host.lua, given by init
local set, guard         -- the holds on server-starting, and the timer of start_timeout
local payload, early = nil, {} -- of server-starting, and who was there before the modules
local loaded, started = false, false
local ready_at           -- monotonic
local before = 0         -- seconds for which older generations had been ready
local kept = {}          -- verb → function, run once after ready
local taken_back = {}    -- verb → true: what it was before the restart counts no more

--- Joins this file to the machine.
function start.init(machine)
	life = machine
end

--- Whether `server-started` has happened.
function start.is_started()
	return started
end

--- Seconds since the host was ready, whatever became of the wall clock; 0 before. It goes on over
-- upgrades; a worker that is restarted after a crash begins anew.
function start.uptime()
	return (ready_at and time.monotonic() - ready_at or 0) + before
end

--- This generation goes on from another one, which had been ready for so long (s).
function start.went_on(seconds)
	before = math.max(0, seconds - start.uptime())
end

--- Keeps something until the host is ready; the last of one kind counts.
-- @param verb the kind: "reload", "drain", "drain SERVICE"
-- @param fn function, or nil to forget it
function start.later(verb, fn)
	log("info", fn and "%s: waits until the host is ready" or "%s: taken back", verb)
	kept[verb], taken_back[verb] = fn, fn == nil
end

local function may_be_ready()
	return loaded and not started and set.size == 0 and life.state() == "starting"
end

--- Takes the right to run singletons, if this worker is the one; before the first of them hears
-- that the host is ready, or activated.
function start.become_active()
	if (prosody.worker or 1) == 1 then -- the others look later whether it is there
		active_worker.take()
	end
end

-- What this generation does not use stays the older one's alone, and closes with it.
local function give_up_unclaimed(keeper)
	for _, held in ipairs(keeper.held()) do
		if not held.claimed then
			keeper.unhold(held.name)
		end
	end
end

-- Who starts up draining goes through serving, but neither keeper nor probe sees that.
local function enter_serving(reason, origin, drain)
	life.starts_drained = drain ~= nil
	life.enter("serving", reason, origin)
	life.starts_drained = false
	if drain then
		drain()
	end
end

local function tell_ready(drain)
	local keeper = verbs.keeper()
	local hello = keeper and keeper.hello or {}
	life.set_word("start_time", math.floor(time.now()))
	ready_at = time.monotonic()
	if hello.joins then
		give_up_unclaimed(keeper)
	elseif keeper and not hello.passive then
		start.become_active()
	end
	if hello.passive or hello.joins then
		life.enter("passive", "ready")
	else
		enter_serving("ready", nil, drain)
	end
	if keeper then
		keeper.ready()
	end
	whole.announce()
	life.beat()
end

-- A worker that is restarted goes on where the host was: a drain that an operator began must
-- outlive a crash. The keeper's state file still says what the dead worker had told it.
local function was_draining()
	local keeper = verbs.keeper()
	local hello = keeper and keeper.hello or {}
	if (hello.restarts or 0) == 0 or not hello.runtime_path or taken_back.drain then
		return false
	end
	local file = io.open(hello.runtime_path .. "/gadwall.state")
	local text = file and file:read("a") or ""
	if file then
		file:close()
	end
	return ("\n" .. text):find("\nstate=draining\n", 1, true) ~= nil
end

-- Of this worker alone: the others drain, or have heard of an undrain, which comes to this one too.
local function drain_again()
	idle.drain("as before the restart", "keeper")
end

local function tell_started()
	prosody.events.fire_event("server-started",
		{ generation = prosody.generation, inherited = prosody.inherited or false })
	verbs.tell_hooked_signals()
	for name, drain in pairs(kept) do
		if name:match("^drain .") then
			drain()
		end
	end
	if kept.reload then
		kept.reload()
	end
end

-- Services that were drained by themselves before this worker was restarted.
local function services_before(hello)
	if (hello.restarts or 0) > 0 then
		return drained.read().services
	elseif not hello.joins and (prosody.worker or 1) == 1 then
		drained.forget()
		require "core.right_record".forget()
	end
	return {}
end

local function ready()
	if not may_be_ready() then
		return
	end
	if guard then
		timer.stop(guard)
	end
	set:close()
	started = true
	local hello = verbs.keeper() and verbs.keeper().hello or {}
	local services = services_before(hello)
	drained.change(function ()
		tell_ready(kept.drain or was_draining() and drain_again or nil)
		for _, service in ipairs(services) do
			if not taken_back["drain " .. service] then
				idle.drain_service(service, "as before the restart", "keeper")
			end
		end
	end)
	if not hello.joins then
		tell_started()
	end
end

--- The commit of an upgrade has made this generation the service: what it has waited for happens
-- now.
-- @param reason for the log
-- @param drain optional function: drains the host, which then never was ready
function start.activated(reason, drain)
	enter_serving(reason, "keeper", drain)
	life.beat()
	tell_started()
end

--- The payload of `server-starting`: handlers may hold readiness.
-- @return event table
function start.event()
	local limit = options.period("start_timeout", 60)
	set = holds.new {
		deadline = limit < math.huge and time.monotonic() + limit or nil,
		on_empty = function () timer.add_task(0, ready) end,
	}
	for _, handler in ipairs(fire.handlers("server-starting")) do
		early[handler] = true
	end
	payload = holds.attach({}, set)
	return payload
end

-- Modules load while the event is fired, so a handler that a module adds would miss it.
local function fire_to_modules()
	for _, handler in ipairs(fire.handlers("server-starting")) do
		if not early[handler] then
			fire.one("server-starting", handler, payload, stop.note_error)
		end
	end
end

-- Whether there is a host that goes on without this worker: it is restarted, or an upgrade fails.
local function is_alone()
	local channel = verbs.channel()
	return not channel or not (channel.hello.joins or (channel.hello.restarts or 0) > 0)
end

-- The keeper ends a start that takes too long; the worker says before that who held it.
local function too_long()
	guard = nil
	for _, holder in ipairs(set:holders()) do
		log("error", "not ready: held by '%s' of %s for %.1f s", holder.hold,
			holder.module or "the host", holder.since)
	end
	if not is_alone() then
		life.real_exit(70)
	end
	verbs.ask("shutdown", { reason = "start_timeout", code = 70, origin = "lua" })
end

--- Everything is loaded and listens: ready as soon as nobody holds.
function start.loaded()
	fire_to_modules()
	loaded = true
	local left = set:remaining()
	if set.size > 0 and left < math.huge then
		guard = timer.add_task(left * 0.98, too_long)
	end
	ready()
end

return start
