-- The object "stop" of `status --json`: how far a stop is and who holds it.

local array <const> = require "util.array"
local datetime <const> = require "util.datetime"
local idle <const> = require "core.idle"
local idle_progress <const> = require "core.idle_progress"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local options <const> = require "core.lifecycle_options"
local stop <const> = require "core.stop"
local time <const> = require "util.time"

local stop_status <const> = {}

-- A record of a stop stands for finishing too, from the begin of its teardown.
local shown <const> = { finishing = true, stopping = true, stopped = true }

local function known(value)
	return value == nil and json.null or value
end

local function finite(seconds)
	return seconds and seconds < math.huge and seconds or json.null
end

local function hammer_left(mine)
	local at = mine.started + options.period("hammer_time", 60)
	return finite(math.max(0, at - time.monotonic()))
end

local function phases(mine)
	local list = array {}
	for _, phase in ipairs(mine.run and mine.run:status() or mine.phases) do
		list:push {
			phase = phase.phase, state = phase.state or "ended", seconds = known(phase.seconds),
			budget = known(phase.budget), result = known(phase.result),
		}
	end
	return list
end

local function own_holders(mine)
	local list = array {}
	local phase = mine and mine.run and mine.run.current
	for _, holder in ipairs(phase and phase.holds:holders() or {}) do
		list:push {
			module = known(holder.module), hold = holder.hold, conn = known(holder.conn),
			since = holder.since, left = finite(holder.left),
		}
	end
	return list
end

-- Another worker is told the first of them only: its answer has 64 KiB.
local most_told <const> = 50

--- Who holds the phase in this worker, for the one that answers for the host.
-- @return list as in the object, or nil
function stop_status.holders()
	local list = own_holders(stop.current())
	return list[1] and array(table.move(list, 1, math.min(#list, most_told), 1, {})) or nil
end

local function holders(mine, others)
	local list = own_holders(mine)
	for _, counts in pairs(others) do
		for _, holder in ipairs(type(counts.holders) == "table" and counts.holders or {}) do
			list:push(holder)
		end
	end
	return list
end

-- The idle wait of finish is no phase of a stop yet, but whoever watches waits for it.
local function idle_wait(wait)
	local left = idle_progress.left(wait)
	local phase, found = idle_progress.status(wait)
	local list = array {}
	for _, holder in ipairs(found) do
		list:push {
			module = holder.module, hold = holder.hold, conn = json.null, since = holder.since,
			left = finite(holder.left),
		}
	end
	return json_fields.order({
		deadline = left < math.huge and datetime.datetime(time.now() + left) or json.null,
		left = finite(left), budget = finite(wait.budget), evict = false,
		hammer_left = finite(left + options.period("hammer_time", 60)),
		phases = array { {
			phase = phase.phase, state = phase.state, seconds = phase.seconds,
			budget = known(phase.budget), result = json.null,
		} },
		holders = list,
	}, "stop")
end

--- Builds the object.
-- @param state of the host
-- @param others nil, or what core.whole knows of the other workers: their holders stand there too
-- @return table, or nil when no stop is under way
function stop_status.build(state, others)
	if state == "finishing" and idle.wait() then
		return idle_wait(idle.wait())
	end
	local mine = stop.current()
	if not mine or mine.aborted or not shown[state] then
		return nil
	end
	local left = stop.left()
	return json_fields.order({
		deadline = left < math.huge and datetime.datetime(time.now() + left) or json.null,
		left = finite(left), budget = finite(mine.budget), evict = mine.evict,
		hammer_left = hammer_left(mine), phases = phases(mine), holders = holders(mine, others or {}),
	}, "stop")
end

return stop_status
