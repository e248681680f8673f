--- Applying a new bundle: everything is built beside the config in force and swapped only if it
-- has no fault.

local async <const> = require "util.async"
local bundle <const> = require "core.bundle"
local config <const> = require "core.configmanager"
local fire <const> = require "core.fire"
local log <const> = require "util.logger".init("config")
local modulemanager <const> = require "core.modulemanager"
local options <const> = require "core.options"
local timer <const> = require "util.timer"

local config_reload <const> = {}

-- A handler that waits longer is not waited for: ports and certificates come after it (s).
local handlers_max <const> = 10

local function same(a, b)
	if a == b then
		return true
	elseif type(a) ~= "table" or type(b) ~= "table" then
		return false
	end
	for key, value in pairs(a) do
		if not same(value, b[key]) then
			return false
		end
	end
	for key in pairs(b) do
		if a[key] == nil then
			return false
		end
	end
	return true
end

--- Options whose values differ between two configs, in any section.
-- @return set of names
function config_reload.changed(old, new)
	local names = {}
	-- A section that comes or goes is told by hosts being activated and deactivated.
	local markers <const> = { defined = true, load_global_modules = true }
	local function compare(one, other)
		for host in pairs(one) do
			local left, right = rawget(one, host) or {}, rawget(other, host) or {}
			for name, value in pairs(left) do
				if not markers[name] and not same(value, rawget(right, name)) then
					names[name] = true
				end
			end
		end
	end
	compare(old, new)
	compare(new, old)
	return names
end

--- Whether a module looks at a new config by itself.
local function follows_reloads(api)
	for _, hook in ipairs(api._hooks) do
		if hook[2] == "config-reloaded" then
			return true
		end
	end
	return false
end

--- Loaded modules that have read an option and will not read it again, as words for people.
local function readers(name)
	local list = {}
	for _, api in ipairs(modulemanager.load_order()) do
		if api._options_read[name] and not follows_reloads(api) then
			list[#list + 1] = "reload of mod_" .. api.name
		end
	end
	return #list > 0 and table.concat(list, ", ") or nil
end

local live_suffixes <const> = { "_ports$", "_interfaces?$", "_class$" }

local function is_live(name)
	for _, suffix in ipairs(live_suffixes) do
		if name:find(suffix) then
			return true
		end
	end
	local row = options.row(name)
	return row and row.reload == "live"
end

-- What is not read again while the process runs → what puts it in force, as words for people.
local later <const> = { upgrade = "upgrade", start = "stop and a new start" }

--- Which of the changed options take effect later, and by what.
-- @return map name → "upgrade", "stop and a new start" or "reload of mod_NAME"
function config_reload.deferred(changed)
	local found = {}
	for name in pairs(changed) do
		local row = options.row(name)
		if row and later[row.reload] then
			found[name] = later[row.reload]
		elseif not is_live(tostring(name)) then
			found[name] = readers(name)
		end
	end
	return found
end

local function describe(event, module, place)
	return ("handler of %s in %s (%s)"):format(event, module and "mod_" .. module or "the host", place)
end

-- Waits until the handlers have ended; after handlers_max those that are left are called at once.
local function wait_for(control, waiting, on_late)
	local over <const>, done <const> = async.waiter(1, true)
	waiting.done = done
	local late <const> = timer.add_task(handlers_max, function ()
		on_late(fire.origin(control.waits_for()))
		control.cut()
	end)
	over()
	timer.stop(late)
end

-- Tells the handlers of an event, each by itself: one that raises or never ends costs no other.
-- @return list of what went wrong, a line each
local function tell(name, event)
	local errors <const>, waiting <const> = {}, {}
	if prosody.events.is_wrapped(name) then -- a wrapper is to see the event, not its handlers
		prosody.events.fire_event(name, event)
		return errors
	end
	local control <const> = fire.in_order(name, event, {
		on_error = function (_, module, err, place)
			errors[#errors + 1] = ("%s: %s"):format(describe(name, module, place),
				tostring(err):match("^[^\n]*"))
		end,
		done = function ()
			waiting.over = true
			if waiting.done then
				waiting.done()
			end
		end,
	})
	if not waiting.over and async.ready() then
		wait_for(control, waiting, function (origin)
			local who <const> = describe(name, origin.module, origin.file .. ":" .. origin.line)
			log("error", "%s has not ended after %d s; the others are called now", who, handlers_max)
			errors[#errors + 1] = ("%s: not ended after %d s"):format(who, handlers_max)
		end)
	end
	return errors
end

local function failed(faults)
	prosody.events.fire_event("config-reload-failed", { faults = faults })
	for _, fault in ipairs(faults) do
		log("error", "%s:%d: %s", fault.file, fault.line, fault.message)
	end
	log("error", "The config was not reloaded; the one in force stays")
	return nil, "config-faults", faults
end

local function errors_of(state)
	local list = {}
	for _, fault in ipairs(state.faults) do
		if fault.severity == "error" then
			list[#list + 1] = fault
		end
	end
	return list
end

-- Options that no reload puts in force → { value that runs, need = what does }, once a reload has
-- changed them.
local started_with <const> = {}

local function note_waiting(deferred)
	local global <const> = rawget(config.getconfig(), "*") or {}
	for name, need in pairs(deferred) do
		local row <const> = options.row(name)
		if row and later[row.reload] and not started_with[name] then
			started_with[name] = { rawget(global, name), need = need }
		end
	end
end

--- Global options of which this process runs another value than a config has, until an upgrade or a
-- new start.
-- @param options_of the config's options, as of configmanager.getconfig()
-- @return { option → { value that runs, need = words } }
function config_reload.waiting(options_of)
	local found <const>, global <const> = {}, rawget(options_of, "*") or {}
	for name, value in pairs(started_with) do
		if not same(value[1], rawget(global, name)) then
			found[name] = value
		end
	end
	return found
end

--- Applies a config.
-- @param source see core.bundle: a bundle, or the disk
-- @return true, and { changed, deferred, errors = list of texts: handlers that failed }; or nil,
--   "config-faults", list of faults
function config_reload.apply(source)
	local errors <const> = tell("reloading-config", {})
	local state = config.build(prosody.config_file, source)
	local faults <const> = errors_of(state)
	if #faults > 0 then
		return failed(faults)
	end
	local changed = config_reload.changed(config.getconfig(), state.config)
	local deferred = config_reload.deferred(changed)
	note_waiting(deferred)
	config.apply(state)
	local told <const> = tell("config-reloaded", { filename = prosody.config_file,
		config = config.getconfig(), changed = changed, deferred = deferred })
	table.move(told, 1, #told, #errors + 1, errors)
	for name, need in pairs(deferred) do
		log("warn", "The option '%s' has changed and takes effect after: %s", name, need)
	end
	local names = {}
	for name in pairs(changed) do
		names[#names + 1] = name
	end
	table.sort(names)
	log("info", "Config reloaded; changed: %s", #names > 0 and table.concat(names, ", ") or "nothing")
	return true, { changed = changed, deferred = deferred, errors = errors }
end

--- Applies the keeper's newest bundle.
function config_reload.apply_bundle(text)
	local source, err = bundle.open(text)
	if not source then
		return failed { { file = prosody.config_file, line = 1, column = 1, severity = "error",
			code = err, message = "the bundle cannot be used: " .. err } }
	end
	return config_reload.apply(source)
end

return config_reload
