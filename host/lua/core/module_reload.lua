--- Reloading a module so that a failure changes nothing.
--
--   syntax of the new file     wrong: the old instance is not touched
--   old: save()                raises: "save-state-failed", unless force_module_reload
--   old: unload()
--   old: set aside             handlers and items are taken away but kept; sockets are parked, open
--   new: chunk, load, restore  all well: it takes the sockets and, unless module.keep_connections
--                              is false, the connections
--   otherwise                  the new one is taken away and the old one comes back: the same
--                              instance if it has no unload(); the same instance and load() if it
--                              has both; else, because what unload() undid can only be redone by
--                              its chunk, its old text is run again

local config <const> = require "core.configmanager"
local instances <const> = require "core.module_instance"
local log <const> = require "util.logger".init("modulemanager")
local module_files <const> = require "core.module_files"
local modulemanager <const> = require "core.modulemanager"
local portmanager <const> = require "core.portmanager"

local module_reload <const> = {}

local function events_of(host)
	return (prosody.hosts[host] or prosody).events
end

local function fail(host, name, err)
	log("error", "Reload of module '%s' on '%s' failed, the old one goes on: %s", name, host, err)
	modulemanager._failed(host, name, err, true)
	return nil, err
end

--- @return true and the state; or nil and the reason
local function save(env, host, name)
	if not instances.has_method(env, "save") then
		return true, nil
	end
	local ok, state = instances.call_method(env, "save")
	if ok then
		return true, state
	end
	log("warn", "Error saving the state of module '%s' on '%s': %s", name, host, state)
	if config.get(host, "force_module_reload") then
		log("warn", "Reloading it all the same (force_module_reload)")
		return true, nil
	end
	return nil, "save-state-failed"
end

local function restore(env, state)
	if not instances.has_method(env, "restore") then
		return true
	end
	return instances.call_method(env, "restore", state or {})
end

--- Runs a new instance to the point where it works; meanwhile it is the one that is loaded, so that
-- it finds its own items as at a first load.
local function bring_up(host, name, state, text, path)
	local env, err = instances.new(host, name, state == nil or state, text, path)
	if not env then
		return nil, err
	end
	local before <const> = modulemanager.get_module(host, name)
	modulemanager.enter(host, name, env)
	local ok
	ok, err = instances.start(env)
	if ok then
		ok, err = restore(env, state)
	end
	if ok and env.module.host ~= host then
		ok, err = nil, "it became global, which a reload cannot do (unload and load it)"
	end
	if not ok then
		-- As at the old one's leaving: its sockets are parked, not closed.
		env.module.reloading = true
		if env.module._ran then
			instances.stop(env)
		end
		instances.detach(env)
		modulemanager.enter(host, name, before)
		return nil, err
	end
	return env
end

--- Brings the old instance back. @return the environment in force
local function bring_back(host, name, old, kept, state)
	local unloads = instances.has_method(old, "unload")
	if unloads and not instances.has_method(old, "load") then
		local env, err = bring_up(host, name, state, old.module._text, old.module.path)
		if env then
			return env
		end
		log("error", "The old version of '%s' does not start again either: %s", name, err)
	end
	instances.attach(old, kept)
	if unloads and instances.has_method(old, "load") then
		local ok, err = instances.call_method(old, "load")
		if not ok then
			log("warn", "load() of the old '%s' raised: %s", name, err)
		end
		restore(old, state)
	end
	return old
end

--- Brings the parts of a global module back on their hosts. To who depends on it there it was
-- reloaded, and not unloaded and loaded.
-- @return list of { host, event }
local function add_hosts(name, hosts)
	local news = {}
	for _, host in ipairs(hosts) do
		local env, err = modulemanager.load_wanted(host, name, true)
		if err and err ~= "not for this host" then
			log("warn", "module '%s' did not come back on '%s': %s", name, host, err)
		end
		news[#news + 1] = { host, env and "module-reloaded" or "module-unloaded" }
	end
	return news
end

local function replace(host, name, old, state)
	local hosts = host == "*" and modulemanager.parts(name) or {}
	for _, part in ipairs(hosts) do
		modulemanager.unload(part, name, true)
	end
	old.module.reloading = true
	instances.stop(old)
	local kept = instances.detach(old)
	local env, err = bring_up(host, name, state)
	old.module.reloading = nil
	if env then
		old.module._text = nil
	end
	env = env or bring_back(host, name, old, kept, state)
	modulemanager.enter(host, name, env)
	portmanager.settle(old.module, env.module)
	local news = add_hosts(name, hosts)
	if err then
		return fail(host, name, err)
	end
	instances.ready(env)
	return env, news
end

--- Reloads a module.
-- @return its environment; or nil and the reason, the old instance going on
function module_reload.reload(host, name)
	local old = modulemanager.get_module(host, name)
	if not old then
		return nil, "module-not-loaded"
	elseif host ~= "*" and rawget(old.module, "global") == false then
		-- A host's part of a global module: the module is one.
		return module_reload.reload("*", name)
	end
	local code, err = module_files.loader:load_code(name)
	if not code then
		return fail(host, name, err)
	end
	local ok, state = save(old, host, name)
	if not ok then
		return fail(host, name, state)
	end
	local env, news = replace(host, name, old, state)
	if not env then
		return nil, news
	end
	env.module.reloading = true
	events_of(host).fire_event("module-reloaded", { module = name, host = host })
	for _, new in ipairs(news) do
		events_of(new[1]).fire_event(new[2], { module = name, host = new[1] })
	end
	env.module.reloading = nil
	return env
end

return module_reload
