-- The lifecycle of the host: one machine, one setter.
--
--    starting ──> serving <──> draining <──> finishing ──> stopped
--       │  └─> passive ─┘ └────────┬───────────┘              ^
--       └──────────────────────> stopping (phases) ───────────┘
--                                  └─ abort, until the first listener closes ──> serving
--
--    starting  -> serving    [loaded]     all listeners listen, every hold on server-starting
--    released
--    starting  -> passive    [loaded]     the same, in a host that was told to wait
--    passive   -> serving    [activate]
--    serving   -> draining   [drain, finish]
--    draining  -> serving    [undrain]
--    draining  -> finishing  [finish]
--    finishing -> draining   [undrain]    until the teardown begins
--    finishing -> stopped    [stopped]    the teardown is over
--    any but stopped -> stopping [stop]
--    stopping  -> serving    [abort]      until the first listener is closed
--    stopping  -> stopped    [stopped]    the report is written
--
-- starting   modules load; nothing is ready. Left by readiness, by a stop, or by start_timeout.
-- passive    serves, but no singleton runs.
-- serving    ready.
-- draining   not ready, listeners open, new work still served. No deadline: a person ends it.
-- finishing  waits for the own sessions, at most finish_idle_wait; then a teardown that evicts
-- nothing. stopping   phases under one budget (shutdown_timeout); the keeper's hammer stands
-- behind it. stopped    nothing runs any more; the loop is about to end.
--
-- The legal moves are data: core/lifecycle_states.lua. Policy only: no descriptor is held here.

local actions <const> = require "core.actions"
local barrier <const> = require "core.barrier"
local fire_all <const> = require "core.fire_all"
local drained <const> = require "core.drained"
local foreign <const> = require "core.foreign"
local generation <const> = require "core.generation"
local handover <const> = require "core.handover"
local idle <const> = require "core.idle"
local kept_fds <const> = require "core.kept_fds"
local log <const> = require "util.logger".init("lifecycle")
local other_generations <const> = require "core.other_generations"
local peers <const> = require "core.peers"
local plan <const> = require "core.plan"
local report_sum <const> = require "core.report_sum"
local requests <const> = require "core.requests"
local start <const> = require "core.start"
local states <const> = require "core.lifecycle_states"
local stop <const> = require "core.stop"
local stop_status <const> = require "core.stop_status"
local time <const> = require "util.time"
local upgrades <const> = require "core.upgrades"
local whole <const> = require "core.whole"
local verbs <const> = require "core.verbs"

local lifecycle <const> = {}

-- What the parts of the machine (core/stop.lua, core/idle.lua, …) may ask of it and nobody else.
local life <const> = require "core.lifecycle_host"

local state, since, why = "starting", time.now(), nil
local probe = { gap = nil } -- monotonic, at (real time), gap (seconds between two, smoothed)

-- The state ---------------------------------------------------------------------------------------

--- The state in one word.
-- @return "starting", "passive", "serving", "draining", "finishing", "stopping" or "stopped"
function lifecycle.state()
	return state
end

--- The phase of a stop that runs now.
-- @return its name, or nil
function lifecycle.phase()
	local current = stop.current()
	return state ~= "serving" and current and current.run and current.run:phase() or nil
end

--- When the state was entered (real-time seconds), and the reason that was given.
function lifecycle.since()
	return since, why
end

--- Whether the host, or one service, takes new work from balancers.
-- @param service optional name
-- @return true; or false and the word for the health body
function lifecycle.ready(service)
	if state == "draining" and generation.answers_for_host() then
		return true, "serving"
	elseif state ~= "serving" and state ~= "passive" then
		return false, state
	elseif service and idle.draining(service) then
		return false, "draining"
	end
	return true, state
end

-- The one setter.
local function enter(to, reason, origin)
	local from = state
	if not states.legal[from][to] then
		error(("the lifecycle has no move from %s to %s"):format(from, to), 2)
	end
	state, since, why = to, time.now(), reason
	log("info", "%s -> %s (%s)", from, to, reason or origin or "no reason given")
	life.set_word("state", states.prosody_word[to])
	life.tell_state(to, lifecycle.phase(), reason)
	life.beat()
	prosody.events.fire_event("lifecycle-changed",
		{ from = from, to = to, reason = reason, origin = origin, at = since })
end

-- Weight of the newest gap between two probes, as of a mean of the last five.
local gap_weight <const> = 0.2

--- A readiness probe was answered (lame-duck looks at how long ago that was).
function lifecycle.probe_seen()
	local now <const> = time.monotonic()
	local gap <const> = probe.monotonic and now - probe.monotonic
	if gap then
		probe.gap = probe.gap and probe.gap + (gap - probe.gap) * gap_weight or gap
	end
	probe.monotonic, probe.at = now, time.now()
end

--- Seconds since the last readiness probe.
-- @return number, math.huge if there never was one
function lifecycle.probe_age()
	return probe.monotonic and time.monotonic() - probe.monotonic or math.huge
end

--- The readiness probes that were answered.
-- @return nil if there never was one; { at = real-time seconds of the last, interval = seconds
--   between them, nil after only one }
function lifecycle.probes()
	return probe.at and { at = probe.at, interval = probe.gap } or nil
end

-- What people and modules call --------------------------------------------------------------------

-- drain, undrain, finish, activate, stop, abort, extend, hammer, hurry, upgrade
for name, fn in pairs(requests.by_name) do
	lifecycle[name] = fn
end

lifecycle.plan = plan.build
lifecycle.plan_text = plan.text
lifecycle.when_ended = stop.when_ended
lifecycle.watch_phases = require "core.stop_run".watch
lifecycle.handler_error = stop.handler_error
lifecycle.items = life.items
lifecycle.has_service = life.has_service
lifecycle.note_error = stop.note_error
lifecycle.watch_idle = idle.watch
lifecycle.draining = idle.draining
lifecycle.idle_wait = idle.wait
lifecycle.drained_services = idle.services
lifecycle.starting_event = start.event
lifecycle.loaded = start.loaded
lifecycle.uptime = start.uptime
lifecycle.went_on = start.went_on
lifecycle.is_started = start.is_started
lifecycle.left = stop.left
lifecycle.set_reload = life.set_reload
lifecycle.module_handover = handover.register
lifecycle.module_keep_fd = kept_fds.keep
lifecycle.module_kept_fd = kept_fds.take

--- The report of the last stop, or of the one under way as far as it is known.
-- @return table or nil
function lifecycle.report()
	local current = stop.current()
	return current and current.report or nil
end

--- Whether a module must stay: it drives the stop that is under way, or provides a phase of it.
-- @param module its api table
function lifecycle.is_pinned(module)
	local current = stop.current()
	if state ~= "stopping" or not current or current.torn_down then
		return false
	end
	local items = rawget(module, "items") or {}
	return #(items["shutdown-driver-provider"] or {}) + #(items["shutdown-phase-provider"] or {}) > 0
end

--- The phase that every list ends with.
-- @param event of shutdown-started, or nil for a plan
-- @param budget seconds
-- @return { name, budget, work, … }
function lifecycle.quit_phase(event, budget)
	if event then
		return event:quit_phase(budget)
	end
	return { name = "quit", budget = budget, events = { "server-cleanup", "server-stopped" } }
end

--- The object "stop" of the status JSON, or nil when no stop is under way.
-- @param others nil, or what core.whole knows of the other workers
function lifecycle.stop_status(others)
	return stop_status.build(state, others)
end

--- Called when the loop has ended, or os.exit was called: completes whatever stop there was.
-- @param code exit status that was asked for, or nil
-- @return the exit status of the host
function lifecycle.leave(code)
	return life.leave(code)
end

--- Makes the machine ready, before any manager or module: signals and verbs are heard from here on.
function lifecycle.init()
	life.state, life.enter, life.phase = lifecycle.state, enter, lifecycle.phase
	life.ready, life.allowed = lifecycle.ready, requests.allowed
	life.joins = generation.joins
	-- A stop of the host in a generation that is not the service: its report goes to the one that is.
	life.is_part = function (mine)
		return mine.verb == "shutdown" and generation.successor() and verbs.has_keeper()
	end
	life.begin_teardown = stop.begin_finish
	idle.init(life)
	stop.init(life)
	start.init(life)
	requests.init(life)
	actions.init(life)
	local keeper = verbs.init(life, actions.by_verb)
	life.init(keeper)
	if keeper then
		require "core.active_worker".init(prosody.events, function ()
			return generation.leads() and (state == "serving" or state == "draining")
		end, keeper.hello.workers or 1)
	end
	drained.follow(prosody.events, function ()
		return generation.is_active() and (state == "serving" or state == "draining")
	end)
	generation.init(life, keeper)
	upgrades.init(keeper, generation.is_active)
	other_generations.init(verbs.keeper, generation.is_active)
	peers.init(keeper)
	fire_all.init()
	whole.init()
	require "core.counters".init() -- which asks this file
	barrier.init()
	report_sum.init()
	life.set_word("state", "starting")
	foreign.install(prosody, function (reason, code, guarded)
		if guarded or not stop.is_wrapped_call() then
			lifecycle.stop(reason, code)
		end
		return true, "shutdown initiated"
	end)
end

return lifecycle
