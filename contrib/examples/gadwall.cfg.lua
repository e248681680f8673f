-- A config to begin with: `make run` starts it, `build/gadwall check -c FILE` tests one like it.
-- It is Lua: NAME = VALUE. Lines with `--` in front are comments; where one shows an option, its
-- value is the default. All options: modules/README.md. After an edit: build/gadwall reload

-- Modules ----------------------------------------------------------------------------------------

-- Folders that are searched for mod_NAME.lua before the built-in modules, relative to this file.
plugin_paths = { "." }

modules_enabled = {
	"echo";              -- says back what it hears (modules/mod_echo.lua)
	"chat";              -- a line chat with rooms (contrib/examples/mod_chat.lua)
	"welcome";           -- what `make run` prints when all is ready
	"admin_socket";      -- the socket that `gadwall status` and the others talk to
	"admin_shell";       -- the console on it: gadwall shell
	"admin_http";        -- HTTP for balancers and operators: curl localhost:5290
	"health";            -- /livez, /readyz, /healthz and /startupz on it
	"http_openmetrics";  -- /metrics on it, for Prometheus
	"lameduck";          -- a stop begins with: not ready any more, still serving
	"graceful_shutdown"; -- and goes on in phases
}

-- Ports ------------------------------------------------------------------------------------------

-- If a port is busy, change it here; 0 lets the kernel pick one; {} switches the service off.
echo_ports = { 7007 }
chat_ports = { 7070 }
-- chat_tls_ports = { 7071 } -- with certs/chat_tls.crt and certs/chat_tls.key beside this file
admin_http_ports = { 5290 } -- health, metrics, control; on your own machine only

-- POST /drain and the like need a token. A file that others cannot read, with one line:
-- admin_http_token_file = "token"

-- Where services listen. This file stays on your own machine; the default is { "*", "::" }, all.
interfaces = { "127.0.0.1", "::1" }

-- Logging ----------------------------------------------------------------------------------------

-- A level (debug, info, warn, error) and where its lines go: "*console", "*syslog" or a file.
log = { info = "*console" }

-- Who and where ----------------------------------------------------------------------------------

-- As root gadwall wants a `user` to become, or to be told that root is meant. This line is for
-- trying it out in a container; on a server write: user = "gadwall"; group = "gadwall"
run_as_root = true

-- Started from a checkout, sockets, PID file and data are in ./run. On a server they are in
-- /run/gadwall and /var/lib/gadwall.
-- runtime_path = "run"
-- data_path = "run/data"

-- workers = 1

-- The end ----------------------------------------------------------------------------------------

-- What a signal means; an entry replaces one default. SIGHUP: this file is read again.
-- signals = { SIGTERM = "shutdown", SIGINT = "shutdown", SIGHUP = "reload", SIGUSR1 = "finish" }

-- lameduck_period = 3        -- seconds; balancers see "not ready" and go elsewhere
-- shutdown_timeout = 25      -- seconds for the whole stop
-- hammer_time = 60           -- seconds; then what is left is killed

-- Told to clients when the server stops, in their protocol's words: where to go, when to return.
goodbye = { after = 5 }

-- The modules' own options -----------------------------------------------------------------------

-- chat_history = 20          -- lines for those who join a room
-- chat_max_line = 1024       -- bytes
-- chat_rate = 5              -- lines a second
