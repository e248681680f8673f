--- Applying a new bundle: everything is built beside the config in force and swapped only if it
-- has no fault.

local bundle <const> = require "core.bundle"
local config <const> = require "core.configmanager"
local log <const> = require "util.logger".init("config")
local modulemanager <const> = require "core.modulemanager"
local options <const> = require "core.options"

local config_reload <const> = {}

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

--- Which of the changed options take effect later, and by what.
-- @return map name → "upgrade" or "reload of mod_NAME"
function config_reload.deferred(changed)
	local found = {}
	for name in pairs(changed) do
		local row = options.row(name)
		if row and row.reload == "upgrade" then
			found[name] = "upgrade"
		elseif not is_live(tostring(name)) then
			found[name] = readers(name)
		end
	end
	return found
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

--- Applies a config.
-- @param source see core.bundle: a bundle, or the disk
-- @return true, and { changed, deferred }; or nil, "config-faults", list of faults
function config_reload.apply(source)
	prosody.events.fire_event("reloading-config", {})
	local state = config.build(prosody.config_file, source)
	local errors = errors_of(state)
	if #errors > 0 then
		return failed(errors)
	end
	local changed = config_reload.changed(config.getconfig(), state.config)
	local deferred = config_reload.deferred(changed)
	config.apply(state)
	prosody.events.fire_event("config-reloaded", { filename = prosody.config_file,
		config = config.getconfig(), changed = changed, deferred = deferred })
	for name, need in pairs(deferred) do
		log("warn", "The option '%s' has changed and takes effect after: %s", name, need)
	end
	local names = {}
	for name in pairs(changed) do
		names[#names + 1] = name
	end
	table.sort(names)
	log("info", "Config reloaded; changed: %s", #names > 0 and table.concat(names, ", ") or "nothing")
	return true, { changed = changed, deferred = deferred }
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
