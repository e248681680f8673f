--- One instance of a module: its environment, and the steps of its life.

local jobs <const> = require "core.jobs"
local logger <const> = require "util.logger"
local module_files <const> = require "core.module_files"
local moduleapi <const> = require "core.moduleapi"
local multitable <const> = require "util.multitable"
local promise <const> = require "util.promise"
local registry <const> = require "core.registry"
local singletons <const> = require "core.singletons"

local log <const> = logger.init("modulemanager")

local module_instance <const> = {}

local api_mt <const> = { __index = moduleapi }

--- A fresh `module` table.
-- @param name, host what it is and where it is loaded
-- @return the instance; modulemanager fills path, environment, meta
local function new_api(name, host)
	local own_log <const> = logger.init(host == "*" and "mod_" .. name or host .. ":" .. name)
	return setmetatable({
		name = name, host = host, global = host == "*" or nil, _log = own_log,
		log = function (_, ...) return own_log(...) end,
		event_handlers = multitable.new(),
		-- In the order of hooking, so that a module that was set aside comes back as it was.
		_hooks = {}, _options_read = {},
	}, api_mt)
end

local function events_of(api)
	return (prosody.hosts[api.host] or prosody).events
end

local function with_traceback(err)
	if type(err) == "table" then
		return err
	end
	-- The list of places where a library was looked for says less than its name.
	local message = tostring(err):gsub("(module '[^']+' not found):.*",
		"%1 (lua_paths = { … } names more folders to search)")
	-- What called us is of no interest to who wrote the module.
	return (debug.traceback(message, 2):gsub("\n%s*%[C%]: in function 'xpcall'.*$", ""))
end

--- Whether the module itself defines a function, as in `function module.save()`.
function module_instance.has_method(env, method)
	return type(rawget(env.module, method)) == "function"
end

--- Calls one of them.
-- @return true and its results; or false and the error with a traceback
function module_instance.call_method(env, method, ...)
	local fn = rawget(env.module, method)
	if type(fn) ~= "function" then
		return false, "no-such-method"
	end
	return xpcall(fn, with_traceback, ...)
end

--- Makes an instance from a chunk that was compiled already, or from the file.
-- @param state nil at a first load; the saved state, or true without one, at a reload
-- @param text, path source to use instead of the file's (a return to the version that ran)
-- @return environment; or nil and the message
function module_instance.new(host, name, state, text, path)
	local api = new_api(name, host)
	api.reloading, api.saved_state = state ~= nil, state ~= true and state or nil
	local env = setmetatable({ module = api }, { __index = _G })
	api.environment = env
	local metadata
	if not text then
		text, path, metadata = module_files.loader:load_resource(name)
		if not text then
			return nil, path == "no such file" and
				("no file mod_%s.lua in %s"):format(name, prosody.paths.plugins) or path
		end
	end
	local chunk, err = load(text, "@" .. path, "t", env)
	if not chunk then
		return nil, err
	end
	api.path, api.meta, api._chunk, api._text = path, metadata, chunk, text
	return env
end

--- The part of a global module on a host.
function module_instance.new_host_part(host, name, global)
	local host_log <const> = logger.init(host .. ":" .. name)
	local api = setmetatable({
		global = false, host = host, event_handlers = multitable.new(), _hooks = {}, items = {},
		_log = host_log, log = function (_, ...) return host_log(...) end, loaded = true,
		status_type = "core", status_message = "Loaded",
	}, { __index = global.module })
	local env = setmetatable({ module = api }, { __index = global })
	api.environment = env
	return env
end

-- An error may be a table whose __tostring raises again.
local function text_of(err)
	local ok, text = pcall(tostring, err)
	return ok and text or "an error that cannot be shown"
end

--- Runs the chunk and module.load().
-- @return true; or nil and the error
function module_instance.start(env)
	local api = env.module
	local chunk = api._chunk
	api._chunk = nil
	local ok, err = xpcall(chunk, with_traceback)
	api._ran = ok
	if ok and module_instance.has_method(env, "load") then
		ok, err = module_instance.call_method(env, "load")
	end
	if not ok then
		api:set_status("warn", "Error during load (see log)")
		return nil, text_of(err)
	end
	api.loaded = true
	api.reloading, api.saved_state = nil, nil
	api:set_status("core", "Loaded", false)
	return true
end

-- The promise that module.ready() returned, if it did and the call went well.
local function call_ready(env)
	local ok, result = module_instance.call_method(env, "ready")
	if not ok then
		log("error", "Error in module.ready of '%s': %s", env.module.name, result)
	elseif promise.is_promise(result) then
		return result
	end
end

--- Schedules module.ready(): at once in a running host; in a starting one when all modules are
-- loaded and all listeners listen, and then a promise that it returns holds readiness
-- (Prosody 13 calls it a moment later and ignores the promise).
function module_instance.ready(env)
	if not module_instance.has_method(env, "ready") then
		return
	end
	if prosody.state ~= "starting" then
		env.module:on_ready(function () call_ready(env) end)
		return
	end
	env.module:hook_global("server-starting", function (event)
		local waits = call_ready(env)
		if not waits then
			return
		end
		local release = event:hold(env.module.name .. ": module.ready")
		waits:next(release, function (err)
			log("error", "module.ready of '%s' was rejected: %s", env.module.name, tostring(err))
			release()
		end)
	end)
end

--- Calls module.unload(); an error is logged and passed over.
function module_instance.stop(env)
	singletons.stop_module(env.module)
	if not module_instance.has_method(env, "unload") then
		return
	end
	local ok, err = module_instance.call_method(env, "unload")
	if not ok then
		log("warn", "Non-fatal error unloading module '%s' on '%s': %s", env.module.name,
			env.module.host, text_of(err))
	end
end

--- Takes away everything that the instance has attached: handlers, then items in reverse.
-- @return what attach() needs to bring it back
function module_instance.detach(env)
	local api = env.module
	local kept = { hooks = api._hooks, items = rawget(api, "items") or {}, lists = {},
		singletons = singletons.remove_module(api), jobs = jobs.detach(api) }
	for i = #api._hooks, 1, -1 do
		local hook = api._hooks[i]
		hook[1].remove_handler(hook[2], hook[3])
	end
	for key, list in pairs(kept.items) do
		local copy = table.move(list, 1, #list, 1, {})
		kept.lists[key] = copy
		for i = #copy, 1, -1 do
			list[i] = nil
			events_of(api).fire_event("item-removed/" .. key,
				{ source = api, item = copy[i] })
		end
	end
	api.loaded = false
	if not api.reloading then
		registry.close(api:registry_name())
	end
	return kept
end

--- Brings an instance that was detached back as it was.
function module_instance.attach(env, kept)
	local api = env.module
	api.loaded = true
	jobs.restart(kept.jobs)
	for _, hook in ipairs(kept.hooks) do
		hook[1].add_handler(hook[2], hook[3], hook[4])
	end
	for key, list in pairs(kept.lists) do
		for _, item in ipairs(list) do
			api:add_item(key, item)
		end
	end
	singletons.restore(kept.singletons)
end

return module_instance
