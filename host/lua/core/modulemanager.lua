--- Loading, unloading and reloading modules (Prosody's core.modulemanager, facts/prosody-api.md
-- 2.2). A loaded module is its environment: globals that it sets are its public functions,
-- `env.module` is its api.

local instances <const> = require "core.module_instance"
local log <const> = require "util.logger".init("modulemanager")
local module_config <const> = require "core.module_config"
local module_files <const> = require "core.module_files"

local modulemanager <const> = { loader = module_files.loader }

-- host → name → environment; "*" for global modules. Of a host, the same table as
-- prosody.hosts[host].modules.
local loaded <const> = { ["*"] = {} }

-- In the order of loading, for an unload in reverse: list of { host, name }.
local order <const> = {}

-- "host/name" → { module, host, error, path } of modules that could not be loaded.
local failed <const> = {}

local function modules_of(host)
	if not loaded[host] and prosody.hosts[host] then
		loaded[host] = prosody.hosts[host].modules
	end
	return loaded[host]
end

local function events_of(host)
	return (prosody.hosts[host] or prosody).events
end

--- The environment of a loaded module, or nil.
function modulemanager.get_module(host, name)
	local modules = modules_of(host)
	return modules and modules[name]
end

--- All modules of a host by name.
function modulemanager.get_modules(host)
	return modules_of(host)
end

function modulemanager.is_loaded(host, name)
	return modulemanager.get_module(host, name) and true
end

modulemanager.module_has_method = instances.has_method
modulemanager.call_module_method = instances.call_method

--- Items of a kind that the modules of a host have added.
function modulemanager.get_items(key, host)
	local modules = key and host and modules_of(host)
	if not modules then
		return nil
	end
	local result = {}
	for _, entry in ipairs(order) do
		local env = entry.host == host and modules[entry.name]
		local items = env and rawget(env.module, "items")
		for _, item in ipairs(items and items[key] or {}) do
			result[#result + 1] = item
		end
	end
	return result
end

--- Names of loaded modules in the order of loading.
-- @param host default: all
-- @param reverse true: last loaded first
-- @return list of names, or of { host, name } without a host
function modulemanager.names(host, reverse)
	local list = {}
	for _, entry in ipairs(order) do
		if not host then
			list[#list + 1] = { host = entry.host, name = entry.name }
		elseif entry.host == host then
			list[#list + 1] = entry.name
		end
	end
	if reverse then
		for i = 1, #list // 2 do
			list[i], list[#list - i + 1] = list[#list - i + 1], list[i]
		end
	end
	return list
end

--- The loaded modules themselves in the order of loading (their `module` tables: host, name,
-- items, …).
function modulemanager.load_order()
	local list = {}
	for i, entry in ipairs(order) do
		list[i] = modulemanager.get_module(entry.host, entry.name).module
	end
	return list
end

--- Hosts ("*" first) on which a module is loaded.
function modulemanager.hosts_with(name)
	local hosts = {}
	for _, entry in ipairs(order) do
		if entry.name == name then
			table.insert(hosts, entry.host == "*" and 1 or #hosts + 1, entry.host)
		end
	end
	return hosts
end

--- Enters a module, or takes it out (env nil).
function modulemanager._enter(host, name, env)
	modules_of(host)[name] = env
	if env then
		for _, entry in ipairs(order) do
			if entry.host == host and entry.name == name then
				return
			end
		end
		order[#order + 1] = { host = host, name = name }
		return
	end
	for i = #order, 1, -1 do
		if order[i].host == host and order[i].name == name then
			table.remove(order, i)
		end
	end
end

--- Remembers why a module did not load, tells the log and whoever hooks module-load-failed.
-- @param kept true if an older instance goes on
function modulemanager._failed(host, name, err, kept)
	if not kept then
		failed[host .. "/" .. name] = { module = name, host = host, error = tostring(err) }
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
	modulemanager._enter(host, name, env)
	local ok, result = instances.call_method(global, "add_host", env.module)
	if not ok or result == false then
		instances.detach(env)
		modulemanager._enter(host, name, nil)
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
	if modules_of("*")[name] then
		return nil, "global-module-already-loaded"
	end
	modulemanager._enter(host, name, nil)
	modulemanager._enter("*", name, env)
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
	elseif not modules_of(host) then
		return nil, "unknown-host"
	elseif modules_of(host)[name] then
		return nil, "module-already-loaded"
	elseif modules_of("*")[name] then
		return load_on_host(host, name, modules_of("*")[name])
	end
	local env, err = instances.new(host, name, state)
	if not env then
		log("error", "Unable to load module '%s': %s", name, err)
		return nil, err
	end
	modulemanager._enter(host, name, env)
	local ok
	ok, err = instances.start(env)
	if ok and env.module.host == "*" then
		ok, err = globalise(host, name, env)
	end
	if not ok then
		log("error", "Error initializing module '%s' on '%s': %s", name, host, err)
		instances.detach(env)
		modulemanager._enter(host, name, nil)
		modulemanager._enter("*", name, nil)
		return nil, err
	end
	failed[host .. "/" .. name] = nil
	instances.ready(env)
	return env
end

--- Loads a module and fires module-loaded.
-- @param host name of a host, or "*"
-- @param name without "mod_"
-- @return its environment; or nil and the reason
function modulemanager.load(host, name)
	local env, err = do_load(host, name)
	if env then
		local where = env.module.host
		events_of(where).fire_event("module-loaded", { module = name, host = where })
	elseif err ~= "module-already-loaded" and err ~= "global-module-already-loaded"
	and err ~= "unknown-host" and err ~= "insufficient-parameters"
	and err ~= "not for this host" then
		modulemanager._failed(host, name, err, false)
	end
	return env, err
end

--- Hosts on which a global module has a part.
function modulemanager._parts(name)
	local hosts = {}
	for _, entry in ipairs(order) do
		if entry.name == name and entry.host ~= "*" then
			hosts[#hosts + 1] = entry.host
		end
	end
	return hosts
end

--- Unloads a module and fires module-unloaded; a global module's parts on hosts go first.
-- @return true; or nil and the reason
function modulemanager.unload(host, name)
	local env = modulemanager.get_module(host, name)
	if not env then
		failed[tostring(host) .. "/" .. tostring(name)] = nil
		return nil, "module-not-loaded"
	end
	local lifecycle <const> = package.loaded["core.lifecycle"]
	if type(lifecycle) == "table" and lifecycle.is_pinned(env.module) then
		return nil, "drives-the-stop"
	end
	if host == "*" then
		for _, part in ipairs(modulemanager._parts(name)) do
			modulemanager.unload(part, name)
		end
	end
	instances.stop(env)
	instances.detach(env)
	modulemanager._enter(host, name, nil)
	require "core.portmanager".settle(env.module)
	events_of(host).fire_event("module-unloaded", { module = name, host = host })
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

--- Whether another loaded module depends on this one.
function modulemanager.needed(host, name)
	for _, entry in ipairs(order) do
		local env = modulemanager.get_module(entry.host, entry.name)
		local needs = env and rawget(env.module, "dependencies")
		if needs and needs[name] and (host == "*" or entry.host == host) then
			return true
		end
	end
	return false
end

--- All modules for status and console, loaded ones in the order of loading, then those that
-- failed.
-- @return list of { module, host, status, message, path, loaded, dependencies }
function modulemanager.list()
	local list = {}
	for _, entry in ipairs(order) do
		local api = modulemanager.get_module(entry.host, entry.name).module
		list[#list + 1] = {
			module = entry.name, host = entry.host, path = api.path, loaded = true,
			status = api.status_type or "core", message = api.status_message or "Loaded",
			dependencies = rawget(api, "dependencies") or {},
		}
	end
	for _, entry in pairs(failed) do
		list[#list + 1] = { module = entry.module, host = entry.host, loaded = false,
			status = "error", message = entry.error, dependencies = {} }
	end
	return list
end

--- Begins to follow hosts and reloads.
-- @param events prosody.events
function modulemanager.start(events)
	events.add_handler("host-activated", modulemanager.load_modules_for_host)
	events.add_handler("host-deactivated", function (host)
		loaded[host] = nil
	end)
end

return modulemanager
