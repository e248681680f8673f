-- Coroutines that wait; API of Prosody 13's util.async.
--
-- A runner calls its function with one queued item after another in a coroutine. When the function
-- waits, the coroutine yields "wait" and later items queue; when the last done() has been called,
-- it goes on from there. Between items the coroutine yields "ready".
--
--	ready -> running [run] -> ready (queue empty) | waiting (the function waits)
--	waiting -> ready [the awaited done(), through next_tick] -> running, if items have queued
--
-- A runner's own field `resume` takes the place of coroutine.resume (core/health_checks.lua: within
-- a time).
--
-- An error ends the item and the coroutine, never the runner: the watcher `error` is told, and the
-- next item gets a new coroutine.

local logger <const> = require "util.logger"
local time_now <const> = require "util.time".now

local log <const> = logger.init("util.async")

local function at_once(f)
	f()
end

local next_tick, schedule_task = at_once, nil
local runner_count = 0
local waiting_runners <const> = {} -- runner -> since when (real time)
local runner_of <const> = setmetatable({}, { __mode = "k" }) -- coroutine -> runner

local function check_thread()
	local thread, is_main = coroutine.running()
	if is_main then error("Not running in an async context", 3) end
	return thread
end

local function call_watcher(runner, name, ...)
	local watcher = runner.watchers[name]
	if not watcher then return end
	local ok, err = xpcall(watcher, debug.traceback, runner, ...)
	if not ok then runner:log("error", "Error in '%s' watcher: %s", name, err) end
end

local stray <const> = "coroutine.yield() outside of util.async"

-- What a coroutine comes back with: "wait", or what it says at its end. A yield that is none of
-- ours would be taken for that, and the next piece of work for the answer to it.
local function outcome(ok, state)
	if ok and state ~= "wait" and state ~= "ready" then
		return false, stray
	end
	return ok, state
end

--- Ends a coroutine that raised. @return the error; a string has its traceback
local function bury(thread, err)
	err = debug.traceback(thread, err)
	coroutine.close(thread)
	return err
end

-- One piece of work without a queue --------------------------------------------------------------
--
-- Most handlers never wait. They share coroutines that are made once: to enter one and to come back
-- costs less than a runner's states and queue. Of the steps that took an HTTP GET from 49,600
-- instructions to 32,100 (callgrind) this was the largest. A usual request has its own
-- (bindings/lua_http_serve.c); this is the way of all others.

local max_spare <const> = 64
local spare, spares = nil, {} -- the one used last, and others

local function pool_body(work, subject)
	while true do
		work(subject)
		work, subject = coroutine.yield("ready")
	end
end

local function give_back(thread)
	if not spare then
		spare = thread
	elseif #spares < max_spare then
		spares[#spares + 1] = thread
	end
end

-- What has become of a pooled coroutine after it ran.
local function settle(thread, job, ok, state)
	if not job.foreign or coroutine.status(thread) == "suspended" then
		ok, state = outcome(ok, state)
	end
	if ok and state == "wait" then return true end
	waiting_runners[job], runner_of[thread] = nil, nil
	if ok then
		if not job.foreign then give_back(thread) end
	else
		job.on_error(job.subject, bury(thread, state))
	end
	return true
end

--- Calls work(subject) where it may wait; several may wait at a time.
-- @param on_error called with (subject, error and traceback); what it raises goes to the caller, or
--   to whoever called the done() that was waited for
local function run_pooled(work, subject, on_error)
	local thread = spare or table.remove(spares) or coroutine.create(pool_body)
	spare = nil
	local ok, state = coroutine.resume(thread, work, subject)
	if ok and state == "ready" then
		return give_back(thread)
	end
	local job = { work = work, subject = subject, on_error = on_error }
	if ok then
		runner_of[thread], waiting_runners[job] = job, time_now()
	end
	settle(thread, job, ok, state)
end

--- Takes over a coroutine whose work has been begun elsewhere and waits.
-- @param subject, on_error as of run_pooled; nobody uses the coroutine again
-- @param state what it has yielded
local function adopt(thread, subject, on_error, state)
	if state ~= "wait" then
		return on_error(subject, bury(thread, stray))
	end
	local job <const> = { work = true, foreign = true, subject = subject, on_error = on_error }
	runner_of[thread], waiting_runners[job] = job, time_now()
end

-- Goes on with a coroutine that waits.
local function continue(thread)
	if coroutine.status(thread) ~= "suspended" then
		log("error", "unexpected async state: thread not suspended (%s)", coroutine.status(thread))
		return false
	end
	local runner = runner_of[thread]
	local ok, state = (runner and runner.resume or coroutine.resume)(thread)
	if runner and runner.work then
		return settle(thread, runner, ok, state)
	elseif runner then
		ok, state = outcome(ok, state)
	end
	if not ok then
		local err = bury(thread, state)
		if not runner then
			log("error", "Error in a coroutine without a runner: %s", err)
			return false
		end
		runner.thread = nil
		call_watcher(runner, "error", err)
		runner.state = "ready"
		runner:run()
	elseif state == "ready" then
		next_tick(function ()
			runner.state = "ready"
			runner:run()
		end)
	end
	return true
end

--- @param num how many done() it takes (default 1)
-- @param allow_many true: more done() are no error
-- @return wait(), done()
local function waiter(num, allow_many)
	local thread = check_thread()
	local left, waiting = num or 1, false
	return function ()
		if left <= 0 then return end
		waiting = true
		coroutine.yield("wait")
	end, function ()
		left = left - 1
		if left == 0 then
			if waiting then continue(thread) end
		elseif left < 0 and not allow_many then
			error("done() called too many times", 2)
		end
	end
end

--- @return guard([id [, f]]): one coroutine at a time gets past it for each id; the others wait in
--   order. With f it runs f and lets the next in, even if f raises; without it returns exit().
local function guarder()
	local guards, default_id = {}, {}
	return function (id, f)
		id = id or default_id
		local thread = check_thread()
		local waiting = guards[id]
		if waiting then
			waiting[#waiting + 1] = thread
			coroutine.yield("wait")
		else
			waiting = {}
			guards[id] = waiting
		end
		local left = false
		local function exit()
			if left then return end
			left = true
			local following = table.remove(waiting, 1)
			if following then continue(following) else guards[id] = nil end
		end
		if not f then return exit end
		local ok, err = xpcall(f, debug.traceback)
		exit()
		if not ok then error(err, 0) end
	end
end

--- Waits for so many seconds.
local function sleep(seconds)
	if not schedule_task then
		error("async.sleep() is not available - configure schedule function")
	end
	local wait, done = waiter()
	schedule_task(seconds, done)
	wait()
end

--- Waits for a promise. @return its value, or nil and the reason
local function wait_for(promise)
	local wait, done = waiter()
	local value, reason
	promise:next(function (v) value = v end, function (r) reason = r end):finally(done)
	wait()
	if value ~= nil then return value end
	return nil, reason
end

local methods = {}
local mt <const> = { __name = "runner", __index = methods }

local function default_func(f)
	f()
end

local function default_error_watcher(runner, err)
	runner:log("error", "Encountered error: %s", err)
	error(err)
end

local function new_thread(runner)
	local thread = coroutine.create(function (self)
		while true do
			self.func(coroutine.yield("ready"))
		end
	end)
	runner_of[thread] = runner
	assert(coroutine.resume(thread, runner))
	return thread
end

-- Runs the items that stand in the queue now, until one waits or raises. @return state, error
local function run_batch(self, queue)
	local count, used, state, err = #queue, 0, "ready", nil
	while used < count and state == "ready" and err == nil do
		used = used + 1
		local item, thread = queue[used], self.thread
		self.current_item = item
		local ok, new_state = (self.resume or coroutine.resume)(thread, item)
		ok, new_state = outcome(ok, new_state)
		if not ok then
			err = bury(thread, new_state)
			self.thread = nil
		elseif new_state == "wait" then
			state = "waiting"
		end
	end
	-- items that came meanwhile stand behind `count`
	table.move(queue, used + 1, #queue + used, 1)
	return state, err
end

-- After a run: "ready" or "waiting", and what was raised. Tells the watcher if that is news.
local function enter_state(self, state, err)
	self.state = state
	if state == "ready" then self.current_item = nil end
	waiting_runners[self] = state == "waiting" and time_now() or nil
	local name = state
	if err ~= nil then
		name = "error"
	elseif state == self.notified_state then
		return
	else
		self.notified_state = state
	end
	local watcher = self.watchers[name]
	if watcher then watcher(self, err) end
end

--- Adds an item (unless nil) and processes the queue if the runner is idle.
-- @return true, state, number of queued items
function methods:run(item)
	local queue = self.queue
	if item ~= nil then queue[#queue + 1] = item end
	if self.state ~= "ready" then return true, self.state, #queue end
	if not self.thread or coroutine.status(self.thread) == "dead" then
		self.thread = new_thread(self)
	end
	local state, err = "ready", nil
	self.state = "running"
	while #queue > 0 and state == "ready" and err == nil do
		state, err = run_batch(self, queue)
	end
	enter_state(self, state, err)
	if #queue > 0 and self.state == "ready" then return self:run() end
	return true, state, #queue
end

--- Adds an item without running.
function methods:enqueue(item)
	self.queue[#self.queue + 1] = item
	return self
end

function methods:log(level, ...)
	self._log = self._log or logger.init("runner" .. self.id)
	return self._log(level, ...)
end

function methods:onready(f)
	self.watchers.ready = f
	return self
end

function methods:onwaiting(f)
	self.watchers.waiting = f
	return self
end

function methods:onerror(f)
	self.watchers.error = f
	return self
end

--- @param func called with each item (default: the item is called)
-- @param watchers ready(runner), waiting(runner), error(runner, err): told when the state changes.
--   Default: an error is logged and raised to the caller of run.
-- @param data kept in the field `data`
local function runner(func, watchers, data)
	runner_count = runner_count + 1
	return setmetatable({
		func = func or default_func, thread = false, state = "ready", notified_state = "ready",
		queue = {}, watchers = watchers or { error = default_error_watcher }, data = data,
		id = ("%d"):format(runner_count),
	}, mt)
end

return {
	--- @return true inside a runner; false and why not outside
	ready = function () return pcall(check_thread) end,
	waiter = waiter, guarder = guarder, runner = runner, sleep = sleep,
	wait_for = wait_for, run_pooled = run_pooled, adopt = adopt, bury = bury,
	wait = wait_for, -- the name before 0.12
	default_runner_func = default_func,
	waiting_runners = waiting_runners,
	--- @param f calls its argument later, or nil: at once
	set_nexttick = function (f) next_tick = f or at_once end,
	--- @param f (seconds, callback)
	set_schedule_function = function (f) schedule_task = f end,
}
