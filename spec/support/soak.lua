--- What the long specs of `make soak` have in common: how long they may take, and slopes.

local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local soak <const> = {}

--- Minutes that were asked for (make soak SOAK=N), or nil.
soak.asked = tonumber(os.getenv "GADWALL_SOAK" or "")

--- A clock that begins now.
---@param minutes number|nil if nothing was asked for; nil: without an end
---@return function over() → boolean: the time has passed
function soak.clock(minutes)
	local limit <const> = soak.asked or minutes
	local due <const> = limit and wait.now() + 60 * limit
	return function () return due ~= nil and wait.now() >= due end
end

--- One line that `make soak` shows.
function soak.say(...)
	print("soak: " .. string.format(...))
end

--- Resident memory of a process in KiB; 0 if it has gone.
function soak.rss(pid)
	local text <const> = pid and process.read_file(("/proc/%d/status"):format(pid)) or ""
	return tonumber(text:match("VmRSS:%s*(%d+)")) or 0
end

local series <const> = {}
local series_mt <const> = { __index = series }

--- Samples of one quantity.
---@param name string
---@param unit string
function soak.series(name, unit)
	return setmetatable({ name = name, unit = unit, x = {}, y = {} }, series_mt)
end

--- Notes the value `y` after `x` rounds.
function series:add(x, y)
	self.x[#self.x + 1], self.y[#self.y + 1] = x, y
end

--- Growth in a thousand rounds: the line of least squares through the samples, without the first
--- tenth, in which tables and caches get their size.
function series:slope()
	local n, sx, sy, sxx, sxy = 0, 0, 0, 0, 0
	for i = #self.x // 10 + 1, #self.x do
		local x <const>, y <const> = self.x[i], self.y[i]
		n, sx, sy, sxx, sxy = n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y
	end
	local below <const> = n * sxx - sx * sx
	return below > 0 and 1000 * (n * sxy - sx * sy) / below or 0
end

-- A line through fewer samples says nothing.
local enough <const> = 100

--- Says first, last, highest and slope.
function series:report()
	local slope <const> = #self.y >= enough
		and (", slope %+.1f %s in 1000"):format(self:slope(), self.unit) or ""
	soak.say("%s: first %d, last %d, highest %d %s%s", self.name, self.y[1], self.y[#self.y],
		math.max(table.unpack(self.y)), self.unit, slope)
end

return soak
