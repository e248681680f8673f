--- `module:fire_event_all`: one event in every worker of the generation.

local log <const> = require "util.logger".init("events")
local peers <const> = require "core.peers"
local serialization <const> = require "util.serialization"

local fire_all <const> = {}

local serialize <const> = serialization.new { preset = "compact", multiref = true }

local function events_of(host)
	if host == "*" then
		return prosody.events
	end
	local found <const> = prosody.hosts[host]
	return found and found.events
end

local function on_event(from, body)
	local told <const>, err = serialization.deserialize(body)
	if type(told) ~= "table" then
		return log("error", "an event of worker %d cannot be read: %s", from, tostring(err))
	end
	local events <const> = events_of(told.host)
	if events then -- a worker whose config is not yet reloaded may lack the host
		events.fire_event(told.event, told.data)
	end
end

--- Fires an event here, and in the other workers when they come to it: at most once in each, none
-- in one that does not read or is being restarted.
-- @param module its api: the event is its host's
-- @param event name
-- @param data nil, or plain data (strings, numbers, booleans, tables of them without cycles), of
--   which the others get a copy. Raises if it is something else
-- @return what the event returns here; or nil and why it was fired nowhere (data too large)
function fire_all.fire(module, event, data)
	local ok, body = pcall(serialize, { host = module.host, event = event, data = data })
	if not ok then
		error(("module:fire_event_all: the data of '%s' is not plain: %s"):format(tostring(event),
			tostring(body)), 3)
	elseif #body > peers.body_max then
		return nil, ("the data of '%s' has %d bytes; at most %d can go to other workers"):format(event,
			#body, peers.body_max)
	end
	peers.tell("event", body)
	return module:fire_event(event, data)
end

--- Hears the events of other workers from here on.
function fire_all.init()
	peers.on("event", on_event)
end

return fire_all
