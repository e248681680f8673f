-- Foreign drivers: a module may replace `prosody.shutdown` and drive the stop itself, as
-- Prosody's own mod_graceful_shutdown does. It is met here: its function is called once for each
-- stop, the state becomes stopping at the call, and a repeated call goes to the host, which
-- hurries.

local holds <const> = require "core.holds"

local foreign <const> = {}

-- Events with holds that a module may fire by itself.
local completed <const> = { "server-starting", "server-stopping", "lameduck-started" }

-- replacement → the guard that the table `prosody` shows in its place; a chain of replacements
-- that call each other finds the same guard for the same function every time.
local guards <const> = setmetatable({}, { __mode = "k" })
local originals <const> = setmetatable({}, { __mode = "k" })

-- The replacement in force (nil: the host's own), and the ones that this stop has called.
local current, called = nil, {}
local host_shutdown
local inside = false -- the replacement is running

local function guard_of(replacement)
	local guard = guards[replacement]
	if guard then
		return guard
	end
	guard = function (reason, code)
		if foreign.running and not called[replacement] then
			-- Called by another replacement that wraps it: it is its turn.
			called[replacement] = true
			return replacement(reason, code)
		end
		return host_shutdown(reason, code, true)
	end
	guards[replacement], originals[guard] = guard, replacement
	return guard
end

--- Makes `prosody.shutdown` a looked-up name: what a module assigns is kept and guarded.
-- @param prosody the table
-- @param shutdown the host's own function(reason, code); any call of a replacement becomes a call
--   of it, and so the state is stopping before the replacement runs
function foreign.install(prosody, shutdown)
	host_shutdown = shutdown
	local mt = getmetatable(prosody) or {}
	local old_index, old_newindex = mt.__index, mt.__newindex
	prosody.shutdown = nil
	function mt.__index(t, key)
		if key == "shutdown" then
			-- To the driver itself its own name means itself: Prosody's hands it to a timer as its next
			-- step.
			return current and (inside and current or guard_of(current)) or host_shutdown
		elseif type(old_index) == "function" then
			return old_index(t, key)
		end
		return old_index and old_index[key]
	end
	function mt.__newindex(t, key, value)
		if key == "shutdown" then
			value = originals[value] or value
			current = value ~= host_shutdown and value or nil
		elseif type(old_newindex) == "function" then
			old_newindex(t, key, value)
		else
			rawset(t, key, value)
		end
	end
	setmetatable(prosody, mt)
end

--- Completes the lifecycle events that another party fires: their handlers need not care.
-- @param events prosody.events
-- @param deadline function → monotonic seconds, or nil
function foreign.complete(events, deadline)
	for _, name in ipairs(completed) do
		events.wrappers.add_handler(name, function (fire, event, data)
			data = data or {}
			if type(data) == "table" and rawget(data, "hold") == nil then
				holds.attach(data, holds.new { deadline = deadline })
			end
			return fire(event, data)
		end)
	end
end

--- The function that drives instead of the host.
-- @return function(reason, code), or nil
function foreign.driver()
	return current
end

--- Calls the replacement, once for a stop.
-- @return true and its results; false and the error if it raised; nil if it was called already
function foreign.drive(reason, code)
	if not current or called[current] then
		return nil
	end
	called[current] = true
	foreign.running, inside = true, true
	local results = table.pack(pcall(current, reason, code))
	inside = false
	return table.unpack(results, 1, results.n)
end

--- A new stop may call the replacements again (after an abort).
function foreign.reset()
	called, foreign.running = {}, false
end

return foreign
