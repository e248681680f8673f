--- A worker's life, top to bottom: Prosody's order.

local EX_UNAVAILABLE <const>, EX_SOFTWARE <const>, EX_CONFIG <const> = 69, 70, 78

local async <const> = require "util.async"
local bundle <const> = require "core.bundle"
local config <const> = require "core.configmanager"
local config_outcome <const> = require "core.config_outcome"
local config_reload <const> = require "core.config_reload"
local globals <const> = require "core.globals"
local log <const> = require "util.logger".init("worker")
local options <const> = require "core.options"
local places <const> = require "core.places"
local runtime <const> = require "core.runtime"

--- host.keeper, or a stand-in that says there is none (development: `core.worker FILE`).
local function find_keeper()
	local ok, keeper = pcall(require, "host.keeper")
	if ok and keeper.hello then
		return keeper, keeper.hello
	end
	return nil, {}
end

local function print_faults(faults)
	for _, fault in ipairs(faults) do
		io.stderr:write(("%s:%d:%d: %s: %s\n"):format(fault.file, fault.line, fault.column or 1,
			fault.severity, fault.message))
	end
end

--- 1. The config, from the bundle; nothing is logged before it says where to.
local function read_config(keeper, file)
	local source, err
	if keeper then
		source, err = bundle.open(keeper.bundle())
	else
		source = bundle.disk()
	end
	if not source then
		io.stderr:write(("gadwall: the bundle cannot be used: %s\n"):format(err))
		return nil
	end
	local state = config.build(file, source)
	if state:errors() > 0 then
		print_faults(state.faults)
		return nil
	end
	config.apply(state)
	return state
end

local function find_places(hello, file)
	local found = places.find(file)
	found.runtime = hello.runtime_path or found.runtime
	found.data = hello.data_path or found.data
	found.admin_socket = hello.admin_socket or found.admin_socket
	return found
end

-- What is kept of the file limit for the host, its listeners and class admin.
local reserve <const> = 512

--- The most connections of this worker unless the config says otherwise.
local function room()
	local files <const> = require "host.sys".file_limit()
	return files and (files >= 2 * reserve and files - reserve or files // 2)
end

--- 3. Limits of the loop and of callbacks.
local function set_limits()
	local guard <const> = require "host.guard"
	local server <const> = require "net.server"
	local function period(name)
		local value = options.read(name)
		return value == math.huge and 0 or value
	end
	runtime.set_gc(config.get("*", "gc"))
	guard.limits { slow = period "slow_callback", timeout = period "callback_timeout",
		memory = options.read("lua_memory_limit") }
	server.set_config(options.read("network_settings"))
	local connections <const> = options.read("max_connections") or room()
	local ok, err = server.set_limits {
		max_connections = connections,
		max_handshakes = options.read("max_handshakes")
			or connections and math.max(1, connections // 4),
		max_connections_per_ip = options.read("max_connections_per_ip"),
		max_connection_rate_per_ip = options.read("max_connection_rate_per_ip"),
		limits_exempt = options.read("limits_exempt"),
	}
	if not ok then
		log("error", "Limits are not in force: %s", tostring(err))
	end
end

-- The workers of a generation see each other's connections, so that none takes them all.
local function share_connections(hello)
	if (hello.workers or 1) < 2 then
		return
	end
	local path <const> = ("%s/share.g%d"):format(prosody.paths.user_runtime, prosody.generation)
	local ok, err = require "host.net".share(path, prosody.worker)
	if not ok then
		log("warn", "Connections are not shared evenly with the other workers: %s: %s", path, err)
	end
end

local function on_slow(seconds, traceback, what)
	local module <const> = tostring(traceback):match("mod_([%w_]+)[./]")
	log("warn", "A callback took %.3f s%s%s: %s", seconds, module and " in mod_" .. module or "",
		what and " (" .. what .. ")" or "", tostring(traceback))
	prosody.events.fire_event("callback-slow",
		{ module = module, event = what, seconds = seconds, traceback = traceback })
end

local logging = false -- whether log lines go anywhere

--- 2. Where log lines go; from here on everything is logged.
local function start_logging(hello)
	local log_sinks <const> = require "core.log_sinks"
	local made, err = places.make_folder(prosody.paths.data)
	if not made then
		io.stderr:write(("gadwall: no data folder: %s\n"):format(err))
	end
	log_sinks.folder = prosody.paths.data
	if (hello.workers or 1) > 1 or (hello.generation or 1) > 1 then
		log_sinks.worker_mark = ("[g%d.%d]"):format(prosody.generation, prosody.worker)
	end
	require "core.loggingmanager".start(prosody.events)
	require "host.info".log_to(require "util.logger".init)
	logging = true
end

--- 4. Managers, in the order in which they hook their events.
local function start_managers()
	local events <const> = prosody.events
	local hostmanager <const> = require "core.hostmanager"
	local modulemanager <const> = require "core.modulemanager"
	local portmanager <const> = require "core.portmanager"
	require "core.statsmanager"
	portmanager.start(events)
	modulemanager.start(events)
	require "core.storagemanager" -- follows hosts before the first is activated
	-- After the options, before portmanager: a module that comes brings its ports itself.
	events.add_handler("config-reloaded", function ()
		set_limits()
		hostmanager.sync()
		modulemanager.sync()
	end)
end

--- prosody.reload_config and reopen_logfiles, Prosody's calls.
local function add_functions(keeper)
	function prosody.reload_config()
		log("info", "Reloading configuration file")
		if keeper then
			-- The reader has to judge it first; the new bundle comes by itself.
			return keeper.request("reload", "") ~= nil
		end
		local finish <const> = config_outcome.begin()
		local ok, result, faults = config_reload.apply(bundle.disk())
		finish(ok and result or { faults = faults })
		return ok, result, faults
	end
	function prosody.reopen_logfiles()
		log("info", "Re-opening log files")
		prosody.events.fire_event("reopen-log-files")
	end
end

-- The reader takes its time, and a stop may have begun meanwhile: what a reload would open now,
-- nobody closes.
-- @return an outcome (core.config_outcome)
local function apply_new_bundle(keeper)
	local state <const> = require "core.lifecycle".state()
	if state == "finishing" or state == "stopping" or state == "stopped" then
		log("warn", "The new config comes too late: the host is %s", state)
		return { refused = state }
	end
	local text <const>, err = keeper.bundle()
	if not text then
		log("error", "The new config was not applied: its bundle cannot be read: %s", err)
		return { refused = "its bundle cannot be read: " .. err }
	end
	local ok, done, result, faults = xpcall(config_reload.apply_bundle, debug.traceback, text)
	if not ok then
		log("error", "Error while the new config was applied: %s", tostring(done))
		return { refused = "an error while it was applied: " .. tostring(done):match("^[^\n]*") }
	end
	return done and result or { faults = faults }
end

local function listen_to_keeper(keeper)
	if not keeper then
		return
	end
	keeper.on("bundle", function (message)
		local finish <const> = config_outcome.begin()
		prosody.main_thread:run(function ()
			local outcome <const> = apply_new_bundle(keeper)
			keeper.answer(message.id, "applied", "")
			finish(outcome)
			require "core.verbs".signal_done("reload", outcome.changed and "done" or "not-applicable",
				outcome.faults and "the config has faults" or outcome.refused)
		end)
	end)
end

--- Whether this is the start of the host or of an upgrade, at which every listener must bind.
local function is_first_start(hello)
	return hello.joins or (hello.restarts or 0) == 0 and (hello.generation or 1) == 1
end

--- 6. Ports.
-- @return nil, or why the start has failed
local function open_ports(hello)
	local ok, failures = require "core.portmanager".open_all()
	if ok or not is_first_start(hello) then
		return nil
	end
	local text
	for _, failure in ipairs(failures) do
		local line <const> = ("cannot listen on %s for service '%s': %s"):format(failure.address,
			failure.service, failure.message)
		io.stderr:write(("gadwall: %s\n"):format(line))
		text = text or line
	end
	return text or "not every service listens"
end

-- A module that does not load is a fault that a host lives with, but no reason to give up the
-- older generation, which has it: nil, or the first of them.
local function failed_module(hello)
	for _, entry in ipairs(hello.joins and require "core.modulemanager".list() or {}) do
		if not entry.loaded then
			return ("module '%s' does not load: %s"):format(entry.module,
				entry.message:match("^[^\n]*"))
		end
	end
end

--- Everything after the config, in the main runner so that handlers may wait.
local function start(keeper, hello, fail)
	local lifecycle <const> = require "core.lifecycle"
	start_logging(hello)
	require "host.guard".on_slow(on_slow)
	set_limits()
	share_connections(hello)
	lifecycle.init()
	globals.sandbox_require()
	globals.function_metatable()
	add_functions(keeper)
	start_managers()
	listen_to_keeper(keeper)
	log("info", "gadwall %s, generation %d, worker %d", prosody.version, prosody.generation,
		prosody.worker)
	for _, fault in ipairs(config.state().faults) do
		log("warn", "Configuration warning: %s:%d: %s", fault.file, fault.line, fault.message)
	end
	globals.lock()
	-- 5. Hosts and modules. What a module hooks here is called by lifecycle.loaded(), after the
	-- ports, so that it can hold readiness.
	prosody.events.fire_event("server-starting", lifecycle.starting_event())
	require "core.hostmanager".sync()
	if lifecycle.state() ~= "starting" then
		return
	end
	local broken <const> = failed_module(hello)
	if broken then
		return fail(EX_SOFTWARE, broken)
	end
	local closed <const> = open_ports(hello)
	if closed then
		return fail(EX_UNAVAILABLE, closed)
	end
	lifecycle.loaded()
end

--- @param file config file, when there is no keeper
-- @return exit status
return function (file)
	local keeper, hello = find_keeper()
	file = hello.config_file or file
	local state = read_config(keeper, file)
	if not state then
		return EX_CONFIG
	end
	runtime.build(hello)
	runtime.forget_environment()
	runtime.guard_descriptors()
	runtime.configure(prosody, find_places(hello, file), config)

	local loop <const> = require "host.loop"
	local timer <const> = require "util.timer"
	async.set_nexttick(function (fn) timer.add_task(0, fn) end)
	async.set_schedule_function(timer.add_task)
	require "util.promise".set_nexttick(function (fn) timer.add_task(0, fn) end)
	local failed, why
	local function fail(code, text)
		failed, why = code, text
		loop.quit()
	end
	prosody.main_thread = async.runner(function (fn) return fn() end, {
		error = function (_, err)
			log("error", "Error in the main thread: %s", tostring(err))
			if not logging then
				io.stderr:write(("gadwall: error before the log was open: %s\n"):format(tostring(err)))
			end
			if prosody.state == "starting" then
				fail(EX_SOFTWARE, tostring(err):match("^[^\n]*"))
			end
		end,
	})
	prosody.main_thread:run(function () start(keeper, hello, fail) end)
	if not failed then
		loop.run()
	end
	if failed then
		if keeper then
			keeper.leaving(failed, why or "")
		end
		return failed
	end
	return require "core.lifecycle".leave()
end
