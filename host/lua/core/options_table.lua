--- Every option as data: read by typed reads, check and the docs; a spec
-- holds the README against it. Fields: name, type (core.option_types), default, owner, reload
-- ("live", "module": reload the module, "upgrade": a new generation, "start": a new start), doc;
-- min, max, above (exclusive), words (enum), off (false allowed), P (Prosody's), hidden (not
-- documented).

local function rows(owner, reload, list)
	for _, row in ipairs(list) do
		row.owner, row.reload = row.owner or owner, row.reload or reload
		row.name, row.type, row.default, row.doc = row[1], row[2], row[3], row[4]
	end
	return list
end

local loopback <const> = "loopback"
local MiB <const> = 1048576

local groups <const> = {
	rows("modulemanager", "live", {
		{ "modules_enabled", "list", {}, "modules to load on every host", P = true },
		{ "modules_disabled", "list", {}, "modules not to load", P = true },
		{ "plugin_paths", "list", {}, "folders searched before the built-in modules",
			P = true, reload = "upgrade" },
		{ "force_module_reload", "boolean", false,
			"reload a module although its save() failed", P = true },
	}),
	rows("boot", "upgrade", {
		{ "lua_paths", "list", {}, "folders appended to the search for Lua libraries" },
		{ "data_path", "path", nil, "folder for stores", P = true },
		{ "runtime_path", "path", nil, "folder for sockets, PID file and state file", reload = "start" },
		{ "run_as_root", "boolean", false, "allow root without `user`", P = true },
		{ "umask", "octal", "027", "file mode mask", P = true },
		{ "gc", "table", nil, "garbage collector: mode; as measured", P = true, reload = "live" },
		{ "installer_plugin_path", "path", nil,
			"folder of installed modules", P = true, hidden = true },
	}),
	rows("keeper", "live", {
		{ "pidfile", "path", "gadwall.pid", "PID file, false = none",
			P = true, off = true, reload = "start" },
		{ "user", "string", nil, "workers' user", reload = "upgrade" },
		{ "group", "string", nil, "workers' group", reload = "upgrade" },
		{ "prosody_user", "string", nil, "as `user`", P = true, reload = "upgrade", hidden = true },
		{ "prosody_group", "string", nil, "as `group`", P = true, reload = "upgrade", hidden = true },
		{ "no_new_privs", "boolean", true, "false lets modules call setuid helpers",
			reload = "upgrade" },
		{ "workers", "integer", 1, "workers a generation", min = 1, max = 16, reload = "upgrade" },
		{ "worker_heartbeat", "period", 1, "a worker's beat", above = 0 },
		{ "worker_timeout", "period", 10, "without a beat: ABRT, 2 s later KILL", above = 0 },
		{ "start_timeout", "period", 60, "from spawn to ready", above = 0 },
		{ "restart_backoff", "table", { 0.1, 30 },
			"seconds, {min, max}; the first restart is at once" },
		{ "restart_limit", "table", { 5, 30 }, "{count, seconds}, then state failed and slow retries" },
		{ "hammer_time", "period", 60, "after the stop began the keeper ends the process; -1 = never" },
		{ "upgrade_binary", "path", nil, "binary of an upgrade" },
		{ "upgrade_timeout", "period", 60, "spawn to READY" },
		{ "upgrade_probation", "period", 10, "after commit; 0 = none", min = 0 },
		{ "max_generations", "integer", 4, "cap on generations", min = 2, max = 4 },
		{ "max_generations_full", "enum", "hammer",
			"what an upgrade does at the cap", words = { "hammer", "refuse" } },
		{ "handover_max_size", "integer", 16 * MiB, "one module's table", owner = "handover", min = 0 },
	}),
	rows("storagemanager", "live", {
		{ "storage", "any", nil, "driver of all stores, or { STORE = driver }", P = true },
		{ "default_storage", "string", "internal", "driver of the stores that `storage` does not name",
			P = true },
		{ "storage_archive_item_limit", "integer", 10000, "most items of a user in one archive",
			P = true, min = 0, reload = "module" },
	}),
	rows("cron", "module", {
		{ "cron_initial_delay", "period", 1, "from the start to the first check", P = true, min = 0 },
		{ "cron_check_delay", "period", 3600, "between checks for tasks", P = true, min = 1 },
		{ "cron_spread_factor", "number", 0, "part of that by which it varies", P = true, min = 0 },
	}),
	rows("admin_socket", "module", {
		{ "admin_socket", "path", "gadwall.sock", "path of the console's socket", P = true },
		{ "admin_socket_group", "string", nil, "group that may use it (mode 0660)" },
	}),
	rows("admin_shell", "module", {
		{ "admin_shell_prompt", "string", nil, "prompt of the shell", P = true },
		{ "console_banner", "string", nil, "greeting of the shell", P = true },
	}),
	rows("loggingmanager", "live", {
		{ "log", "any", nil, "console, info; {} = silent; a relative file lies in data_path", P = true },
		{ "debug", "boolean", false, "log debug messages", P = true },
		{ "syslog_facility", "string", nil, "facility for syslog", P = true, hidden = true },
	}),
	rows("statsmanager", "upgrade", {
		{ "statistics", "string", "internal", "provider of statistics", P = true, off = true },
		{ "statistics_interval", "any", "manual",
			'seconds between collections, or "manual"', P = true },
		{ "statistics_config", "table", nil, "settings of the provider", P = true },
	}),
	rows("portmanager", "live", {
		{ "interfaces", "list", { "*", "::" }, "addresses that services listen on", P = true },
		{ "interface", "list", nil, "as interfaces", P = true, hidden = true },
		{ "local_interfaces", "list", { "127.0.0.1", "::1" },
			"addresses of private services", P = true },
		{ "use_ipv4", "boolean", true, "listen on IPv4", P = true },
		{ "use_ipv6", "boolean", true, "listen on IPv6", P = true },
		{ "network_default_read_size", "integer", 4096,
			"bytes a read", P = true, min = 1, reload = "module" },
		{ "ssl", "table", nil, "TLS settings", P = true, owner = "certmanager" },
		{ "client_https_ssl", "table", nil, "TLS settings of net.http", P = true,
			owner = "certmanager", hidden = true },
		{ "certificates", "path", "certs", "folder of certificates", P = true, owner = "certmanager" },
	}),
	rows("net.server", "live", {
		{ "network_settings", "table", {}, "keys and defaults of Prosody's epoll backend", P = true },
		{ "network_backend", "string", "epoll",
			"ignored: there is one backend", P = true, hidden = true },
		{ "max_connections", "integer", nil,
			"connections a worker; default: the file limit less 512", min = 1 },
		{ "max_handshakes", "integer", nil,
			"TLS handshakes under way at one time; default: a quarter of max_connections", min = 1 },
		{ "max_connections_per_ip", "integer", 256, "of one address (IPv6: /64)", min = 1 },
		{ "max_connection_rate_per_ip", "number", 100, "a second, burst twice that", above = 0 },
		{ "limits_exempt", "list", {}, "CIDR blocks without limits by address" },
		{ "limits", "table", {}, "bytes a second by class", P = true, owner = "limits" },
		{ "limits_resolution", "period", nil, "time slice of limits", P = true, owner = "limits" },
	}),
	rows("worker", "live", {
		{ "lua_memory_limit", "integer", 256 * MiB, "bytes a Lua state", min = 4 * MiB },
		{ "slow_callback", "period", 0.1, "a callback longer than this is logged", above = 0 },
		{ "callback_timeout", "period", 5, "a callback longer than this gets an error", above = 0 },
		{ "orphan_timeout", "period", 60, "serving on without a keeper, before it finishes", min = 0 },
		{ "server_id", "string", nil, "name of this process among peers",
			owner = "sessions", reload = "upgrade" },
	}),
	rows("lifecycle", "live", {
		{ "signals", "table", nil, "signal to verb, or to {state = verb}" },
		{ "shutdown_timeout", "period", 25, "budget of a whole stop", min = 0 },
		{ "shutdown_report", "path", nil, "file for the report (data folder)" },
		{ "drain_refuses_new", "boolean", false, "draining: say goodbye to newcomers" },
		{ "finish_idle_wait", "period", 300, "finish waits for sessions; 0 = skip", min = 0 },
		{ "job_timeout", "period", 5, "join of a background job", min = 0 },
	}),
	rows("lameduck", "live", {
		{ "lameduck_period", "period", 3, "longest lame-duck phase", above = 0 },
		{ "lameduck_signals", "list", nil, "signals whose stop begins with lame-duck" },
		{ "lameduck_probe_window", "period", 60,
			"a probe this recent keeps the period whole", min = 0 },
		{ "lameduck_hook_timeout", "period", 1, "time of each pre-hook", min = 0 },
	}),
	rows("graceful_shutdown", "live", {
		{ "shutdown_phases", "table", nil,
			"lame-duck, stop-accepting 1, close-clients 10, stop-services 6, quit 5" },
		{ "shutdown_pause", "period", 1, "most a phase lingers for stragglers", P = true, min = 0 },
		{ "close_spread", "period", 1, "time over which goodbyes are spread", min = 0 },
		{ "goodbye", "table", nil, "{to, after} given to ongoodbye" },
	}),
	rows("net.process", "live", {
		{ "process_kill_timeout", "period", 10, "TERM to KILL", min = 0 },
	}),
	rows("health", "module", {
		{ "healthz", "enum", "ready", "what /healthz follows", words = { "ready", "live" } },
		{ "health_check_timeout", "period", 5, "time of a check" },
		{ "health_on_http", "boolean", false, "health paths on client listeners too" },
		{ "agent_check_ports", "list", {}, "HAProxy agent-check" },
		{ "agent_check_interfaces", "list", loopback, "its addresses" },
	}),
	rows("admin_http", "module", {
		{ "admin_http_ports", "list", { 5290 }, "ports of the admin HTTP service" },
		{ "admin_http_interfaces", "list", loopback, "its addresses" },
		{ "admin_http_token_file", "path", nil, "bearer token" },
		{ "openmetrics_allow_ips", "list", loopback,
			"who may read /metrics", P = true, owner = "http_openmetrics" },
		{ "openmetrics_allow_cidr", "string", nil,
			"who may read /metrics", P = true, owner = "http_openmetrics" },
		{ "openmetrics_on_http", "boolean", false, "/metrics on client listeners too",
			owner = "http_openmetrics" },
	}),
	rows("http", "module", {
		{ "http_ports", "list", { 5280 }, "ports of HTTP", P = true },
		{ "http_interfaces", "list", nil, "its addresses", P = true },
		{ "https_ports", "list", { 5281 }, "ports of HTTPS", P = true },
		{ "https_interfaces", "list", nil, "its addresses", P = true },
		{ "http_paths", "table", nil, "paths of modules", P = true },
		{ "http_host", "string", nil, "host name", P = true },
		{ "http_default_host", "string", nil,
			"host for unknown names; without a VirtualHost that is localhost", P = true },
		{ "http_external_url", "string", nil, "URL seen from outside", P = true },
		{ "http_max_content_size", "integer", 10 * MiB, "bytes of a body", P = true },
		{ "http_max_buffer_size", "integer", nil, "bytes of a buffer", P = true },
		{ "trusted_proxies", "list", loopback, "proxies whose X-Forwarded-For counts", P = true },
		{ "http_cors_override", "table", nil, "CORS by module", P = true },
		{ "http_default_cors_enabled", "boolean", true,
			"CORS headers for apps that say nothing of it", P = true },
		{ "access_control_allow_origins", "list", nil, "CORS", P = true },
		{ "access_control_allow_methods", "list", nil, "CORS", P = true },
		{ "access_control_allow_headers", "list", nil, "CORS", P = true },
		{ "access_control_allow_credentials", "boolean", nil, "CORS", P = true },
		{ "access_control_max_age", "period", nil, "CORS", P = true },
		{ "http_header_timeout", "period", 10, "to the end of the header" },
		{ "http_body_timeout", "period", 10, "between parts of a body" },
		{ "http_keepalive_timeout", "period", 60, "between requests" },
		{ "http_request_timeout", "period", 300, "of a request" },
		{ "http_max_request_line", "integer", 8192, "bytes" },
		{ "http_max_header_size", "integer", 32768, "bytes" },
		{ "http_max_headers", "integer", 64, "count" },
		{ "http_max_pipeline", "integer", 16, "requests of one connection in a turn of the loop" },
	}),
	rows("http_errors", "module", {
		{ "http_errors_detailed", "boolean", false, "pages of errors show the cause", P = true },
		{ "http_errors_always_show", "boolean", true,
			"a page for codes without a message, too", P = true },
		{ "http_errors_default_message", "string", nil, "what such a page says", P = true },
		{ "http_errors_messages", "table", nil,
			"code to { text, … }; each % in the text is one of the others", P = true },
	}),
	rows("http_files", "module", {
		{ "http_files_dir", "path", nil, "folder that is served", P = true },
		{ "http_index_files", "list", { "index.html", "index.htm" },
			"files that stand for their folder", P = true },
		{ "http_dir_listing", "boolean", false,
			"list folders without an index, if a module can", P = true },
		{ "http_files_cache_size", "integer", 128, "small files kept in memory", P = true },
		{ "http_files_cache_max_file_size", "integer", 4096,
			"bytes; larger ones are not", P = true },
		{ "mime_types_file", "path", "/etc/mime.types", "types by extension", P = true },
		{ "http_path", "path", nil, "as http_files_dir", P = true, hidden = true },
	}),
	rows("sessions_redis", "module", {
		{ "redis", "table", nil, "where the store is" },
		{ "redis_prefix", "string", "gadwall:", "front of all keys" },
		{ "redis_timeout", "period", 2, "of a command" },
		{ "redis_backoff", "table", { 0.1, 30 }, "{min, max} between connects" },
		{ "session_lease", "period", 15, "of an entry", min = 1 },
	}),
	rows("echo", "live", {
		{ "echo_ports", "list", { 7007 }, "ports of mod_echo" },
	}),
	rows("chat", "module", {
		{ "chat_ports", "list", { 7070 }, "ports of the chat example" },
		{ "chat_tls_ports", "list", { 7071 }, "with TLS" },
		{ "chat_history", "integer", 20, "lines for newcomers", min = 0 },
		{ "chat_max_line", "integer", 1024, "bytes of a line", min = 1 },
		{ "chat_rate", "number", 5, "lines a second, burst 20", above = 0 },
		{ "ws_echo_max_message", "integer", 65536, "bytes of a message", owner = "ws_echo", min = 125 },
	}),
	-- Written by sections, or known to Prosody's own configs and without meaning here.
	rows("host", "upgrade", {
		{ "defined", "any", nil, "the section exists", hidden = true },
		{ "enabled", "boolean", true, "false: the host is not activated", P = true, hidden = true },
		{ "component_module", "string", nil, "module of a Component", P = true, hidden = true },
		{ "load_global_modules", "boolean", nil, "set by Component", P = true, hidden = true },
		{ "name", "string", nil, "name of a host for people", P = true, hidden = true },
		{ "admins", "list", nil, "administrators", P = true, hidden = true },
		{ "daemonize", "boolean", nil, "ignored: see run --detach", P = true, hidden = true },
		{ "disco_hidden", "boolean", nil, "ignored", P = true, hidden = true },
	}),
}

local all = {}
for _, group in ipairs(groups) do
	for _, row in ipairs(group) do
		all[#all + 1] = row
	end
end
return all
