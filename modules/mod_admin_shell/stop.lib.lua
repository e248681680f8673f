-- The words stop and finish: they can wait for the end, and hear of it before the console closes.

local async <const> = require "util.async"
local idle_progress <const> = require "core.idle_progress"
local lifecycle <const> = require "core.lifecycle"
local promise <const> = require "util.promise"
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local stop <const> = {}

-- How often a waiting client is told of a phase that has begun.
local look <const> = 0.15
-- How often one that waits for the sessions is told how many are left, when that has changed and
-- when it has not.
local every <const>, silence <const> = 1, 15
-- Time for the answer to leave before the process is ended without a word.
local flush <const> = 0.05

local stop_flags <const> = {
	{ name = "plan", help = "say what would happen, do nothing" },
	{ name = "wait", help = "answer when it has ended" },
	{ name = "progress", help = "with --wait, in JSON: the stop object again and again" },
	{ name = "reason", value = "TEXT", help = "for clients, log and report" },
	{ name = "code", value = "N", type = "integer", help = "exit status of the host" },
	{ name = "now", help = "no waiting; goodbyes are still written" },
	{ name = "hammer", help = "end it at once" },
	{ name = "extend", value = "SECONDS", type = "period", help = "more time" },
	{ name = "abort", help = "back to serving" },
}

local finish_flags <const> = {
	{ name = "wait", help = "answer when it has ended" },
	{ name = "progress", help = "with --wait, in JSON: the stop object again and again" },
	{ name = "reason", value = "TEXT", help = "for the log" },
	{ name = "idle-wait", value = "SECONDS", type = "period", help = "longest wait for sessions" },
}

-- For who has lost the worker that was asked: nothing is asked again.
local report_flags <const> = {
	{ name = "wait", help = "of the stop under way, when it has ended" },
	{ name = "progress", help = "with --wait, in JSON: the stop object again and again" },
}

local function answer(done, ok, reason, detail)
	if ok then
		return true, done
	end
	return nil, detail and detail.line or reason
end

-- Tells the client of every phase, until the end, and before that how many are left.
-- @return function that ends it
local function follow_phases(session, progress)
	local last, ended, told
	local told_at = -math.huge
	local function tell_left(wait)
		local now <const>, left <const> = time.monotonic(), sessions.total()
		if now - told_at >= (left ~= told and every or silence) then
			told, told_at = left, now
			session:event({ left = left }, idle_progress.text(wait))
		end
	end
	local unwatch <const> = lifecycle.watch_phases(function (event)
		last = event.phase
		session:event({ ended = event.phase, result = event.result, seconds = event.seconds,
			stop = progress and lifecycle.stop_status() or nil },
			("%s: %s after %.1f s"):format(event.phase, event.result, event.seconds))
	end)
	timer.add_task(look, function ()
		if ended then
			return nil
		end
		local phase <const> = lifecycle.phase()
		if phase ~= last and phase then
			session:event({ phase = phase }, phase)
		end
		last = phase
		local wait <const> = lifecycle.idle_wait()
		if wait then
			tell_left(wait)
		end
		if progress then
			session:event { stop = lifecycle.stop_status(), in_flight = sessions.snapshot() }
		end
		return look
	end)
	return function ()
		ended = true
		unwatch()
	end
end

-- The end is told in here and not after an await: the connection closes right after the waiters
-- have been called.
local function tell_end(session, report, why)
	if not report then
		return session:finish("Error", "the stop was " .. tostring(why), 1)
	end
	session:result(report)
	local clean <const> = report.result == "clean"
	session:finish(clean and "OK" or "Error", ("ended %s with status %d after %.1f s"):format(
		report.result, report.exit, report.seconds), clean and 0 or 1)
end

local function begin_waiting(session, progress)
	local unfollow <const> = follow_phases(session, progress)
	return promise.new(function (resolve)
		local function done()
			unfollow()
			resolve(true)
		end
		lifecycle.when_ended(function (report, why)
			tell_end(session, report, why) -- first: done() goes on with the command at once
			done()
		end)
		session.on_close(done)
	end)
end

local function run_and_wait(session, flags, words, ok, reason, detail)
	if not ok then
		return answer(nil, ok, reason, detail)
	elseif not flags.wait then
		return true, words
	end
	session.print(words)
	async.wait_for(begin_waiting(session, flags.progress))
	return true, "ended"
end

local function print_plan(self)
	for _, line in ipairs(lifecycle.plan_text()) do
		self.session.print(line)
	end
	return true, "nothing has been done", lifecycle.plan()
end

local function hammer()
	timer.add_task(flush, lifecycle.hammer)
	return true, "the hammer falls"
end

local function run_stop(self, flags)
	flags = flags or {}
	if flags.plan then
		return print_plan(self)
	elseif flags.hammer then
		return hammer()
	elseif flags.extend then
		return answer(("%g s more"):format(flags.extend), lifecycle.extend(flags.extend))
	elseif flags.abort then
		return answer("serving again", lifecycle.abort(flags.reason, "console"))
	end
	return run_and_wait(self.session, flags, "Shutdown initiated", lifecycle.stop(flags.reason,
		flags.code, { origin = "console", now = flags.now }))
end

local function run_finish(self, flags)
	flags = flags or {}
	local words <const> = lifecycle.state() == "stopping" and "stopping already" or "finishing"
	return run_and_wait(self.session, flags, words,
		lifecycle.finish(flags.reason, "console", flags.idle_wait))
end

local function run_report(self, flags)
	local last <const> = lifecycle.report()
	if flags and flags.wait and lifecycle.stop_status() then
		async.wait_for(begin_waiting(self.session, flags.progress))
		return true, "ended"
	elseif not last then
		return nil, "no stop has ended in this worker"
	end
	return true, ("%s, exit %d, %.1f s"):format(last.result, last.exit, last.seconds), last
end

--- @return list of commands
function stop.commands()
	return {
		{ name = "stop", desc = "ends the host in phases", args = {}, flags = stop_flags,
			handler = run_stop },
		{ name = "finish", desc = "drains, waits for sessions, ends without evicting", args = {},
			flags = finish_flags, handler = run_finish },
		{ section = "server", name = "finish", args = {}, flags = finish_flags,
			desc = "drains, waits for sessions, ends without evicting", handler = run_finish },
		{ section = "server", name = "report", args = {}, flags = report_flags,
			desc = "the report of the last stop", handler = run_report },
	}
end

return stop
