-- How a stop is driven: the running of its phases, the order without a driver, and the foreign
-- driver. Every function takes the stop's record (core/stop.lua), which carries the deadline and
-- the results.

local async <const> = require "util.async"
local barrier <const> = require "core.barrier"
local blame <const> = require "core.blame"
local children <const> = require "core.children"
local fire <const> = require "core.fire"
local foreign <const> = require "core.foreign"
local jobs <const> = require "core.jobs"
local log <const> = require "util.logger".init("lifecycle")
local other_generations <const> = require "core.other_generations"
local phases <const> = require "core.phases"
local report <const> = require "core.report"
local teardown <const> = require "core.teardown"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local stop_run <const> = {}

-- Given by init: tell_keeper(phase, left), items(key), close_clients(event, phase).
local life

--- Joins this file to the machine.
-- @param machine core.lifecycle's own table
function stop_run.init(machine)
	life = machine
end

--- Seconds that the stop still has.
function stop_run.left(mine)
	return math.max(0, mine.deadline - time.monotonic())
end

local function error_noter(mine)
	return function (event, module, err)
		report.error(mine, event, module, err)
	end
end

local function entered(mine, phase)
	local left = phase.deadline - phase.started
	log("info", "stopping: %s%s", phase.name,
		left < math.huge and (" (at most %.3g s)"):format(left) or "")
	life.tell_keeper(phase.name, stop_run.left(mine))
end

local watchers <const> = {} -- functions that hear of each phase that is over

--- Hears of each phase of a stop that is over in all workers.
-- @param fn function({ phase, result, seconds }): the worst result, the longest time
-- @return function that ends it
function stop_run.watch(fn)
	watchers[fn] = true
	return function ()
		watchers[fn] = nil
	end
end

local function over(record, result, seconds)
	record.of_all = result
	for fn in pairs(watchers) do
		local ok, err = pcall(fn, { phase = record.phase, result = result, seconds = seconds })
		if not ok then
			log("error", "a watcher of the stop: %s", tostring(err))
		end
	end
end

local function ended(mine, record)
	mine.phases[#mine.phases + 1] = record
	blame.renew()
	log(record.result == "clean" and "info" or "warn", "stopping: %s ended %s after %.3f s",
		record.phase, record.result, record.seconds)
	for _, holder in ipairs(record.holders) do
		log("warn", "%s was held by '%s' of %s%s for %.3f s", record.phase, holder.hold,
			holder.module or "the host", holder.conn and " (" .. holder.conn .. ")" or "",
			holder.seconds)
	end
	prosody.events.fire_event("shutdown-phase-ended", {
		phase = record.phase, seconds = record.seconds, result = record.result,
		holders = record.holders,
	})
	if record.result == "aborted" then -- no other phase begins after it
		over(record, record.result, record.seconds)
	end
end

-- After the last phase of a list nobody is waited for: the teardown or the end follows.
local function between(mine, phase, go_on)
	local run, record = phase.run, mine.phases[#mine.phases]
	if mine.now_only or run.at >= #run.list then
		over(record, record.result, record.seconds)
		return go_on()
	end
	local seconds = math.min(phase.deadline - time.monotonic(), stop_run.left(mine))
	barrier.wait(run:from(phase.name), run.verb, record, seconds, function (...)
		over(record, ...)
		go_on()
	end)
end

-- The list with the wait for other generations before the teardown, or at its end.
local function with_others(mine, list)
	local wait <const> = not mine.waited_for_others and other_generations.phase(mine)
	if not wait then
		return list
	end
	mine.waited_for_others = true
	local longer <const> = {}
	for i, phase in ipairs(list) do
		longer[i] = phase
	end
	local last <const> = longer[#longer]
	table.insert(longer, last and last.tears_down and #longer or #longer + 1, wait)
	return longer
end

--- Runs a list of phases under the stop's budget. If none of them was the teardown, it follows.
-- Other generations that stop too are waited for before it (core/other_generations.lua).
-- @param mine the stop's record
-- @param list of phases (core/phases.lua)
-- @param opts optional table: `linger` seconds, `enter(phase)`
-- @return the run
function stop_run.phases(mine, list, opts)
	opts = opts or {}
	return phases.run {
		list = with_others(mine, list), linger = opts.linger, now_only = mine.now_only,
		left = function () return stop_run.left(mine) end,
		event = { reason = mine.reason, code = mine.code, evict = mine.evict },
		started = function (run)
			mine.run, run.verb = run, mine.verb
		end,
		enter = function (phase)
			entered(mine, phase)
			if opts.enter then
				opts.enter(phase)
			end
		end,
		ended = function (record) ended(mine, record) end,
		between = function (phase, go_on) between(mine, phase, go_on) end,
		done = function ()
			if mine.torn_down then
				mine.finished()
			else
				stop_run.phases(mine, { stop_run.quit_phase(mine) })
			end
		end,
	}
end

-- Runs what waits, one after the other: begin(done) → function that ends the waiting. A cut of the
-- phase ends it for the one that waits and for all that follow.
local function in_turn(phase, list)
	local cut = false
	for _, begin in ipairs(list) do
		local wait, done = async.waiter()
		local stop_waiting
		phase.on_cut = function ()
			cut = true
			stop_waiting()
		end
		stop_waiting = begin(done)
		if cut then
			stop_waiting()
		end
		wait()
	end
	phase.on_cut = nil
end

local function join_jobs(mine, phase)
	return function (done)
		return jobs.join(phase, { reason = mine.reason, on_error = error_noter(mine) }, done)
	end
end

--- The work of a phase that cancels the background jobs and waits for them.
function stop_run.join_jobs(mine, phase)
	in_turn(phase, { join_jobs(mine, phase) })
end

-- Those that survive do so unless this end destroys.
local function end_children(mine, phase)
	return function (done)
		return children.stop_all(phase, mine.evict, done)
	end
end

--- What nobody else has ended: jobs and children, of a foreign driver above all.
function stop_run.end_rest(mine, phase)
	in_turn(phase, { join_jobs(mine, phase), end_children(mine, phase) })
end

--- The work of a phase that cancels the background jobs, fires `server-stopping` and waits for its
-- handlers, one after the other, and ends the children. When the phase is cut, the handlers that
-- had not begun begin all the same.
-- @param mine the stop's record
-- @param event the phase's event
-- @param phase the running phase
function stop_run.fire_stopping(mine, event, phase)
	in_turn(phase, {
		join_jobs(mine, phase),
		function (done)
			return fire.in_order("server-stopping", {
				reason = event.reason, code = event.code, evict = event.evict,
				deadline = event.deadline, hold = event.hold, remaining = event.remaining,
			}, { on_error = error_noter(mine), done = done }).cut
		end,
		end_children(mine, phase),
	})
end

--- Fires the event of a phase: its handlers may hold it, or wait.
function stop_run.fire_phase(mine, phase)
	fire.held("shutdown/" .. phase.name, phase.event, error_noter(mine))
end

--- The last phase of every list: the host's own teardown (core/teardown.lua).
-- @param mine the stop's record
-- @param budget seconds for the flush, or nil: `shutdown_deadline` of network_settings, even when
--   the stop has nothing left
-- @return { name, budget, least, tears_down, work }
function stop_run.quit_phase(mine, budget)
	local flush = teardown.flush_time()
	return {
		name = "quit", budget = budget or flush, events = { "server-cleanup", "server-stopped" },
		least = (budget or mine.now_only) and teardown.least or flush, tears_down = true,
		work = function (event, phase)
			mine.torn_down = true
			stop_run.end_rest(mine, phase)
			return teardown.work(mine, event, phase, error_noter(mine))
		end,
	}
end

--- What happens without a driver: the phases that modules provide, then Prosody's order.
-- @param mine the stop's record
-- @return list of phases
function stop_run.plain_list(mine)
	local list = {}
	if mine.verb == "finish" then
		list[1] = { name = "close-clients", work = life.close_clients }
		list[2] = {
			name = "background-jobs", work = function (_, phase) stop_run.join_jobs(mine, phase) end,
		}
	else
		for _, item in ipairs(life.items("shutdown-phase-provider")) do
			if not (mine.event and item.applies) or item.applies(mine.event) then
				list[#list + 1] = {
					name = item.name, budget = item.budget, work = item.work, events = item.events,
					provided = true,
				}
			end
		end
	end
	list[#list + 1] = {
		name = "server-stopping", events = { "server-stopping" },
		work = function (event, phase) return stop_run.fire_stopping(mine, event, phase) end,
	}
	list[#list + 1] = stop_run.quit_phase(mine)
	return list
end

--- Drives in the host's own order.
function stop_run.plain(mine)
	local provided = {}
	local list = stop_run.plain_list(mine)
	for _, item in ipairs(list) do
		provided[item.name] = item.provided
	end
	stop_run.phases(mine, list, {
		enter = function (phase)
			if provided[phase.name] then
				stop_run.fire_phase(mine, phase)
			end
		end,
	})
end

--- The host ends what a foreign driver has begun.
function stop_run.take_over(mine, why)
	if not mine.run then
		log("warn", "the module that drives the stop is overtaken: %s", why)
		stop_run.phases(mine, { stop_run.quit_phase(mine) })
	end
end

-- A foreign driver has no list that could run out of budget, so one timer stands for it.
local function guard(mine)
	mine.guard = timer.add_task(stop_run.left(mine), function ()
		if mine.ended or mine.aborted or mine.run then
			return nil
		elseif stop_run.left(mine) > 0 then
			return stop_run.left(mine)
		end
		mine.expired = true
		stop_run.take_over(mine, "shutdown_timeout is over")
	end)
end

--- Lets the replacement of prosody.shutdown drive.
function stop_run.foreign(mine)
	mine.foreign = true
	guard(mine)
	log("info", "a module has replaced prosody.shutdown and drives this stop")
	local ok, err = foreign.drive(mine.reason, mine.code)
	if ok == false then
		mine.failed = true
		report.error(mine, "prosody.shutdown", nil, err)
		log("error", "the replaced prosody.shutdown failed: %s", tostring(err))
		stop_run.own(mine)
	end
end

--- The host's own stop: by the module that drives, else in the host's order.
function stop_run.own(mine)
	if mine.run then
		return
	end
	mine.foreign = false
	if mine.event.fallback then
		local ok, err = pcall(mine.event.fallback, mine.event)
		if not ok then
			mine.failed = true
			report.error(mine, "shutdown-started", nil, err)
			log("error", "the driver failed: %s", tostring(err))
		end
	end
	if not mine.run then
		stop_run.plain(mine)
	end
end

return stop_run
