--- The config in force (Prosody's core.configmanager).
-- build() makes a new state beside the one in force, apply() swaps; so a bad file changes
-- nothing.

local bundle <const> = require "core.bundle"
local config_sandbox <const> = require "core.config_sandbox"
local config_scan <const> = require "core.config_scan"
local config_state <const> = require "core.config_state"
local paths <const> = require "util.paths"

local configmanager <const> = { resolve_relative_path = paths.resolve_relative_path }

local current = config_state.new()

--- Old callers put "core" between host and key.
local function without_core(key, next_key)
	if key == "core" then
		return next_key
	end
	return key
end

--- The whole config: host → options; "*" holds the global ones.
function configmanager.getconfig()
	return current.config
end

--- The value of an option for a host, else the global one.
function configmanager.get(host, key, next_key)
	return current.config[host][without_core(key, next_key)]
end

--- The value of an option in exactly this section.
function configmanager.rawget(host, key, next_key)
	return current:peek(host, without_core(key, next_key))
end

--- Sets an option at run time (lost at the next reload).
-- @return true, or false if host or key is missing
function configmanager.set(host, key, value, next_value)
	if key == "core" then
		key, value = value, next_value
	end
	if not host or not key then
		return false
	end
	current:set(host, key, value)
	return true
end

--- Files that the config in force was read from.
function configmanager.files()
	return current.files
end

--- Hosts in the order in which the config defines them.
function configmanager.hosts()
	return current.hosts
end

--- Whether "localhost" exists only because the config names no host.
function configmanager.is_implicit(host)
	return current.implicit == host
end

--- Where an option was set.
-- @return { file, line, column } or nil
function configmanager.origin(host, key)
	local origins = current.origins[host]
	return origins and origins[key] or current.origins["*"][key]
end

--- "file:line" of an option for log lines, or nil.
function configmanager.where(host, key)
	local origin = configmanager.origin(host, key)
	return origin and origin.file .. ":" .. origin.line
end

--- Where a value stands inside the assignment of an option.
-- @param state from build(), default the one in force
-- @return { file, line, column } or nil
function configmanager.locate(host, key, value, state)
	state = state or current
	local origin = state.origins[host] and state.origins[host][key] or state.origins["*"][key]
	local step = origin
	while step and state.scans[step.file] do
		local line, column = config_scan.find_value(state.scans[step.file], step, value)
		if line then
			return { file = step.file, line = line, column = column }
		end
		step = step.before
	end
	return origin
end

--- Runs a config file without putting it in force.
-- @param path main file
-- @param source see core.bundle; default: the disk
-- @return state: config, origins, files, hosts, faults, errors()
function configmanager.build(path, source)
	local state = config_state.new(source or bundle.disk())
	config_sandbox.run(state, path)
	if #state.hosts == 0 then
		state:define("localhost", path, 1)
		state.implicit = "localhost"
	end
	state.file = path
	return state
end

--- Puts a state in force.
function configmanager.apply(state)
	current = state
end

--- The state in force (origins, scans, faults).
function configmanager.state()
	return current
end

local function describe(state)
	local list = {}
	for _, fault in ipairs(state.faults) do
		if fault.severity == "error" then
			list[#list + 1] = ("%s:%d: %s"):format(fault.file, fault.line, fault.message)
		end
	end
	return table.concat(list, "\n")
end

local function warnings(state)
	local list = {}
	for _, fault in ipairs(state.faults) do
		list[#list + 1] = ("%s:%d: %s"):format(fault.file, fault.line, fault.message)
	end
	return list
end

--- Prosody's call: reads a file and puts it in force if it has no error.
-- @return true, "parser", list of warnings; or nil, "file" or "parser", message
function configmanager.load(path, format)
	format = format or path:match("%w+$")
	if format ~= "lua" then
		return nil, "file", "no parser for " .. tostring(format)
	end
	local state = configmanager.build(path)
	if state:errors() > 0 then
		local first = state.faults[1]
		local level = #state.files == 0 and first.code == "unreadable-file" and "file" or "parser"
		return nil, level, describe(state)
	end
	configmanager.apply(state)
	return true, "parser", warnings(state)
end

return configmanager
