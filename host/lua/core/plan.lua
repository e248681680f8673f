-- `stop --plan`: what a stop would do, phase by phase and subscriber by subscriber, without doing
-- it.

local array <const> = require "util.array"
local fire <const> = require "core.fire"
local foreign <const> = require "core.foreign"
local options <const> = require "core.lifecycle_options"

local plan <const> = {}

local function items(kind)
	local life <const> = require "core.lifecycle_host"
	return life.items(kind)
end

-- The driver says its list itself: an item { plan = fn() → list of phases } of kind
-- shutdown-driver.
local function phase_list()
	local driver = items("shutdown-driver-provider")[1]
	local stop_run <const> = require "core.stop_run"
	if foreign.driver() then
		return "a replaced prosody.shutdown",
			{ { name = "prosody.shutdown", events = { "server-stopping" } }, stop_run.quit_phase {} }
	elseif driver then
		return "mod_" .. driver.name, driver.plan()
	end
	return "the host", stop_run.plain_list { verb = "shutdown" }
end

local function subscribers(list, event)
	for _, handler in ipairs(fire.handlers(event)) do
		local origin = fire.origin(handler)
		origin.event = event
		list[#list + 1] = origin
	end
end

local function events_of(phase)
	local events = { "shutdown/" .. phase.name }
	for _, event in ipairs(phase.events or {}) do
		events[#events + 1] = event
	end
	return events
end

--- The plan as data.
-- @return { driver, budget, hammer_time (-1: never), phases = list of { phase, budget,
--   subscribers = list of { event, module, file, line } } }
function plan.build()
	local driver, list = phase_list()
	local phases = {}
	for i, item in ipairs(list) do
		local found = {}
		for _, event in ipairs(events_of(item)) do
			subscribers(found, event)
		end
		phases[i] = { phase = item.name, budget = item.budget, subscribers = array(found) }
	end
	local hammer <const> = options.period("hammer_time", 60)
	return {
		driver = driver, budget = options.period("shutdown_timeout", 25),
		hammer_time = hammer < math.huge and hammer or -1, phases = phases,
	}
end

--- The plan as lines for a person.
-- @return list of strings
function plan.text()
	local built = plan.build()
	local lines = {
		("driven by %s, at most %g s"):format(built.driver, built.budget),
	}
	for _, phase in ipairs(built.phases) do
		lines[#lines + 1] = ("%-16s %s"):format(phase.phase,
			phase.budget and ("at most %g s"):format(phase.budget) or "what is left")
		for _, who in ipairs(phase.subscribers) do
			lines[#lines + 1] = ("    %s: %s, %s:%d"):format(who.event,
				who.module and "mod_" .. who.module or "the host", who.file, who.line)
		end
	end
	lines[#lines + 1] = built.hammer_time < 0 and "no hammer"
		or ("hammer %g s after the begin"):format(built.hammer_time)
	return lines
end

return plan
