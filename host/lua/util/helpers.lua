-- For the console and for debugging; API of Prosody's util.helpers, and set_upvalue, get_upvalues.

local debug_util <const> = require "util.debug"
local logger <const> = require "util.logger"

local log <const> = logger.init "util.helpers"

--- Logs every event that fires, every handler that it calls and how the chain ends.
-- @param name shown in the lines. @param logger_fn instead of the default logger
local function log_events(events, name, logger_fn)
	local fire_event = events.fire_event
	if not fire_event then error("Object does not appear to be a util.events object") end
	local write = logger_fn or log
	name = name or tostring(events)

	function events.fire_event(event, ...)
		write("debug", "%s firing event: %s", name, event)
		return fire_event(event, ...)
	end

	events.set_debug_hook(function (handler, event, data)
		write("debug", "calling handler for %s: %s", event, handler)
		local ok, ret = xpcall(handler, debug.traceback, data)
		if not ok then
			write("error", "error in event handler %s: %s", handler, ret)
			error(ret, 0)
		elseif ret ~= nil then
			write("debug", "event chain ended for %s by %s with result: %s", event, handler, ret)
		end
		return ret
	end)
	events[events.fire_event] = fire_event
	return events
end

local function revert_log_events(events)
	local logging = events.fire_event
	if not events[logging] then return end
	events.fire_event, events[logging] = events[logging], nil
	events.set_debug_hook(nil)
end

local function host_events(host)
	return assert(prosody.hosts[host], "unknown host: " .. tostring(host)).events
end

local function handler_text(handler, priority)
	local upvalues = debug_util.string_from_var_table(debug_util.get_upvalues_table(handler))
	return ("  %s: %s%s"):format(priority or "?", tostring(handler),
		upvalues and "\n        " .. upvalues or "")
end

--- Events and their handlers, in the order in which they run, as text.
-- @param event only this one
local function show_events(events, event)
	local blocks = {}
	for name, priorities in pairs(events._event_map) do
		local handlers = events._handlers[name]
		if handlers and (event == nil or event == name) then
			local lines = { tostring(name) }
			for i, handler in ipairs(handlers) do
				lines[i + 1] = handler_text(handler, priorities[handler])
			end
			blocks[#blocks + 1] = table.concat(lines, "\n")
		end
	end
	table.sort(blocks)
	return table.concat(blocks, "\n\n")
end

local function find_upvalue(f, name)
	for i = 1, math.huge do
		local found, value = debug.getupvalue(f, i)
		if found == nil then return nil end
		if found == name then return i, value end
	end
end

--- @return the value of a function's upvalue, or nil
local function get_upvalue(f, name)
	local _, value = find_upvalue(f, name)
	return value
end

--- @return true if the function has that upvalue, which now has the value
local function set_upvalue(f, name, value)
	local i = find_upvalue(f, name)
	if not i then return false end
	debug.setupvalue(f, i, value)
	return true
end

--- @return name -> value of all of a function's upvalues
local function get_upvalues(f)
	local values = {}
	for _, upvalue in ipairs(debug_util.get_upvalues_table(f)) do
		values[upvalue.name] = upvalue.value
	end
	return values
end

return {
	log_events = log_events, revert_log_events = revert_log_events,
	log_host_events = function (host) return log_events(host_events(host), host) end,
	revert_log_host_events = function (host) return revert_log_events(host_events(host)) end,
	show_events = show_events,
	get_upvalue = get_upvalue, set_upvalue = set_upvalue, get_upvalues = get_upvalues,
}
