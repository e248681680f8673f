--- Counts and times the handlers of events, for `event show`. On from the load of the console.

local holds <const> = require "core.holds"
local time <const> = require "util.time"

local meter <const> = {}

-- handler → { calls, seconds }; weak, so that a handler that is gone is forgotten.
local counts <const> = setmetatable({}, { __mode = "k" })
local monotonic <const> = time.monotonic

local function count(handler, started, ...)
	local entry = counts[handler]
	if not entry then
		entry = { calls = 0, seconds = 0 }
		counts[handler] = entry
	end
	entry.calls = entry.calls + 1
	entry.seconds = entry.seconds + (monotonic() - started)
	return ...
end

local function measured(handler, _, data)
	return count(handler, monotonic(), handler(data))
end

local function attach(events)
	local previous <const> = events.set_debug_hook(measured)
	if previous and previous ~= measured then
		events.set_debug_hook(previous) -- somebody else debugs: leave it to them
	end
end

local function detach(events)
	local previous <const> = events.set_debug_hook(nil)
	if previous and previous ~= measured then
		events.set_debug_hook(previous)
	end
end

local function each_set(fn)
	fn(prosody.events)
	for _, session in pairs(prosody.hosts) do
		if type(session) == "table" and session.events then
			fn(session.events)
		end
	end
end

local function on_host(host)
	local session <const> = prosody.hosts[host]
	if session then
		attach(session.events)
	end
end

--- Begins to measure.
function meter.start()
	each_set(attach)
	prosody.events.add_handler("host-activated", on_host)
end

--- Ends it; the console's module is unloaded.
function meter.stop()
	each_set(detach)
	prosody.events.remove_handler("host-activated", on_host)
end

--- @return { module, where, calls, seconds } of a handler
function meter.describe(handler)
	local info <const> = debug.getinfo(handler, "S")
	local entry <const> = counts[handler] or { calls = 0, seconds = 0 }
	local ok, module = pcall(holds.module_of, handler)
	return { module = ok and module or nil, calls = entry.calls, seconds = entry.seconds,
		where = ("%s:%d"):format(info.short_src, info.linedefined) }
end

return meter
