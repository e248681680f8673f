-- Which signal means which verb: the defaults, the option `signals` over them, `lameduck_signals`.
-- Pure: the reader makes the keeper's settings with it, `check` its faults, the worker its hooks.

local signals_map <const> = {}

local verbs <const> = {}
for _, verb in ipairs {
	"shutdown", "finish", "drain", "undrain", "reload", "reopen-logs", "upgrade", "rollback",
	"hammer", "none",
} do
	verbs[verb] = true
end
--- The verbs that a signal may have, as a set.
signals_map.verbs = verbs

local states <const> = require "core.lifecycle_states".names

--- The map without any config.
signals_map.defaults = {
	SIGTERM = "shutdown", SIGINT = "shutdown", SIGQUIT = "shutdown", SIGHUP = "reload",
	SIGUSR1 = "finish", SIGUSR2 = { serving = "upgrade", stopping = "hammer" },
}

-- Signals that no process can catch, or that the host needs for itself.
local reserved <const> = {
	SIGKILL = "cannot be caught", SIGSTOP = "cannot be caught", SIGCHLD = "belongs to the host",
	SIGPIPE = "belongs to the host", SIGXFSZ = "belongs to the host",
	SIGSEGV = "means a fault", SIGBUS = "means a fault",
	SIGFPE = "means a fault", SIGILL = "means a fault", SIGABRT = "ends a hung worker",
}

--- One spelling for a signal's name: "SIGUSR1", whatever was written.
-- @param name "usr1", "SIGUSR1", …
-- @return string, or nil if it is no string
function signals_map.canonical(name)
	if type(name) ~= "string" then
		return nil
	end
	name = name:upper()
	return name:match("^SIG") and name or "SIG" .. name
end

local function check_verb(signal, verb, faults)
	if verbs[verb] then
		return true
	end
	faults[#faults + 1] = ("signals.%s: '%s' is no verb"):format(signal, tostring(verb))
end

local function check_entry(signal, entry, faults)
	if type(entry) ~= "table" then
		return check_verb(signal, entry, faults) and entry
	end
	local known, checked = {}, {}
	for _, state in ipairs(states) do
		known[state] = true
	end
	for state, verb in pairs(entry) do
		if not known[state] then
			faults[#faults + 1] = ("signals.%s: '%s' is no state"):format(signal, tostring(state))
		elseif check_verb(signal, verb, faults) then
			checked[state] = verb
		end
	end
	return checked
end

local function merge_config(map, configured, faults)
	for written, entry in pairs(configured) do
		local signal = signals_map.canonical(written)
		if not signal then
			faults[#faults + 1] = ("signals: '%s' is no name of a signal"):format(tostring(written))
		elseif reserved[signal] then
			faults[#faults + 1] = ("signals.%s: %s"):format(signal, reserved[signal])
		else
			local checked = check_entry(signal, entry, faults)
			if checked then
				map[signal] = { verb = checked, origin = "config" }
			end
		end
	end
end

local function merge_lameduck(map, list, faults)
	if #list == 0 then
		faults[#faults + 1] = "lameduck_signals is empty: remove it, or list a signal"
	end
	for _, written in ipairs(list) do
		local signal = signals_map.canonical(written)
		if not signal or reserved[signal] then
			faults[#faults + 1] = ("lameduck_signals: '%s' cannot be used"):format(tostring(written))
		elseif not map[signal] then
			map[signal] = { verb = "shutdown", origin = "lameduck_signals" }
		end
	end
end

--- Merges the config over the defaults.
-- @param configured the option `signals` (table) or nil
-- @param lameduck the option `lameduck_signals` (list of names) or nil; a listed signal that has
--   no verb gets "shutdown"
-- @return map: name → { verb = string or { state = verb }, origin = "default", "config",
--   "lameduck_signals" }; and a list of faults (strings), empty if there are none
function signals_map.build(configured, lameduck)
	local map, faults = {}, {}
	for signal, verb in pairs(signals_map.defaults) do
		map[signal] = { verb = verb, origin = "default" }
	end
	merge_config(map, configured or {}, faults)
	if lameduck then
		merge_lameduck(map, lameduck, faults)
	end
	return map, faults
end

--- The verb of a signal in a state.
-- @return verb, or nil when the signal does not apply there
function signals_map.verb(map, signal, state)
	local entry = map[signal]
	local verb = entry and entry.verb
	if type(verb) == "table" then
		verb = verb[state]
	end
	return verb ~= "none" and verb or nil
end

--- Whether a module that hooks the signal takes it away from the host: only SIGUSR1 and SIGUSR2,
-- and only when the config does not name them.
function signals_map.gives_way(map, signal)
	local entry = map[signal]
	return (signal == "SIGUSR1" or signal == "SIGUSR2") and entry ~= nil
		and entry.origin == "default"
end

return signals_map
