--- `profile SECONDS FILE`: which functions the CPU time of the workers goes to.
--
-- Every worker of the generation samples itself (host.profile) and writes FILE.svg and
-- FILE.folded, those beside the one that was asked with its number in the name.

local flamegraph <const> = require "core.console.flamegraph"
local log <const> = require "util.logger".init("profile")
local peers <const> = require "core.peers"
local promise <const> = require "util.promise"
local storefile <const> = require "util.storefile"
local timer <const> = require "util.timer"

local profile <const> = {}

--- Seconds of CPU time between two samples, and the longest profile.
profile.period, profile.longest = 0.01, 600
--- How long the other workers are waited for when their time is over (s).
profile.patience = 4

-- Names for C functions: "string.rep", "conn:write". Handles first, then what is loaded.
local function c_function_names()
	local names <const> = {}
	local function take(t, prefix)
		for key, value in next, t do
			if type(key) == "string" and type(value) == "function" and not names[value]
			and debug.getinfo(value, "S").what == "C" then
				names[value] = prefix .. key
			end
		end
	end
	local net <const> = require "host.net"
	take(net.conn_methods, "conn:")
	take(net.server_methods, "server:")
	local loaded <const> = {}
	for name in pairs(package.loaded) do
		loaded[#loaded + 1] = name
	end
	table.sort(loaded)
	for _, name in ipairs(loaded) do
		local library <const> = package.loaded[name]
		if type(library) == "table" then
			take(library, name == "_G" and "" or name .. ".")
		end
	end
	return names
end

-- What every callback has below it tells nothing: boot.lua, core/worker.lua, the loop. "": it was
-- taken in the loop itself, between two callbacks.
local function above_the_loop(stack)
	return stack:match("%[C%] host%.loop%.run;?(.*)$") or stack
end

local function collect(found, outside, lost)
	local result <const> = { outside = outside, lost = lost, samples = outside, stacks = {} }
	for stack, count in pairs(found) do
		stack = above_the_loop(stack)
		if stack == "" then
			result.outside = result.outside + count
		else
			result.stacks[stack] = (result.stacks[stack] or 0) + count
		end
		result.samples = result.samples + count
	end
	result.stacks["(outside of Lua)"] = result.outside > 0 and result.outside or nil
	return result
end

local function write(path, result)
	local title <const> = ("gadwall, generation %d, worker %d: %d samples of %g ms of CPU time")
		:format(prosody.generation, prosody.worker, result.samples, profile.period * 1000)
	local ok, err = storefile.write(path .. ".folded", flamegraph.folded(result.stacks))
	if ok then
		ok, err = storefile.write(path .. ".svg", flamegraph.svg(result.stacks, title))
	end
	if not ok then
		return nil, ("cannot write %s: %s"):format(path, tostring(err))
	end
	return true
end

local function own_path(path)
	return path:sub(1, 1) == "/" and path or prosody.paths.data .. "/" .. path
end

--- Begins in this worker.
-- @return function() → { samples, outside, lost, stacks }, to be called once; nil and why not
function profile.begin()
	local host_profile <const> = require "host.profile"
	local ok, err = host_profile.start(profile.period, c_function_names())
	if not ok then
		return nil, err
	end
	return function ()
		local stacks, outside, lost = host_profile.stop()
		return collect(stacks, outside, lost)
	end
end

--- Writes what a profile has found.
-- @param path without an ending; relative: below data_path
-- @return the path in full; nil and why
function profile.save(path, result)
	path = own_path(path)
	local ok, err = write(path, result)
	if not ok then
		return nil, err
	end
	return path
end

local function failed(why)
	log("error", "No profile of this worker: %s", why)
	return "error " .. why
end

-- What another worker's console has begun. @return promise of "saved" or "error WHY"
local function join(text)
	local seconds <const>, path <const> = text:match("^(%S+) (.+)$")
	local finish, err = profile.begin()
	if not finish then
		return failed(err)
	end
	return promise.new(function (resolve)
		timer.add_task(tonumber(seconds), function ()
			local saved, why = profile.save(("%s-%d"):format(path, prosody.worker), finish())
			resolve(saved and "saved" or failed(why))
		end)
	end)
end

--- Lets the other workers take profiles of themselves.
-- @return promise of { worker's number → nil, or why there is no profile of it }; their numbers
function profile.ask_others(seconds, path)
	local others <const> = peers.others()
	local answers <const> = peers.ask("profile", seconds + profile.patience,
		("%f %s"):format(seconds, path))
	return answers:next(function (said)
		local missing <const> = {}
		for _, worker in ipairs(others) do
			local answer <const> = said[worker]
			missing[worker] = not answer
				and ("no answer within %g s; it writes them when it can"):format(profile.patience)
				or answer:match("^error (.*)$")
		end
		return missing
	end), others
end

peers.reply("profile", join)

return profile
