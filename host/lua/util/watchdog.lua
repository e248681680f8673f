--- Calls back when it was not reset in time.

local timer <const> = require "util.timer"

local watchdog <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

--- Counts from now again.
function methods:reset(new_timeout)
	if new_timeout then
		self.timeout = new_timeout
	end
	if self.timer_id then
		timer.stop(self.timer_id)
	end
	self.timer_id = timer.add_task(self.timeout, function ()
		self.timer_id = nil
		return self:callback()
	end)
end

--- It will not call.
function methods:cancel()
	if self.timer_id then
		timer.stop(self.timer_id)
		self.timer_id = nil
	end
end

--- @param timeout seconds
-- @param callback fn(watchdog)
function watchdog.new(timeout, callback)
	local new <const> = setmetatable({ timeout = timeout, callback = callback }, mt)
	new:reset()
	return new
end

return watchdog
