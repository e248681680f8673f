--- Waiting in specs: never a bare sleep, always a condition and a deadline.
-- `local wait_until <const> = require "spec.support.wait"`, then `wait_until(fn, 2, "the port")`.

local posix_time <const> = require "posix.time"

local wait <const> = {}

--- Monotonic clock.
---@return number seconds
function wait.now()
	local ts = posix_time.clock_gettime(posix_time.CLOCK_MONOTONIC)
	return ts.tv_sec + ts.tv_nsec / 1e9
end

--- Sleeps; only for the pause between two looks, or where the passing of time is the subject.
---@param seconds number
function wait.sleep(seconds)
	local whole = math.floor(seconds)
	posix_time.nanosleep { tv_sec = whole, tv_nsec = math.floor((seconds - whole) * 1e9) }
end

-- How many times more there was to do in the last minute than the machine has cores for: 1 to 5.
local function overload()
	local stat <close> = assert(io.open "/proc/stat")
	local _, cores = stat:read("a"):gsub("\ncpu%d", "")
	local loadavg <close> = assert(io.open "/proc/loadavg")
	return math.min(math.max(loadavg:read("n") / cores, 1), 5)
end

--- Whether the time of a wait is over. What takes a second on an idle machine takes more on one
--- that has several things to do, so a wait of a second or more lasts longer: 5 times at most.
---@param waited number seconds since it began
---@param seconds number that it was given
function wait.over(waited, seconds)
	return waited >= seconds and (seconds < 1 or waited >= seconds * overload())
end

--- Calls `fn` until it returns something true.
---@param fn function called every 5 ms, later every 25 ms
---@param seconds number|nil deadline, default 5; later on a loaded machine (`wait.over`)
---@return any the first true value, or nil, "timeout"
function wait.try(fn, seconds, turn)
	local begin = wait.now()
	repeat
		local value = fn()
		if value then return value end
		if turn then turn() end
		wait.sleep(wait.now() - begin < 0.2 and 0.005 or 0.025)
	until wait.over(wait.now() - begin, seconds or 5)
	local value = fn() -- once more: the machine may have slept past the deadline
	if value then return value end
	return nil, "timeout"
end

--- Like `try`, but a timeout is an error that says what was waited for.
---@param fn function
---@param seconds number|nil default 5
---@param what string|nil words for the message
---@param turn function|nil called before each pause (for example one turn of the host's loop)
---@return any the first true value
function wait.until_true(fn, seconds, what, turn)
	local value = wait.try(fn, seconds, turn)
	if value then return value end
	error(("timed out after %g s waiting for %s"):format(seconds or 5, what or "a condition"), 2)
end

return setmetatable(wait, {
	__call = function(_, fn, seconds, what, turn)
		return wait.until_true(fn, seconds, what, turn)
	end,
})
