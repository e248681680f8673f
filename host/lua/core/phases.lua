-- A list of phases, run in order, each with a budget: the library under every stop.
--
-- It knows no phase by name. A phase is { name, budget, work }: it begins (`enter` fires its
-- event), its work runs, others hold it. It ends
--   clean    when work and holds are done, and stragglers are gone or `linger` seconds have passed,
--   expired  at its deadline, or when it is hurried, if something was unfinished,
--   failed   when its work raised (the next phase begins all the same),
--   aborted  by abort(), after which no other phase begins.
-- The deadline is the phase's budget, but never more than the run has left. Nothing polls: every
-- end comes from a release, from the work's own end, or from one timer.

local phase <const> = require "core.phase"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local phases <const> = {}
local run_methods <const> = {}
local run_mt <const> = { __index = run_methods }

local function begin_next(run)
	if run.finished or run.current then
		return
	end
	run.waits_after = nil
	run.at = run.at + 1
	local item = run.list[run.at]
	if item then
		return phase.begin(run, item)
	end
	run.finished = true
	if run.done then
		run.done(run.results)
	end
end

-- The run -------------------------------------------------------------------------------------

--- Runs a list of phases. The first one begins before this returns.
-- @param opts table: `list` of { name, budget (seconds, or nil: all that is left), least (seconds
--   that it gets even when nothing is left), patient (true: hurry() does not end it), work =
--   fn(event, phase) }; `left()` → seconds the
--   whole run still has (default: for ever); `linger` seconds (default 0); `event` fields for every
--   phase's event; `started(run)`, `enter(phase)`, `ended(record)`, `between(phase, next)` (calls
--   next() when the next one may begin), `done(results)`; `now_only` true: every budget is 0; for
--   specs `now` and `timer`
-- @return the run: `current` phase or nil, `waits_after` (the phase after which `between` has not
--   yet called next), `results`, and the methods below
function phases.run(opts)
	local run = setmetatable({
		list = opts.list, left = opts.left or function () return math.huge end, linger = opts.linger or 0,
		event = opts.event or {}, enter = opts.enter, ended = opts.ended, done = opts.done,
		between = opts.between,
		now_only = opts.now_only, now = opts.now or time.monotonic, timer = opts.timer or timer,
		results = {}, at = 0, finished = false,
	}, run_mt)
	run.next = function () begin_next(run) end
	if opts.started then
		opts.started(run)
	end
	begin_next(run)
	return run
end

--- The names of the phases from one on.
-- @param name of a phase of the run
-- @return list
function run_methods:from(name)
	local list = {}
	for _, item in ipairs(self.list) do
		if item.name == name or list[1] then
			list[#list + 1] = item.name
		end
	end
	return list
end

--- Ends the current phase now.
-- @return the phase's name, or nil when none is running
function run_methods:hurry()
	local current = self.current
	if not current then
		return nil
	elseif not current.patient then
		phase.finish(current, "hurry")
	end
	return current.name
end

--- Gives the current phase more time; the caller has already moved what left() counts to.
function run_methods:extend(seconds)
	if self.current then
		self.current:extend(seconds)
	end
end

--- Cuts every budget to nothing from now on: goodbyes are still written, nothing is waited for.
function run_methods:cut()
	self.now_only = true
	self:hurry()
end

--- Stops the run where it is; no further phase begins and `done` is not called.
function run_methods:abort()
	if self.current then
		phase.finish(self.current, "abort")
	end
	self.finished = true
end

--- The phase that runs, or that is over here and waited for elsewhere (`between`).
-- @return name, or nil
function run_methods:phase()
	local current = self.current or self.waits_after
	return current and current.name
end

-- A phase that others have not ended yet is not over.
local function ends_waited_for(run, list)
	local last, over = list[#list], run.waits_after
	if over and last and not run.finished then
		last.state, last.result, last.seconds = "running", nil, run.now() - over.started
	end
end

--- The phases as the status object shows them.
-- @return list of { phase, state = "ended" | "running" | "waiting", seconds, budget, result }; a
--   result is that of all workers where it is known (`of_all` of the record)
function run_methods:status()
	local list = {}
	for _, record in ipairs(self.results) do
		list[#list + 1] = {
			phase = record.phase, state = "ended", seconds = record.seconds, budget = record.budget,
			result = record.of_all or record.result,
		}
	end
	ends_waited_for(self, list)
	local current = self.current
	if current then
		list[#list + 1] = {
			phase = current.name, state = "running", seconds = self.now() - current.started,
			budget = current.budget,
		}
	end
	for i = #list + 1, #self.list do
		list[i] = { phase = self.list[i].name, state = "waiting", budget = self.list[i].budget }
	end
	return list
end

return phases
