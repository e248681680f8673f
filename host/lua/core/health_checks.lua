--- Checks that modules register (`module:add_item("health-check", …)`): run while the host serves,
-- each under its own deadline, their results kept for whoever asks.
--
-- An answer to a probe never waits for a check: it reads the last result and says how old it is.

local async <const> = require "util.async"
local guard <const> = require "host.guard"
local json_fields <const> = require "core.json_fields"
local log <const> = require "util.logger".init("health")
local promise <const> = require "util.promise"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local checks <const> = {}

-- Seconds between two runs of a check that does not say.
local default_interval <const> = 10
local longest_reason <const> = 200 -- bytes
-- One that goes on at its deadline has so long to say something (s).
local least_time <const> = 0.05

local default_timeout = 5
local running = false
local by_name <const> = {} -- name → check

local function one_line(reason)
	local line = tostring(reason == nil and "no reason given" or reason):match("^[^\n]*")
	line = line:gsub("%c", " ")
	return #line > longest_reason and json_fields.cut(line, longest_reason) .. "…" or line
end

local function is_seconds(value)
	return value == nil or type(value) == "number" and value > 0 and value < math.huge
end

-- What is wrong with an item, or nil.
local function fault_of(item)
	if type(item.name) ~= "string" or item.name == "" then
		return "it has no name"
	elseif type(item.check) ~= "function" then
		return "it has no function 'check'"
	elseif not is_seconds(item.timeout) or not is_seconds(item.interval) then
		return "timeout and interval are seconds above 0"
	elseif by_name[item.name] then
		return "another check has this name"
	end
end

local begin

-- From a timer: a check is nobody's callback but its own.
local function begin_in(check, seconds)
	if running and not check.gone then
		check.next = timer.add_task(math.max(seconds, 0), function ()
			check.next = nil
			begin(check)
		end)
	end
end

local function note(check, status, reason)
	local before <const> = check.status
	check.status, check.error, check.at = status, reason, time.monotonic()
	check.passed = check.passed or status == "pass"
	check.failures = status == "pass" and 0 or check.failures + 1
	if status == "fail" and before ~= "fail" then
		log("warn", "check %s fails: %s", check.name, reason)
	elseif status == "pass" and before == "fail" then
		log("info", "check %s passes again", check.name)
	end
end

-- The end of run `run`; one that comes after its deadline, or after the check has gone, counts no
-- more.
local function settle(check, run, status, reason)
	if check.run ~= run then
		return
	end
	check.run = nil
	timer.stop(check.deadline)
	note(check, status, status == "fail" and one_line(reason) or nil)
	begin_in(check, check.begun + check.interval - time.monotonic())
end

local function await(check, run, result)
	result:next(function (value)
		settle(check, run, value ~= false and "pass" or "fail", "it says no")
	end, function (reason)
		settle(check, run, "fail", reason)
	end)
end

local function work(check, run)
	local ok, reason = check.item.check()
	if promise.is_promise(ok) then
		return await(check, run, ok)
	end
	return settle(check, run, ok and "pass" or "fail", reason)
end

-- coroutine.resume for a check: it has what is left of its time, also when it never waits.
local function resume_until(deadline)
	return function (thread, ...)
		local left <const> = math.max(deadline - time.monotonic(), least_time)
		return select(2, guard.within(left, coroutine.resume, thread, ...))
	end
end

begin = function (check)
	local run <const>, seconds <const> = {}, check.timeout or default_timeout
	check.run, check.begun = run, time.monotonic()
	check.deadline = timer.add_task(seconds, function ()
		settle(check, run, "fail", "timeout")
	end)
	local runner <const> = async.runner(function () return work(check, run) end, {
		error = function (_, err) settle(check, run, "fail", err) end,
	})
	runner.resume = resume_until(check.begun + seconds)
	runner:run(true)
end

local function cancel(check)
	check.run = nil
	if check.deadline then
		timer.stop(check.deadline)
	end
	if check.next then
		timer.stop(check.next)
		check.next = nil
	end
end

--- Registers a check; it is run at once if the host serves.
-- @param item { name, check = fn, timeout, interval, probation }: check() returns true, or nil and
--   the reason, or a promise; it may wait (util.async). Seconds.
-- @param module name of the module, for the log
-- @return true; or nil and the reason
function checks.add(item, module)
	local fault <const> = fault_of(item)
	if fault then
		log("error", "health check %s of mod_%s is left out: %s", tostring(item.name),
			tostring(module), fault)
		return nil, fault
	end
	local check <const> = { name = item.name, item = item, status = "pending", failures = 0,
		timeout = item.timeout, interval = item.interval or default_interval }
	by_name[item.name] = check
	begin_in(check, 0)
	return true
end

--- Forgets a check; what it still has to say is not heard.
function checks.remove(item)
	local check <const> = by_name[item.name]
	if check and check.item == item then
		check.gone = true
		cancel(check)
		by_name[item.name] = nil
	end
end

--- Begins to run all checks, now; or ends it. Results stay.
-- @param on boolean
function checks.run(on)
	if on == running then
		return
	end
	running = on
	for _, check in pairs(by_name) do
		cancel(check)
		begin_in(check, 0)
	end
end

--- @param seconds for checks without a timeout of their own
function checks.set_timeout(seconds)
	default_timeout = seconds
end

local function age_of(check)
	return check.at and time.monotonic() - check.at or nil
end

--- The results.
-- @return list, by name: { name, status ("pass", "fail", "pending"), error, age (seconds),
--   interval, failures (in a row), passed (ever), probation }
function checks.results()
	local list <const> = {}
	for name, check in pairs(by_name) do
		list[#list + 1] = { name = name, status = check.status, error = check.error,
			age = age_of(check), interval = check.interval, failures = check.failures,
			passed = check.passed or false, probation = check.item.probation == true }
	end
	table.sort(list, function (a, b) return a.name < b.name end)
	return list
end

--- The first check that does not pass. One that has not been run yet does not.
-- @return result as in results(), or nil
function checks.failing()
	for _, result in ipairs(checks.results()) do
		if result.status ~= "pass" then
			return result
		end
	end
end

return checks
