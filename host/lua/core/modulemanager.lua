--- Loading, unloading and reloading modules (Prosody's core.modulemanager). A loaded module
-- is its environment: globals that it sets are its public functions, `env.module` is its api.

local config_outcome <const> = require "core.config_outcome"
local instances <const> = require "core.module_instance"
local log <const> = require "util.logger".init("modulemanager")
local module_config <const> = require "core.module_config"
local module_files <const> = require "core.module_files"

local registry <const> = require "core.module_registry"

local modulemanager <const> = { loader = module_files.loader }

-- What is loaded: get_module, get_modules, is_loaded, get_items, names, load_order, needed, list,
-- is_by_hand, set_by_hand.
for name, fn in pairs(registry) do
	modulemanager[name] = fn
end

local function events_of(host)
	return (prosody.hosts[host] or prosody).events
end

modulemanager.module_has_method = instances.has_method
modulemanager.call_module_method = instances.call_method

--- Remembers why a module did not load, tells the log and whoever hooks module-load-failed.
-- @param kept true if an older instance goes on
function modulemanager._failed(host, name, err, kept)
	config_outcome.note(("mod_%s on %s: %s"):format(name, host, tostring(err)))
	if not kept then
		registry.failed(host, name, err)
	end
	events_of(host).fire_event("module-load-failed",
		{ module = name, host = host, error = tostring(err), kept = kept or false })
end

--- Loads the host's part of a global module that has add_host.
local function load_on_host(host, name, global)
	if not instances.has_method(global, "add_host") then
		return nil, "global-module-already-loaded"
	end
	local env = instances.new_host_part(host, name, global)
	registry.enter(host, name, env)
	local ok, result = instances.call_method(global, "add_host", env.module)
	if not ok or result == false then
		instances.detach(env)
		registry.enter(host, name, nil)
		local err = ok and "not for this host" or result
		if not ok then
			log("error", "Error in add_host of module '%s' on '%s': %s", name, host, err)
		end
		return nil, err
	end
	env.module:set_status("core", "Loaded", false)
	return env
end

--- Moves a module that called set_global to "*", and loads it on the host that asked for it.
local function globalise(host, name, env)
	if host == "*" then
		return env
	end
	if registry.get_modules("*")[name] then
		return nil, "global-module-already-loaded"
	end
	registry.enter(host, name, nil)
	registry.enter("*", name, env)
	if instances.has_method(env, "add_host") then
		local part, err = load_on_host(host, name, env)
		if not part and err ~= "not for this host" then
			return nil, err
		end
	end
	return env
end

local function do_load(host, name, state)
	if not (host and name) then
		return nil, "insufficient-parameters"
	elseif not registry.get_modules(host) then
		return nil, "unknown-host"
	elseif registry.get_modules(host)[name] then
		return nil, "module-already-loaded"
	elseif registry.get_modules("*")[name] then
		return load_on_host(host, name, registry.get_modules("*")[name])
	end
	local env, err = instances.new(host, name, state)
	if not env then
		log("error", "Unable to load module '%s': %s", name, err)
		return nil, err
	end
	registry.enter(host, name, env)
	local ok
	ok, err = instances.start(env)
	if ok and env.module.host == "*" then
		ok, err = globalise(host, name, env)
	end
	if not ok then
		log("error", "Error initializing module '%s' on '%s': %s", name, host, err)
		instances.detach(env)
		registry.enter(host, name, nil)
		registry.enter("*", name, nil)
		return nil, err
	end
	registry.forget_failure(host, name)
	instances.ready(env)
	return env
end

--- Loads a module that the config or another module wants, and fires module-loaded.
-- @param quiet true: no event (a reload fires its own)
-- @return as load()
function modulemanager.load_wanted(host, name, quiet)
	local env, err = do_load(host, name)
	if env and quiet then
		return env
	elseif env then
		local where = env.module.host
		events_of(where).fire_event("module-loaded", { module = name, host = where })
	elseif err ~= "module-already-loaded" and err ~= "global-module-already-loaded"
	and err ~= "unknown-host" and err ~= "insufficient-parameters"
	and err ~= "not for this host" then
		modulemanager._failed(host, name, err, false)
	end
	return env, err
end

local function is_enabled(host, name)
	for _, wanted in ipairs((module_config.enabled(host))) do
		if wanted == name then
			return true
		end
	end
	return false
end

--- Loads a module by hand: it stays, whatever config is reloaded, until it is unloaded by hand or
-- the host ends. One that does not load is told of, and no fault of the host, whose config does not
-- name it. Fires module-loaded.
-- @param host name of a host, or "*"
-- @param name without "mod_"
-- @return its environment; or nil and the reason
function modulemanager.load(host, name)
	local env, err = modulemanager.load_wanted(host, name)
	if env then
		registry.set_by_hand(env.module.host, name, true)
	elseif not is_enabled(host, name) then
		registry.forget_failure(host, name)
	end
	return env, err
end

local unload_watchers <const> = {}

--- Calls fn(name, host) after a module has been unloaded, whatever host it was on.
function modulemanager.on_unload(fn)
	unload_watchers[#unload_watchers + 1] = fn
end

--- Unloads a module and fires module-unloaded; a global module's parts on hosts go first.
-- @param quiet true: no event (a reload fires its own)
-- @return true; or nil and the reason
function modulemanager.unload(host, name, quiet)
	local env = modulemanager.get_module(host, name)
	if not env then
		registry.forget_failure(host, name)
		return nil, "module-not-loaded"
	end
	local lifecycle <const> = package.loaded["core.lifecycle"]
	if type(lifecycle) == "table" and lifecycle.is_pinned(env.module) then
		return nil, "drives-the-stop"
	end
	if host == "*" then
		for _, part in ipairs(registry.parts(name)) do
			modulemanager.unload(part, name)
		end
	end
	instances.stop(env)
	instances.detach(env)
	registry.enter(host, name, nil)
	require "core.portmanager".settle(env.module)
	if not quiet then
		registry.set_by_hand(host, name, nil)
		for _, fn in ipairs(unload_watchers) do
			fn(name, host)
		end
		events_of(host).fire_event("module-unloaded", { module = name, host = host })
	end
	return true
end

--- Loads a module's file anew; see core.module_reload.
function modulemanager.reload(host, name)
	return require "core.module_reload".reload(host, name)
end

modulemanager.enabled = module_config.enabled

--- Prosody's form of enabled(): a set.
function modulemanager.get_modules_for_host(host)
	local list, component = module_config.enabled(host)
	return require "util.set".new(list), component
end

--- Loads what the config enables on a host.
function modulemanager.load_modules_for_host(host)
	module_config.load(modulemanager, host)
end

--- Unloads and loads what a new config disables and enables; touches nothing else.
function modulemanager.sync()
	module_config.sync(modulemanager)
end

--- Begins to follow hosts and reloads.
-- @param events prosody.events
function modulemanager.start(events)
	events.add_handler("host-activated", modulemanager.load_modules_for_host)
	events.add_handler("host-deactivated", function (host)
		registry.forget_host(host)
	end)
end

return modulemanager
