--- The few parts of Prosody's util.startup that modules and tools touch.
-- A worker's real start is core.worker.

local startup <const> = {}

--- Leaves the process in order (os.exit is completed by core.lifecycle).
function startup.exit(code)
	os.exit(code, true)
end

--- Reads the version; prosody.version is there from the start.
function startup.read_version()
	return prosody.version
end

--- Makes log sinks anew from the config.
function startup.init_logging()
	require "core.loggingmanager".reload_logging()
end

--- Has been done before any module is loaded.
function startup.load_libraries() end

startup.check_dependencies, startup.setup_plugindir = startup.load_libraries, startup.load_libraries
startup.setup_datadir, startup.sandbox_require = startup.load_libraries, startup.load_libraries

--- Stops the host.
function startup.shutdown()
	return prosody.shutdown(prosody.shutdown_reason, prosody.shutdown_code)
end

return startup
