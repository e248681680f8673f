--- Health checks that judge a new generation (`probation = true`): three failures in a row of a
-- check that passed in the older one when that yielded bring the older one back. A check that
-- failed there too says something of the world, not of the upgrade: a database that is away is no
-- reason to go back. The result travels in the beat.

local health_checks <const> = require "core.health_checks"

local probation <const> = {}

local enough <const> = 3

local passed_before = {} -- set of names

--- What passes on to the next generation: the names of the checks that pass now.
function probation.save()
	local names <const> = {}
	for _, result in ipairs(health_checks.results()) do
		if result.probation and result.status == "pass" then
			names[#names + 1] = result.name
		end
	end
	return names
end

--- What the older generation saved.
function probation.restore(names)
	passed_before = {}
	for _, name in ipairs(names) do
		passed_before[name] = true
	end
end

--- The check that speaks against this generation.
-- @return "health check NAME: why"; or nil
function probation.failing()
	if next(passed_before) == nil then
		return nil
	end
	for _, result in ipairs(health_checks.results()) do
		if passed_before[result.name] and result.probation and result.failures >= enough then
			return ("health check %s: %s"):format(result.name, tostring(result.error))
		end
	end
end

return probation
