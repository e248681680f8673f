--- Loggers and sinks, with Prosody's names.
-- A logger knows its source; a sink is `fn(source, level, format, ...)`. Formatting happens in
-- the sink, so a message that nobody wants costs one table look-up.

local levels <const> = { debug = true, info = true, warn = true, error = true }

local level_sinks <const> = { debug = {}, info = {}, warn = {}, error = {} }
local handles <const> = {}

local function call_sinks(sinks, source, level, message, ...)
	for i = 1, #sinks do
		local sink = sinks[i]
		-- A full disk or a broken sink must not become an error in the code that only wanted to log.
		local ok, err = pcall(sink, source, level, message, ...)
		if not ok then
			io.stderr:write(("log sink failed: %s\n"):format(err))
		end
	end
end

--- A logger for one source and one level.
-- @param source name shown in the line
-- @param level "debug", "info", "warn" or "error"
-- @return fn(format, ...)
local function make_logger(source, level)
	local sinks = level_sinks[level]
	if not sinks then
		error("unknown log level '" .. tostring(level) .. "'", 2)
	end
	return function (message, ...)
		if sinks[1] then
			call_sinks(sinks, source, level, message, ...)
		end
	end
end

--- A logger for one source.
-- @param source name shown in the line
-- @return fn(level, format, ...); an unknown level is logged as "info"
local function init(source)
	return function (level, message, ...)
		local sinks = level_sinks[level]
		if not sinks then
			level = "info"
			sinks = level_sinks.info
		end
		if sinks[1] then
			call_sinks(sinks, source, level, message, ...)
		end
	end
end

--- Adds a sink to one level.
-- @param level one of the four levels
-- @param sink fn(source, level, format, ...)
local function add_level_sink(level, sink)
	local sinks = level_sinks[level]
	if not sinks then
		return nil, "unknown-level"
	end
	sinks[#sinks + 1] = sink
	return sink
end

--- Adds a sink that gets formatted messages.
-- @param sink fn(source, level, message)
-- @param wanted list of levels, default all
-- @return a handle for remove_sink
local function add_simple_sink(sink, wanted)
	local format <const> = require "util.format".format
	local function handle(source, level, message, ...)
		return sink(source, level, format(message, ...))
	end
	for _, level in ipairs(wanted or { "debug", "info", "warn", "error" }) do
		if levels[level] then
			add_level_sink(level, handle)
		end
	end
	handles[handle] = true
	return handle
end

--- Removes a sink from all levels.
-- @param handle what add_simple_sink returned, or the function given to add_level_sink
-- @return true if it was there
local function remove_sink(handle)
	local found = false
	for _, sinks in pairs(level_sinks) do
		for i = #sinks, 1, -1 do
			if sinks[i] == handle then
				table.remove(sinks, i)
				found = true
			end
		end
	end
	handles[handle] = nil
	return found
end

--- Removes all sinks (loggers stay valid).
local function reset()
	for _, sinks in pairs(level_sinks) do
		for i = #sinks, 1, -1 do
			sinks[i] = nil
		end
	end
	for handle in pairs(handles) do
		handles[handle] = nil
	end
end

return {
	init = init,
	make_logger = make_logger,
	new = make_logger,
	add_level_sink = add_level_sink,
	add_simple_sink = add_simple_sink,
	remove_sink = remove_sink,
	reset = reset,
}
