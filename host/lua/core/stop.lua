-- A stop from its begin to the report: the record, the budget, hurrying, extending, aborting.
--
-- Three may drive: a foreign `prosody.shutdown` (core/foreign.lua), the module that answers
-- `shutdown-started` with true, else core/stop_run.lua in Prosody's own order. All of them run
-- under the same deadline, and all of them end in `finished`.

local barrier <const> = require "core.barrier"
local blame <const> = require "core.blame"
local fire <const> = require "core.fire"
local foreign <const> = require "core.foreign"
local json <const> = require "util.json"
local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local other_generations <const> = require "core.other_generations"
local report <const> = require "core.report"
local report_sum <const> = require "core.report_sum"
local stop_run <const> = require "core.stop_run"
local teardown <const> = require "core.teardown"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local stop <const> = {}

local life          -- core/lifecycle.lua, given by init
local current       -- the stop under way, or the last one
local waiters = {}  -- functions that are told the end

-- The speaker waits at least so long for the reports of the other workers (s).
local report_least <const> = 0.5

-- The report of a stop that one handler never let go on.
local function abandoned(event, module, err)
	local mine = current
	if not mine or mine.ended or mine.aborted then
		return nil
	end
	local record = {}
	for key, value in pairs(mine) do
		record[key] = value
	end
	record.seconds, record.failed = time.monotonic() - mine.asked, true
	record.errors = table.move(mine.errors, 1, #mine.errors, 1, {})
	report.error(record, event, module, err)
	return json.encode(report.build(record)), life.report_path()
end

--- Joins this file to the machine.
-- @param machine core.lifecycle's own table
function stop.init(machine)
	life = machine
	stop_run.init(machine)
	blame.init(abandoned)
end

--- The record of the stop under way or of the last one, or nil.
function stop.current()
	return current
end

--- Seconds that the stop still has; math.huge if there is none.
function stop.left()
	return current and stop_run.left(current) or math.huge
end

--- Notes an error of a module's handler in the report of the stop under way, if there is one.
-- @param event name of the event
-- @param module name of the module, or nil
-- @param err the error
function stop.note_error(event, module, err)
	if current and not current.ended and not current.aborted then
		report.error(current, event, module, err)
	end
end

--- An error in a handler, told by whoever isolates handlers (prosody.events).
-- @param event its name
-- @param handler the function
-- @param err the error
function stop.handler_error(event, handler, err)
	stop.note_error(event, type(handler) == "function" and fire.origin(handler).module or nil, err)
	-- Only the driver answers this event with something that matters.
	if event == "shutdown-started" and current and not current.run then
		current.driver_failed = true
	end
end

local function tell_waiters(...)
	local list = waiters
	waiters = {}
	for _, fn in ipairs(list) do
		local ok, err = pcall(fn, ...)
		if not ok then
			log("error", "a waiter for the end of the stop: %s", tostring(err))
		end
	end
end

-- Workers come to the end together (core/barrier.lua), but each has a flush of its own.
local function report_wait(mine)
	local flush <const> = math.min(stop_run.left(mine), teardown.flush_time())
	return math.max(mine.now_only and 0 or flush, report_least)
end

-- What the keeper hears: of a failed upgrade the reason, of a stop the report, which it passes on
-- to the active generation.
local function last_words(mine, is_host)
	if life.joins() then
		return ("it asked for a stop (%s)"):format(mine.reason or "no reason given")
	end
	return is_host and report.short(mine.report) or ""
end

-- The report is known: everybody is told, and this worker leaves.
local function conclude(mine, is_host)
	local built = mine.report
	if is_host and life.is_part(mine) then
		log("info", "generation %d's part of the report: %s", prosody.generation, json.encode(built))
	elseif is_host then
		other_generations.add_to(built)
		report.publish(built, life.report_path())
	else
		log("debug", "this worker's part of the report: %s", json.encode(built))
	end
	life.leaving(built.exit, last_words(mine, is_host))
	mine.concluded = true
	tell_waiters(built)
	life.stopped(built)
end

local function finished(mine)
	if mine.ended then
		return
	end
	mine.ended = true
	mine.seconds = time.monotonic() - mine.asked
	mine.report = report.build(mine)
	if mine.left_early then
		report_sum.leave()
		return conclude(mine, true)
	end
	mine.conclude = report_sum.settle(mine.report, report_wait(mine), function (is_host)
		conclude(mine, is_host)
	end)
end

local function new_record(args)
	local now = time.monotonic()
	local budget = args.budget or options.period("shutdown_timeout", 25)
	local asked <const> = args.asked or now
	local mine = {
		reason = args.reason, code = args.code, origin = args.origin, verb = args.verb or "shutdown",
		evict = args.evict ~= false, now_only = args.now or false, signal = args.signal,
		at = time.now() - (now - asked), asked = asked, started = now,
		budget = budget, deadline = now + budget,
		phases = {}, errors = {}, hurried = 0, repeated = 0, generation = prosody.generation,
		expired = args.expired,
	}
	mine.finished = function () finished(mine) end
	report_sum.follow(true)
	return mine
end

local function started_event(mine, args, is_foreign)
	local event = {
		reason = mine.reason, code = mine.code, origin = mine.origin, evict = mine.evict,
		deadline = mine.deadline, budget = mine.budget, now = mine.now_only or args.budget ~= nil,
		signal = mine.signal,
		host_started = args.host_started, drained = args.drained, foreign = is_foreign,
	}
	-- For the driver: runs a list under this stop's budget, and the host's own parts of it.
	function event.drive(_, list, opts) return stop_run.phases(mine, list, opts) end
	function event.quit_phase(_, budget) return stop_run.quit_phase(mine, budget) end
	function event.fire_phase(_, phase) stop_run.fire_phase(mine, phase) end
	function event.fire_stopping(_, of_phase, phase)
		return stop_run.fire_stopping(mine, of_phase, phase)
	end
	mine.event = event
	return event
end

--- Begins the destructive end; the state is stopping already.
-- @param args table: reason, code, origin, signal (name, if one began it), now (budget 0), budget
--   (seconds instead of shutdown_timeout, of which nothing is spent on lame-duck or on spreading),
--   host_started (server-started has happened), drained (seconds since the drain, or nil), verb
--   and evict (default "shutdown", true)
function stop.begin(args)
	current = new_record(args)
	local mine = current
	foreign.reset()
	life.set_reason(mine.reason, mine.code)
	local is_foreign = foreign.driver() ~= nil
	local driven = prosody.events.fire_event("shutdown-started",
		started_event(mine, args, is_foreign))
	if mine.run then
		return
	elseif is_foreign then
		return stop_run.foreign(mine)
	end
	mine.failed = mine.driver_failed
	if not driven and #life.items("shutdown-phase-provider") == 0 then
		log("warn", "no shutdown module is enabled: connections are not told goodbye "
			.. "(add \"graceful_shutdown\" and \"lameduck\" to modules_enabled)")
	end
	stop_run.plain(mine)
end

--- Begins the teardown after the idle wait of `finish`: nothing that the service manages is
-- evicted.
-- @param args table: reason, origin, asked (monotonic s: when the idle wait began, from which the
-- report counts), expired (it was cut), waited (its record, if there was anything to wait for)
function stop.begin_finish(args)
	args.verb, args.evict = "finish", false
	current = new_record(args)
	current.phases[1] = args.waited
	life.set_reason(current.reason)
	stop_run.plain(current)
end

--- The stop that a teardown of `finish` becomes when a stop is asked for meanwhile.
function stop.overtake_finish(args)
	current.verb, current.evict = "shutdown", true
	current.reason, current.code, current.origin = args.reason, args.code, args.origin
	if args.now and current.run then
		current.run:cut()
	end
end

--- prosody.shutdown as it was: called by a replacement that only wraps it, it is the stop itself.
-- @return true if that is what the call meant
function stop.is_wrapped_call()
	local mine = current
	if not mine or not mine.foreign or mine.run or mine.ended then
		return false
	end
	stop_run.own(mine)
	return true
end

--- Calls fn(report) when the stop has ended, before the connections of class admin close; or
-- fn(nil, "aborted"). At once if it has ended.
function stop.when_ended(fn)
	if current and current.concluded then
		return fn(current.report)
	end
	waiters[#waiters + 1] = fn
end

--- Tells everyone who waits for the end that it will not come.
-- @param why one word: "aborted", "undrained"
function stop.release_waiters(why)
	tell_waiters(nil, why)
end

--- What the loop's end means: if nobody has torn down, it is done now, without waiting for
-- anything.
-- @return the report
function stop.leave(reason, code)
	if not current or current.aborted then
		current = new_record { reason = reason, code = code or prosody.shutdown_code, origin = "lua" }
	end
	local mine = current
	mine.code = code or mine.code
	if not mine.torn_down then
		mine.torn_down, mine.left_early = true, true -- of this worker alone, for all we know
		teardown.at_once(mine, function (...) report.error(mine, ...) end, code == nil)
		require "core.children".kill_all(mine.evict ~= false)
	end
	finished(mine)
	if mine.conclude then
		mine.conclude()
	end
	return mine.report
end

local function announce_hurry(origin, step)
	local signal = origin and origin:match("^signal (.+)$")
	log("warn", "stop requested again (%s): %s", origin or "lua", step == "hammer"
		and "the hammer falls"
		or ("phase %s ends now, the next request hammers"):format(life.phase() or "none"))
	prosody.events.fire_event("shutdown-hurried", { signal = signal, origin = origin, step = step })
end

-- A repetition that is none (now) has all budgets end, and nothing hammers.
local function next_step(mine, now)
	mine.hurried = mine.hurried + 1
	mine.repeated = mine.repeated + (now and 0 or 1)
	return (now or mine.repeated == 1) and "phase" or "hammer"
end

--- A repeated request: the first ends the current phase, the next one hammers.
-- @param origin who asked
-- @param now true: all budgets end, nothing hammers
function stop.hurry(origin, now)
	local mine = current
	if mine.ended then
		return mine.conclude and mine.conclude()
	end
	local step = next_step(mine, now)
	announce_hurry(origin, step)
	if step == "hammer" then
		life.fall()
	elseif mine.foreign and not mine.run then
		stop_run.take_over(mine, "hurried")
	elseif mine.run and now then
		mine.now_only = true
		mine.run:cut()
	elseif mine.run then
		mine.run:hurry()
	end
	barrier.release()
end

--- More time for the whole stop and for its current phase.
function stop.extend(seconds)
	current.deadline = current.deadline + seconds
	current.budget = current.budget + seconds
	if current.run then
		current.run:extend(seconds)
	end
	barrier.extend(seconds)
	log("info", "stop extended by %g s, %.3g s left", seconds, stop.left())
end

--- Whether the stop can still be taken back.
-- @return true, or nil and the reason
function stop.can_abort()
	if current.listener_closed or current.torn_down or current.foreign then
		return nil, "listener-closed"
	end
	return true
end

--- Takes the stop back; the caller has checked can_abort().
function stop.abort()
	current.aborted = true
	if current.run then
		current.run:abort()
	end
	barrier.reset()
	report_sum.follow(false)
	other_generations.reset()
	if current.guard then
		timer.stop(current.guard)
	end
	life.set_reason()
	foreign.reset()
	tell_waiters(nil, "aborted")
end

return stop
