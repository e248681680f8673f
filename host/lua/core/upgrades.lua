--- What the keeper says of upgrades: the one under way, the outcome of the last, and the events.

local datetime <const> = require "util.datetime"
local json <const> = require "util.json"
local log <const> = require "util.logger".init("upgrade")
local time <const> = require "util.time"

local upgrades <const> = {}

local null <const> = json.null

local newest              -- the keeper's newest message, or nil
local said = "none"       -- the state that events have told
local told = 0            -- number of the upgrade whose outcome they have told
local is_active           -- function of core/generation.lua
local watchers <const> = {}

local function fire(name, event)
	prosody.events.fire_event(name, event)
end

local function payload(message, state, reason)
	return { state = state, from = message.from, generation = message.from,
		target = message.target ~= 0 and message.target or nil,
		number = message.id, reason = reason ~= "" and reason or nil,
		deadline = message.left >= 0 and time.monotonic() + message.left or nil }
end

-- Names of an outcome: as an event and as the value of `state`.
local outcomes <const> = {
	committed = { state = "retire" },
	failed = { state = "failed", event = "upgrade-failed" },
	["rolled-back"] = { state = "rolled-back", event = "upgrade-rolled-back" },
	checked = { state = "checked" },
}

local function tell_state(message)
	if message.state == said or message.state == "none" then
		return
	end
	said = message.state
	fire("upgrade-state", payload(message, message.state))
	if message.state == "check" then
		fire("upgrade-started", payload(message, message.state))
	elseif message.state == "probation" then
		fire("upgrade-committed", payload(message, message.state))
	end
end

local function tell_outcome(message)
	local outcome <const> = outcomes[message.outcome]
	if message.state ~= "none" or not outcome or told == message.id then
		return
	end
	said, told = "none", message.id
	local event <const> = payload(message, outcome.state, message.reason)
	event.failed_state = outcome.event and message.at_state or nil -- none of one that was good
	fire("upgrade-state", event)
	if outcome.event then
		fire(outcome.event, event)
	end
end

local function on_upgrade(message)
	local first <const> = newest == nil
	newest = message
	if first and message.state == "none" then
		told = message.id -- of a time before this worker
	end
	if is_active() then
		tell_state(message)
		tell_outcome(message)
	else
		said, told = message.state, message.state == "none" and message.id or told
	end
	for fn in pairs(watchers) do
		local ok, err = pcall(fn, message)
		if not ok then
			log("error", "a watcher of the upgrade: %s", tostring(err))
		end
	end
end

--- Calls fn(message) at each change: `id` (number of the upgrade), `state`, `from`, `target`,
-- `seconds`, `left`, and of the last one `outcome`, `at_state`, `reason`, `took`, `pause`.
-- @return function that ends this
function upgrades.watch(fn)
	watchers[fn] = true
	return function ()
		watchers[fn] = nil
	end
end

--- The upgrade under way and the last outcome, for status; unknown is null.
function upgrades.status()
	local m <const> = newest
	local object <const> = { state = null, number = null, from = null, target = null, left = null,
		last = null }
	if not m then
		return object
	end
	local runs <const> = m.state ~= "none"
	object.number = m.id
	if m.outcome ~= "" then
		object.last = { number = runs and m.id - 1 or m.id, outcome = m.outcome, state = m.at_state,
			reason = m.reason, at = datetime.datetime(m.ended), seconds = m.took, pause = m.pause }
	end
	if runs then
		object.state, object.from = m.state, m.from
		object.target = m.target ~= 0 and m.target or null
		object.left = m.left >= 0 and m.left or null
	end
	return object
end

--- How many upgrades ended in which way, since the host began.
-- @return { committed, failed, rolled_back }
function upgrades.counts()
	local m <const> = newest or {}
	return { committed = m.committed or 0, failed = m.failed or 0, rolled_back = m.rolled_back or 0 }
end

--- Begins to listen.
-- @param keeper host.keeper, or nil
-- @param active function: whether this generation is the active one
function upgrades.init(keeper, active)
	is_active = active
	if keeper then
		keeper.on("upgrade", on_upgrade)
	end
end

return upgrades
