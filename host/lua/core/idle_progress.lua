-- What the idle wait of `finish` says of itself: how many are left, of which module, how long yet.

local log <const> = require "util.logger".init("lifecycle")
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local idle_progress <const> = {}

-- A line of the log is written when the number has changed, but no more often than this (s).
local pause <const> = 5

local function by_module()
	local list = {}
	for name, count in pairs((sessions.snapshot()).by_module) do
		list[#list + 1] = { module = name, count = count }
	end
	table.sort(list, function (a, b)
		return a.count > b.count or a.count == b.count and a.module < b.module
	end)
	return list
end

--- Seconds that a wait still has; math.huge without a limit.
function idle_progress.left(wait)
	return math.max(0, wait.started + wait.budget - time.monotonic())
end

--- "3 in flight (chat 2, http 1), 40 s left"
-- @param wait { started (monotonic seconds), budget (seconds) }
function idle_progress.text(wait)
	local parts, left = {}, idle_progress.left(wait)
	for i, entry in ipairs(by_module()) do
		parts[i] = ("%s %d"):format(entry.module, entry.count)
	end
	return ("%d in flight%s%s"):format(sessions.total(),
		#parts > 0 and (" (%s)"):format(table.concat(parts, ", ")) or "",
		left < math.huge and (", %.0f s left"):format(left) or "")
end

--- Begins to log the number when it falls.
-- @return function that ends it
function idle_progress.follow(wait)
	log("info", "finish: waits for %s", idle_progress.text(wait))
	local told, pending = time.monotonic(), nil
	local function tell()
		pending, told = nil, time.monotonic()
		log("info", "finish: %s", idle_progress.text(wait))
	end
	local unhook = sessions.on_fall(function (total)
		if total > 0 and not pending then
			pending = timer.add_task(math.max(0, told + pause - time.monotonic()), tell)
		end
	end)
	return function ()
		unhook()
		if pending then
			timer.stop(pending)
		end
	end
end

--- The wait as a stop's record shows a phase, and who is waited for as holders.
-- @return phase { phase, state, seconds, budget }, list of { module, hold, since, left }
function idle_progress.status(wait)
	local holders, seconds = {}, time.monotonic() - wait.started
	for i, entry in ipairs(by_module()) do
		holders[i] = {
			module = entry.module, hold = entry.count .. " in flight", since = seconds,
			left = idle_progress.left(wait),
		}
	end
	return {
		phase = "idle-wait", state = "running", seconds = seconds,
		budget = wait.budget < math.huge and wait.budget or nil,
	}, holders
end

return idle_progress
