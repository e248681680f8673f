-- Lame duck: the first phase of a stop. Not ready any more, still serving, until balancers have
-- noticed.
--
--	lameduck_period = 3            -- how long; cut short when nothing is in flight and no probe
--	                                  looks
--	lameduck_hook_timeout = 1      -- each hold on lameduck-started, before the period begins
--	lameduck_probe_window = 60     -- a readiness probe this recent keeps the period whole
--	lameduck_signals = { "TERM" }  -- only these begin it; default: all that mean shutdown

module:set_global()

local fire <const> = require "core.fire"
local holds <const> = require "core.holds"
local lifecycle <const> = require "core.lifecycle"
local promise <const> = require "util.promise"
local sessions <const> = require "core.sessions"
local signals_map <const> = require "core.signals_map"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local period <const> = module:get_option_period("lameduck_period", 3)
local hook_timeout <const> = module:get_option_period("lameduck_hook_timeout", 1)
local probe_window <const> = module:get_option_period("lameduck_probe_window", 60)
local signals <const> = module:get_option_array("lameduck_signals")

if period <= 0 then
	error("lameduck_period must be above 0 (remove mod_lameduck from modules_enabled to have none)", 0)
end

local listed
if signals then
	listed = {}
	for _, name in ipairs(signals) do
		listed[signals_map.canonical(name) or ""] = true
	end
end

-- Whether this stop has a lame-duck phase at all.
local function applies(event)
	if event.now then
		return nil, "asked for at once"
	elseif not event.host_started then
		return nil, "the start was not complete"
	elseif event.drained and event.drained > period then
		return nil, "drained long enough"
	elseif listed and event.signal and not listed[event.signal] then
		return nil, event.signal .. " is not one of lameduck_signals"
	end
	return true
end

-- Nothing is in flight, and no balancer has asked lately: nobody has to notice anything.
local function nobody_looks()
	return sessions.total() == 0 and lifecycle.probe_age() > probe_window
end

local function late_hooks(duck)
	local list = duck.hooks:expired_holders()
	for _, holder in ipairs(duck.left or {}) do
		holder.seconds = holder.since
		list[#list + 1] = holder
	end
	return list
end

local function ended(duck, result)
	if duck.over then
		return
	end
	duck.over = true
	-- The hooks' set is not the phase's own, so its holders are told here.
	if duck.result == "expired" then
		duck.phase.outcome, duck.phase.extra.holders = "expired", late_hooks(duck)
	elseif duck.error then
		duck.phase.outcome = "failed" -- a pre-hook is this phase's own work
	end
	for _, id in pairs(duck.timers) do
		timer.stop(id)
	end
	lifecycle.watch_idle(false)
	if duck.on_idle then
		module:unhook("sessions-idle", duck.on_idle)
	end
	module:fire_event("lameduck-ended", {
		result = duck.error and "failed" or result, error = duck.error,
		seconds = time.monotonic() - duck.started,
	})
	duck.resolve()
end

local function serve_on(duck)
	if duck.over then
		return
	end
	-- The hooks' time does not count: the period begins now.
	if period < math.huge then
		duck.phase:extend(time.monotonic() + period - duck.phase.deadline)
	end
	local function look()
		if nobody_looks() then
			module:log("debug", "nothing in flight and no probe: cut short")
			ended(duck, duck.result)
		end
	end
	duck.on_idle = look
	module:hook("sessions-idle", look)
	lifecycle.watch_idle(true)
	if period < math.huge then
		duck.timers.period = timer.add_task(period, function () ended(duck, duck.result) end)
	end
	local wait = probe_window - lifecycle.probe_age()
	if wait > 0 and wait < period then
		duck.timers.probe = timer.add_task(wait + 0.01, look)
	end
	look()
end

-- The pre-hooks are holds of lameduck-started; the period begins when they are done.
local function run_hooks(duck, phase)
	local set = holds.new {
		deadline = time.monotonic() + hook_timeout,
		on_empty = function () serve_on(duck) end,
		on_expire = function () duck.result = "expired" end,
	}
	duck.hooks = set
	local event = { period = period, deadline = time.monotonic() + hook_timeout + period }
	function event.hold(_, name, seconds, on_expire, conn)
		return set:hold(name, math.min(seconds or hook_timeout, hook_timeout), on_expire, conn,
			holds.calling_module(2))
	end
	holds.attach(event, set)
	fire.held("lameduck-started", event, function (name, by, err)
		duck.error = duck.error or tostring(err)
		lifecycle.note_error(name, by, err)
	end)
	if set.size == 0 then
		serve_on(duck)
		return
	end
	phase:extend(hook_timeout)
end

local function work(_, phase)
	return promise.new(function (resolve)
		local duck = {
			phase = phase, started = time.monotonic(), resolve = resolve, timers = {},
			result = "clean",
		}
		phase.on_cut = function (why)
			duck.left = duck.hooks:close()
			duck.result = #duck.left > 0 and why ~= "abort" and "expired" or duck.result
			ended(duck, duck.result)
			return duck.result
		end
		run_hooks(duck, phase)
	end)
end

module:provides("shutdown-phase", {
	name = "lame-duck", before = "stop-accepting", budget = period, work = work, applies = applies,
	events = { "lameduck-started" },
})
