--- Which log line goes where (Prosody's core.loggingmanager).

local config <const> = require "core.configmanager"
local log_keeper <const> = require "core.log_keeper"
local log_sinks <const> = require "core.log_sinks"
local logger <const> = require "util.logger"

local loggingmanager <const> = {}

local levels <const> = { "debug", "info", "warn", "error" }

local makers <const> = {
	console = log_sinks.console, stdout = log_sinks.stdout, file = log_sinks.file,
	syslog = log_sinks.syslog, nowhere = log_sinks.nowhere,
}

local rules = {}
local sinks = {}
local faults = {}

--- The levels that a rule's `levels` means: a name, a list, or { min =, max = }.
local function wanted_levels(criteria)
	local set = {}
	if criteria == nil then
		criteria = levels
	elseif type(criteria) == "string" then
		return { [criteria] = true }
	end
	if criteria.min or criteria.max then
		local inside = not criteria.min
		for _, level in ipairs(levels) do
			inside = inside or level == criteria.min
			if inside then
				set[level] = true
			end
			if level == criteria.max then
				break
			end
		end
	end
	for _, level in ipairs(criteria) do
		set[level] = true
	end
	return set
end

--- One entry of a `log` table as a rule.
local function entry_rule(value, level, default_level)
	if type(value) == "table" then
		return value
	elseif type(value) ~= "string" then
		return nil
	end
	local sink = value:match("^%*(.+)")
	if sink then
		return { to = sink, levels = { min = level or "debug" } }
	end
	return { to = "file", filename = value, timestamps = true,
		levels = { min = level or default_level } }
end

--- The option `log` as a list of rules { to, levels, … }.
-- @param value what the config says; nil = console
-- @param debug the option `debug`
function loggingmanager.rules(value, debug)
	local lowest = debug and "debug" or "info"
	if value == nil then
		return { { to = "console", levels = { min = lowest } } }
	elseif type(value) == "string" then
		return { entry_rule(value, nil, lowest) }
	end
	local list = {}
	for _, level in ipairs(levels) do
		if value[level] then
			list[#list + 1] = entry_rule(value[level], level)
		end
	end
	for _, item in ipairs(value) do
		list[#list + 1] = entry_rule(item, nil, lowest)
	end
	return list
end

local function drop_sinks(name)
	for _, sink in ipairs(sinks[name] or {}) do
		logger.remove_sink(sink)
	end
	sinks[name] = {}
end

local function apply_rule(rule)
	local maker = makers[rule.to]
	if not maker then
		return
	end
	local ok, sink, fault = pcall(maker, rule)
	if not ok or type(sink) ~= "function" then
		faults[#faults + 1] = ("log sink %s: %s"):format(rule.to, tostring(sink))
		io.stderr:write(faults[#faults] .. "\n")
		return
	end
	if fault then
		faults[#faults + 1] = fault
	end
	for level in pairs(wanted_levels(rule.levels)) do
		logger.add_level_sink(level, sink)
	end
	sinks[rule.to] = sinks[rule.to] or {}
	table.insert(sinks[rule.to], sink)
end

--- Puts the config's `log` in force: all sinks are made anew, files are reopened.
function loggingmanager.reload_logging()
	local close_old = log_sinks.close_files()
	local debug = config.get("*", "debug")
	logger.reset()
	rules, sinks, faults = loggingmanager.rules(config.get("*", "log"), debug), {}, {}
	for _, rule in ipairs(rules) do
		apply_rule(rule)
	end
	log_keeper.tell(log_sinks.files(), wanted_levels)
	close_old()
end

--- Adds a sink type; rules in the config that name it begin to work at once.
-- @param name word for `to`, or after `*`
-- @param maker fn(config) -> sink(source, level, format, ...); nil removes the type
-- @return the maker that had the name before, or nil
function loggingmanager.register_sink_type(name, maker)
	local old = makers[name]
	makers[name] = maker
	drop_sinks(name)
	for _, rule in ipairs(rules) do
		if rule.to == name then
			apply_rule(rule)
		end
	end
	return old
end

--- Sinks that could not be opened, as messages.
function loggingmanager.faults()
	return faults
end

--- Begins to log: reacts to reopen-log-files and config-reloaded.
-- @param events prosody.events
function loggingmanager.start(events)
	loggingmanager.reload_logging()
	events.add_handler("config-reloaded", function ()
		events.fire_event("reopen-log-files")
	end)
	events.add_handler("reopen-log-files", function ()
		loggingmanager.reload_logging()
		events.fire_event("logging-reloaded")
	end)
end

return loggingmanager
