--- Timers of the loop, with Prosody's names (util.timer).

local clock <const> = require "host.loop"
local timer <const> = require "host.timer"

local util_timer <const> = {}

--- Calls `callback(now, id, param)` once, in `delay` seconds; never within the turn that adds it.
-- A number returned by the callback starts it again after so many seconds. An error is logged
-- and ends it.
-- @param delay seconds, 0 or less: the next turn
-- @param callback function(realtime seconds, id, param)
-- @param param optional: handed to the callback
-- @return id for stop and reschedule
util_timer.add_task = timer.add

--- Ends a timer. Harmless if it has ended.
-- @param id from add_task
-- @return true if it was alive
util_timer.stop = timer.stop

--- Lets a timer fire in `delay` seconds from now instead.
-- @return true if it was alive
util_timer.reschedule = timer.reschedule

--- The realtime at which a monotonic time comes.
-- @param t monotonic seconds
-- @return seconds since 1970
function util_timer.to_absolute_time(t)
	return t - clock.monotonic() + clock.now()
end

--- Number of timers that wait.
util_timer.pending = timer.pending

return util_timer
