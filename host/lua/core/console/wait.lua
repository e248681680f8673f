--- Commands that go on until the client leaves (log follow, debug logevents).

local async <const> = require "util.async"
local promise <const> = require "util.promise"
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
	local task, closed
	local done <const> = promise.new(function (resolve)
		closed = function () resolve(true) end
		session.on_close(closed)
		if seconds then
			task = timer.add_task(seconds, function () resolve(true) end)
		end
	end)
	waiting = waiting + 1
	async.wait_for(done)
	waiting = waiting - 1
	session.off_close(closed)
	if task then
		timer.stop(task)
	end
end

return wait
