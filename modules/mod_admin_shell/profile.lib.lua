-- The word profile: where the CPU time goes, by Lua function.

local async <const> = require "util.async"
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

-- Names the files of the other workers. @return who has none, and why; nil if all have
local function show_others(session, saved, asked, others)
	local missing <const>, lines <const> = async.wait_for(asked), {}
	for _, worker in ipairs(others) do
		if missing[worker] then
			lines[#lines + 1] = ("worker %d: %s"):format(worker, missing[worker])
		else
			session.print(("worker %d: %s-%d.svg"):format(worker, saved, worker))
		end
	end
	return lines[1] and table.concat(lines, "; ")
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
	local asked <const>, others <const> = profile.ask_others(seconds, path)
	self.session.print(("sampling for %g s"):format(seconds))
	wait.until_closed(self.session, seconds)
	local result <const> = finish()
	local saved, why = profile.save(path, result)
	if not saved then
		return nil, why
	end
	show(self.session, result)
	local text <const> = ("%.2f s of CPU time in %g s; see %s.svg and .folded"):format(
		result.samples * profile.period, seconds, saved)
	local missing <const> = show_others(self.session, saved, asked, others)
	if missing then
		return nil, text .. ", but not of all workers: " .. missing
	end
	return true, text
end

--- @return list of commands
function lib.commands()
	return { { name = "profile", desc = "samples where CPU time goes; writes a flame graph",
		args = { { name = "seconds", type = "period", optional = true },
			{ name = "file", optional = true } }, handler = run } }
end

return lib
