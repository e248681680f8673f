--- Commands that go on until the client leaves (log follow, debug logevents).

local async <const> = require "util.async"
local timer <const> = require "util.timer"

local wait <const> = {}

local waiting = 0

--- How many commands wait now.
function wait.count()
	return waiting
end

--- Waits until the session is closed or so many seconds are over.
-- @param seconds or nil: only the close ends it
function wait.until_closed(session, seconds)
	local over <const>, done <const> = async.waiter(1, true)
	local task <const> = seconds and timer.add_task(seconds, done)
	session.on_close(done)
	waiting = waiting + 1
	over()
	waiting = waiting - 1
	session.off_close(done)
	if task then
		timer.stop(task)
	end
end

return wait
