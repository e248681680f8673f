-- One phase of a run (core/phases.lua): its begin, its waiting, its end and what that is called.

local async <const> = require "util.async"
local holds <const> = require "core.holds"
local log <const> = require "util.logger".init("phases")
local promise <const> = require "util.promise"

local one <const> = {}
local phase_methods <const> = {}
local phase_mt <const> = { __index = phase_methods }

-- The end of a phase --------------------------------------------------------------------------

local function stop_timers(phase)
	local clock = phase.run.timer
	for _, name in ipairs { "deadline_timer", "linger_timer" } do
		if phase[name] then
			clock.stop(phase[name])
			phase[name] = nil
		end
	end
end

local function guarded(phase, what, fn, ...)
	local ok, err = pcall(fn, ...)
	if not ok then
		phase:fail(what .. ": " .. tostring(err))
	end
end

-- What a cut phase is called is first asked of its work: only it knows whether anything was lost.
local function cut_result(phase, why)
	local result = "expired"
	if phase.on_cut then
		guarded(phase, "cut", function () result = phase.on_cut(why) or result end)
	end
	return result
end

local function result_of(phase, result, left)
	local holders = phase.holds:expired_holders()
	for _, holder in ipairs(left) do
		holders[#holders + 1] = {
			module = holder.module, hold = holder.hold, conn = holder.conn, seconds = holder.since,
		}
	end
	local record = {
		phase = phase.name, seconds = phase.run.now() - phase.started, budget = phase.budget,
		result = result, holders = holders, error = phase.failure,
	}
	for key, value in pairs(phase.extra) do
		record[key] = value
	end
	return record
end

local function final_result(phase, why, left)
	if why == "abort" then
		cut_result(phase, why)
		return "aborted"
	end
	local result = "clean"
	if why and (not phase.work_done or #left > 0) then
		result = cut_result(phase, why)
		if result == "clean" and #left > 0 then
			result = "expired"
		end
	end
	if phase.failure then
		return "failed"
	end
	result = phase.outcome or result
	return result == "clean" and #phase.holds.expired > 0 and "expired" or result
end

--- Ends a phase.
-- @param phase the running phase
-- @param why nil (all is done), "deadline", "hurry" or "abort"
function one.finish(phase, why)
	if phase.ended then
		return
	end
	phase.ended = true
	stop_timers(phase)
	local run = phase.run
	local left = phase.holds:close()
	local result = final_result(phase, why, left)
	if phase.on_end then
		guarded(phase, "end", phase.on_end, why)
	end
	local record = result_of(phase, result, left)
	run.results[#run.results + 1] = record
	run.current = nil
	if run.ended then
		run.ended(record)
	end
	if why == "abort" then
		run.finished = true
	else
		-- From a timer: a phase often ends inside a connection's callback, and the next one
		-- begins by closing connections.
		run.timer.add_task(0, function ()
			if run.between then
				run.waits_after = phase
				return run.between(phase, run.next)
			end
			run.next()
		end)
	end
end

-- While it runs -------------------------------------------------------------------------------

--- Looks whether the phase can end. Whoever counts stragglers calls it when the count falls.
function phase_methods:check()
	if self.ended or self.entering or not self.work_done or self.holds.size > 0 then
		return
	end
	local stragglers = self.stragglers and self.stragglers() or 0
	if stragglers == 0 or self.run.linger <= 0 then
		one.finish(self)
	elseif not self.linger_timer then
		self.linger_timer = self.run.timer.add_task(self.run.linger, function ()
			self.linger_timer = nil
			log("debug", "phase %s goes on with %d stragglers", self.name, stragglers)
			one.finish(self)
		end)
	end
end

local function arm_deadline(phase)
	local run = phase.run
	if phase.deadline_timer then
		run.timer.stop(phase.deadline_timer)
		phase.deadline_timer = nil
	end
	if phase.deadline < math.huge then
		local left = phase.deadline - run.now()
		phase.deadline_timer = run.timer.add_task(left > 0 and left or 0, function ()
			phase.deadline_timer = nil
			one.finish(phase, "deadline")
		end)
	end
end

--- Moves the phase's deadline, within what the run has left.
-- @param seconds added to the deadline
function phase_methods:extend(seconds)
	if self.ended then
		return
	end
	local latest = self.run.now() + self.run.left()
	local deadline = self.deadline + seconds
	self.deadline = deadline < latest and deadline or latest
	self.event.deadline = self.deadline
	arm_deadline(self)
end

--- Something of this phase failed: the result is "failed", the phase goes on to its end.
function phase_methods:fail(err)
	self.failure = self.failure or tostring(err)
	log("error", "phase %s: %s", self.name, tostring(err))
end

local function work_ended(phase)
	phase.work_done = true
	phase:check()
end

-- The work may return at once, wait in its runner (util.async), or return a promise.
local function start_work(phase, work)
	if not work then
		phase.work_done = true
		return
	end
	local runner = async.runner(function ()
		local result = work(phase.event, phase)
		if type(result) == "table" and promise.is_promise(result) then
			result:next(function () work_ended(phase) end, function (err)
				phase:fail(err)
				work_ended(phase)
			end)
		else
			work_ended(phase)
		end
	end, {
		error = function (_, err)
			phase:fail(err)
			work_ended(phase)
		end,
	})
	runner:run(true)
end

--- Begins a phase of a run.
-- @param run of core/phases.lua
-- @param item { name, budget, least, patient, work }
function one.begin(run, item)
	local left = run.now_only and 0 or run.left()
	local budget = item.budget or math.huge
	if budget > left then
		budget = left
	end
	if budget < (item.least or 0) then
		budget = item.least
	end
	local started = run.now()
	local phase = setmetatable({
		name = item.name, run = run, started = started, deadline = started + budget, extra = {},
		patient = item.patient,
		budget = item.budget or (budget < math.huge and budget or nil), entering = true,
	}, phase_mt)
	phase.holds = holds.new {
		deadline = function () return phase.deadline end, now = run.now, timer = run.timer,
		on_empty = function () phase:check() end,
	}
	local event = { phase = item.name }
	for key, value in pairs(run.event) do
		event[key] = value
	end
	phase.event = holds.attach(event, phase.holds)
	run.current = phase
	if run.enter then
		guarded(phase, "begin", run.enter, phase)
	end
	start_work(phase, item.work)
	phase.entering = false
	arm_deadline(phase)
	phase:check()
end

return one
