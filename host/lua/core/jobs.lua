-- Background jobs (`module:background`): begun when the host serves, cancelled at its end, then
-- joined with a deadline each.
--
--   waiting ── server-started ──> running ── done(), its promise ──> over
--                                    └─ cancel() ─> over, or joined until the deadline
--
-- A job is no session: nobody waits for its end by itself, so finish's idle wait does not count it.

local async <const> = require "util.async"
local countdown <const> = require "core.countdown"
local log <const> = require "util.logger".init("jobs")
local options <const> = require "core.lifecycle_options"
local promise <const> = require "util.promise"

local jobs <const> = {}

local list <const> = {} -- of those that are not over, in the order of their begin

local function over(job)
	if job.over then
		return
	end
	job.over = true
	for i, other in ipairs(list) do
		if other == job then
			table.remove(list, i)
			break
		end
	end
	if job.joined then
		job.joined()
	end
end

local function failed(job, what, err)
	log("error", "job '%s' of mod_%s: %s: %s", job.name, job.module, what, tostring(err))
	if job.on_error then
		job.on_error("job " .. job.name, job.module, err)
	end
end

-- Calls fn in a runner of its own, so that it may wait; then(result), unless it raised.
local function call(job, what, fn, after, ...)
	local args <const> = table.pack(...)
	async.runner(function ()
		after(fn(table.unpack(args, 1, args.n)))
	end, {
		error = function (_, err)
			failed(job, what, err)
			over(job)
		end,
	}):run(true)
end

local function follow(job, what, wanted)
	wanted:next(function () over(job) end, function (err)
		failed(job, what, err)
		over(job)
	end)
end

local function start(job)
	if job.over or job.started then
		return
	end
	job.started = true
	call(job, "start", job.start, function (result)
		if promise.is_promise(result) then
			job.promise = result
			follow(job, "start", result)
		end
	end, function () over(job) end)
end

-- What cancel says of the end: a promise of it, false (done() will come), else that it is over;
-- but a job whose start gave a promise is over when that is settled.
local function cancelled(job, result)
	if promise.is_promise(result) then
		follow(job, "cancel", result)
	elseif result ~= false and not job.promise then
		over(job)
	end
end

local function cancel(job, reason)
	if job.over or job.cancelling then
		return
	end
	job.cancelling = true
	if not job.started or not job.cancel then
		return cancelled(job)
	end
	call(job, "cancel", job.cancel, function (result) cancelled(job, result) end, reason)
end

--- Adds a job.
-- @param module its api table
-- @param name what it is
-- @param def table: start(done) (may wait; may return a promise of its end), cancel(reason)
--   (the same; false: done() will be called), timeout (seconds; default job_timeout)
function jobs.add(module, name, def)
	if type(def) ~= "table" or type(def.start) ~= "function" then
		error("module:background needs a table with a function start", 3)
	end
	local job <const> = {
		module = module.name, api = module, name = tostring(name), def = def,
		start = def.start, cancel = def.cancel, timeout = def.timeout,
	}
	list[#list + 1] = job
	module:on_ready(function () start(job) end)
end

--- Cancels the jobs of an instance that is taken away.
-- @param module its api table
-- @return what jobs.restart() needs to bring them back
function jobs.detach(module)
	local mine <const> = {}
	for _, job in ipairs({ table.unpack(list) }) do
		if job.api == module then
			mine[#mine + 1] = job
			cancel(job, "unload")
		end
	end
	return mine
end

--- Begins jobs again whose instance has come back.
function jobs.restart(detached)
	for _, job in ipairs(detached or {}) do
		over(job)
		jobs.add(job.api, job.name, job.def)
	end
end

--- The jobs that are not over.
-- @return list of { module, name, running }
function jobs.list()
	local names <const> = {}
	for i, job in ipairs(list) do
		names[i] = { module = job.module, name = job.name, running = job.started or false }
	end
	return names
end

-- One job of a join: a hold of the phase until it is over or its time is.
local function join(job, phase, opts, done)
	local limit <const> = job.timeout or options.period("job_timeout", 5)
	job.on_error = opts.on_error
	local release = phase.holds:hold("job " .. job.name, limit, function ()
		-- Named by the hold; from here on it is lost, and nobody waits for it again.
		job.given_up = true
		done()
	end, nil, job.module)
	job.joined = function ()
		release()
		done()
	end
	cancel(job, opts.reason)
end

--- Cancels all jobs and waits for them, each at most its own time.
-- @param phase the running phase, whose holds name who is waited for
-- @param opts table: reason, on_error(event, module, error)
-- @param done called once, when all are over or given up
-- @return function that stops the waiting: done() follows at once
function jobs.join(phase, opts, done)
	local all <const> = {}
	for _, job in ipairs(list) do
		all[#all + 1] = not job.given_up and job or nil
	end
	local part <const>, finish <const> = countdown(#all, done)
	for _, job in ipairs(all) do
		join(job, phase, opts, part())
	end
	return finish
end

return jobs
