-- The word profile: where the CPU time goes, by Lua function.

local flamegraph <const> = require "core.console.flamegraph"
local profile <const> = require "core.console.profile"
local wait <const> = require "core.console.wait"

local lib <const> = {}

local shown <const> = 10 -- functions that the answer names

local function without_ending(path)
	return (path:gsub("%.svg$", ""):gsub("%.folded$", ""))
end

local function show(session, result)
	for _, entry in ipairs(flamegraph.top(result.stacks, shown)) do
		session.print(("%6.2f %%  %s"):format(100 * entry.count / math.max(1, result.samples),
			entry.name))
	end
	if result.lost > 0 then
		session.print(("%d samples had no room"):format(result.lost))
	end
end

local function run(self, seconds, path)
	seconds = seconds or 10
	if seconds <= 0 or seconds > profile.longest then
		return nil, ("a profile takes up to %d seconds"):format(profile.longest)
	end
	path = without_ending(path or os.date("profile-%Y%m%d-%H%M%S"))
	local finish, err = profile.begin()
	if not finish then
		return nil, err
	end
	local others <const> = profile.tell_others(seconds, path)
	self.session.print(("sampling for %g s"):format(seconds))
	wait.until_closed(self.session, seconds)
	local result <const> = finish()
	local saved, why = profile.save(path, result)
	if not saved then
		return nil, why
	end
	show(self.session, result)
	for _, worker in ipairs(others) do
		self.session.print(("worker %d: %s-%d.svg"):format(worker, saved, worker))
	end
	return true, ("%.2f s of CPU time in %g s; see %s.svg and .folded"):format(
		result.samples * profile.period, seconds, saved)
end

--- @return list of commands
function lib.commands()
	return { { name = "profile", desc = "samples where CPU time goes; writes a flame graph",
		args = { { name = "seconds", type = "period", optional = true },
			{ name = "file", optional = true } }, handler = run } }
end

return lib
