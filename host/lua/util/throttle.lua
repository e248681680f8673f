-- A token bucket; API of Prosody's util.throttle.

local now <const> = require "util.time".now

local methods = {}
local mt <const> = { __index = methods }

--- Adds what has come in since the last look. @return balance
function methods:update()
	local at = now()
	-- real time may be set back
	local elapsed = math.max(at - self.t, 0)
	self.t = at
	self.balance = math.min(self.balance + self.rate * elapsed, self.max)
	return self.balance
end

--- @return true if the balance covers `cost` (default 1)
function methods:peek(cost)
	cost = cost or 1
	return self.balance >= cost or self:update() >= cost
end

--- Pays `cost` (default 1). @return true; or false, the balance, what is missing; with `split` the
-- balance is then spent
function methods:poll(cost, split)
	cost = cost or 1
	if self:peek(cost) then
		self.balance = self.balance - cost
		return true
	end
	local balance = self.balance
	if split then self.balance = 0 end
	return false, balance, cost - balance
end

--- @param max most that can be saved up, and the first balance
-- @param period seconds in which `max` comes in
local function create(max, period)
	return setmetatable({ rate = max / period, max = max, t = now(), balance = max }, mt)
end

return { create = create }
