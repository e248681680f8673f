--- The table `prosody` of a worker and the globals beside it.

local events <const> = require "util.events"
local globals <const> = require "core.globals"
local info <const> = require "host.info"
local log <const> = require "util.logger".init("events")
local logger <const> = require "util.logger"
local promise <const> = require "util.promise"
local sys <const> = require "host.sys"

local runtime <const> = {}

--- "mod_chat (modules/mod_chat.lua:12)" of a handler.
local function origin(handler)
	local source = debug.getinfo(handler, "S")
	local module = source.source:match("mod_([%w_]+)%.lua$") or
		source.source:match("mod_([%w_]+)/[^/]+%.lua$")
	return (module and "mod_" .. module or "the host") .. " (" .. source.short_src .. ":"
		.. source.linedefined .. ")"
end

--- A handler that raises costs itself only; the log names event, module and place.
function runtime.handler_error(event, handler, err)
	log("error", "Error in a handler of the event '%s' in %s: %s", event, origin(handler), err)
	local lifecycle <const> = package.loaded["core.lifecycle"]
	if type(lifecycle) == "table" and lifecycle.handler_error then
		lifecycle.handler_error(event, handler, err)
	end
end

--- How an event treats its handlers: all of them run whatever they return, or the first answer
-- counts.
local function isolation(event)
	return require "core.events_list".mode(event) or "first"
end

--- A set of events whose handlers cannot harm each other.
function runtime.new_events()
	return events.new { isolate = isolation, on_error = runtime.handler_error }
end

-- 16 hex digits that all workers of a generation agree on, and no other generation has.
local function generation_mark(hello)
	local seed = hello.nonce and ("%s/%d"):format(hello.nonce, hello.generation or 1)
		or require "util.random".bytes(16)
	return ("%016x"):format((">I8"):unpack(sys.sha256(seed)))
end

local ours <const> = { "GADWALL_", "LISTEN_", "NOTIFY_", "WATCHDOG_" }

--- Takes what is about this host out of the environment: a program that a module starts by
-- io.popen or os.execute must not take itself for it.
function runtime.forget_environment()
	for _, prefix in ipairs(ours) do
		sys.forget_environment(prefix)
	end
end

--- Programs that a module starts by io.popen or os.execute get no descriptor of ours.
function runtime.guard_descriptors()
	local inherit_nothing <const> = require "host.process".inherit_nothing
	for _, place in ipairs { { io, "popen" }, { os, "execute" } } do
		local library, name = table.unpack(place)
		local plain <const> = library[name]
		library[name] = function (...)
			inherit_nothing()
			return plain(...)
		end
	end
end

--- A promise that resolves with server-started.
local function started_promise(prosody)
	return promise.new(function (resolve)
		prosody.events.add_handler("server-started", function ()
			resolve()
		end, 1)
	end)
end

--- Builds `prosody` and sets the globals.
-- @param hello what the keeper said, {} without one
-- @return the table
function runtime.build(hello)
	local prosody = {
		events = runtime.new_events(), hosts = {}, full_sessions = {}, bare_sessions = {},
		incoming_s2s = {},
		process_type = "prosody", platform = "posix", installed = not info.checkout or nil,
		version = info.version, arg = arg or {}, opts = {}, config_loaded = false,
		log = logger.init("general"), lock_globals = globals.lock, unlock_globals = globals.unlock,
		features = require "core.features".available, state = "starting",
		generation = hello.generation or 1, worker = hello.worker or 1,
		inherited = (hello.inherited or 0) ~= 0 and hello.inherited ~= false,
		paths = {}, server_id = generation_mark(hello),
	}
	prosody.started = started_promise(prosody)
	prosody.core_post_stanza = function () return nil, "not-supported" end
	_G.prosody, _G.hosts = prosody, prosody.hosts
	_G.full_sessions, _G.bare_sessions = prosody.full_sessions, prosody.bare_sessions
	_G.log, _G.server = prosody.log, require "net.server"
	require "util.import"
	-- Old modules test for it; there is no such folder here.
	_G.CFG_SOURCEDIR, _G.CFG_CONFIGDIR, _G.CFG_DATADIR, _G.CFG_PLUGINDIR = nil, nil, nil, nil
	return prosody
end

--- Fills in what the config decides: folders, search paths, the name of this process.
-- @param prosody the table
-- @param places see core.places
-- @param config core.configmanager
function runtime.configure(prosody, places, config)
	local paths <const> = require "util.paths"
	local plugins = {}
	local plugin_paths = config.get("*", "plugin_paths") or {}
	for _, path in ipairs(type(plugin_paths) == "table" and plugin_paths or { plugin_paths }) do
		plugins[#plugins + 1] = paths.resolve_relative_path(places.folder, path)
	end
	plugins[#plugins + 1] = info.modules
	prosody.config_file, prosody.config_loaded = places.config, true
	local own = prosody.paths
	own.source, own.config, own.data = info.root, places.folder, places.data
	own.plugins, own.builtin = table.concat(plugins, ";"), info.modules
	own.runtime, own.user_runtime = places.runtime, places.user_runtime
	prosody.admin_socket = places.admin_socket
	prosody.hostname = sys.hostname()
	runtime.name_server(prosody, config.get("*", "server_id"))
	for _, folder in ipairs(config.get("*", "lua_paths") or {}) do
		package.path = package.path .. ";" .. folder .. "/?.lua;" .. folder .. "/?/init.lua"
		package.cpath = package.cpath .. ";" .. folder .. "/?.so"
	end
	_G.CFG_SOURCEDIR, _G.CFG_CONFIGDIR = own.source, own.config
	_G.CFG_DATADIR, _G.CFG_PLUGINDIR = own.data, own.plugins
end

--- Names this process among its peers: `server_id` is the option, or the hostname and a nonce
-- that is new for each generation; `server_member` is unique for each worker even where the
-- option gives two generations one name.
function runtime.name_server(prosody, option)
	local mark <const> = prosody.server_id
	prosody.server_id = option and tostring(option) or prosody.hostname .. "-" .. mark
	prosody.server_member = prosody.server_id .. (option and "~" .. mark or "")
		.. (prosody.worker > 1 and "#" .. prosody.worker or "")
end

--- Garbage collector as the option `gc` says: { mode = "incremental", pause|threshold =, speed =
-- } or { mode = "generational", minor_threshold =, major_threshold = }. Without the option, or with
-- mode = "adaptive", host.collector chooses as the load asks for it.
-- The defaults of the incremental mode are what contrib/bench/gc.lua found best with 200 MiB of
-- small tables: the longest pause is 50 to 90 ms of CPU, at speed 400 it is 150 ms, and the major
-- collections of the generational mode hold the loop for 700 ms and cost 13 % more CPU.
function runtime.set_gc(settings)
	local collector <const> = require "host.collector"
	settings = settings or { mode = "adaptive" }
	if settings.mode == "adaptive" then
		return collector.start()
	end
	collector.stop()
	local defaults <const> = collector.defaults
	if settings.mode == "generational" then
		collectgarbage("generational", settings.minor_threshold or defaults.minor_threshold,
			settings.major_threshold or defaults.major_threshold)
		return
	end
	collectgarbage("incremental", settings.pause or settings.threshold or defaults.pause,
		settings.speed or defaults.speed, settings.step_size or defaults.step_size)
end

return runtime
