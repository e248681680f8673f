--- Real gadwall processes for specs.
--
--	local daemon <const> = require "spec.support.daemon"
--	after_each(daemon.finish_all)
--	local d = daemon.start { config = [[ modules_enabled = { "echo" }; echo_ports = { 0 } ]] }
--	local c = d:connect(d:port("echo"))
--	d:stop()
--
-- Every daemon has a temp folder of its own (kept with KEEP=1). Its end is always checked: exit
-- status as declared, a clean log, no child left, no descriptor gained.

local checks <const> = require "spec.support.daemon_checks"
local client <const> = require "spec.support.client"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local daemon <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }

local running = {}

--- The program under test.
function daemon.binary()
	local path = os.getenv("GADWALL") or "build/test/gadwall"
	if path:sub(1, 1) == "/" then return path end
	return unistd.getcwd() .. "/" .. path
end

-- True when any user may pass every folder down to this one.
local function reachable(path)
	while path ~= "" do
		if stat.stat(path).st_mode & 1 == 0 then return false end
		path = path:match("^(.*)/[^/]*$")
	end
	return true
end

--- The program as `make install` would lay it below `dir`, for users who cannot reach the checkout.
---@param dir string
---@param binary string|nil default: the program under test
---@return string path of the copy
function daemon.relocated(dir, binary)
	if not binary and stat.stat(dir .. "/bin/gadwall") then
		return dir .. "/bin/gadwall" -- this daemon runs from it already
	end
	local code, _, err = process.run { argv = { "sh", "-c", [[
		mkdir -p "$1/bin" "$1/lib/gadwall/lua" && cp "$2" "$1/bin/gadwall" &&
		cp -R modules "$1/lib/gadwall/" && { [ ! -d .deps/lib/lua/5.4 ] ||
		cp -R .deps/share/lua/5.4/. .deps/lib/lua/5.4/. "$1/lib/gadwall/lua/"; } &&
		chmod -R a+rX "$1/bin" "$1/lib"
	]], "sh", dir, binary or daemon.binary() } }
	assert(code == 0, err)
	return dir .. "/bin/gadwall"
end

-- The lines that every test config starts with; what a spec writes below them wins.
local function prelude(self)
	local lines = {
		("runtime_path = %q"):format(self.dir .. "/run"),
		("data_path = %q"):format(self.dir .. "/data"),
		("plugin_paths = { %q }"):format(self.dir .. "/modules"),
		'log = { info = "*console" }',
	}
	if unistd.geteuid() == 0 and not self.spec.drop_root then
		lines[#lines + 1] = "run_as_root = true"
	end
	-- One line, so that line numbers of the spec's own config are theirs plus one.
	return table.concat(lines, "; ") .. "\n"
end

--- Writes the config file anew (for reload specs).
---@param text string
---@param raw boolean|nil true: nothing is put before it
function methods:write_config(text, raw)
	process.write_file(self.config_file, (raw and "" or prelude(self)) .. text)
end

--- Writes `mod_NAME.lua` into the daemon's own module folder.
function methods:write_module(name, source)
	process.write_file(("%s/modules/mod_%s.lua"):format(self.dir, name), source)
end

local function prepare(spec)
	local self = setmetatable({ spec = spec, dir = spec.dir or process.temp_dir(), known = {} }, mt)
	self.config_file = spec.config_file or self.dir .. "/gadwall.cfg.lua"
	self.log_file = self.dir .. "/" .. (spec.log or "log")
	for _, folder in ipairs { "run", "data", "modules" } do
		stat.mkdir(self.dir .. "/" .. folder, 448) -- 0700
	end
	for name, source in pairs(spec.modules or {}) do self:write_module(name, source) end
	if spec.drop_root and not spec.binary and not reachable(unistd.getcwd()) then
		spec.binary = daemon.relocated(self.dir)
	end
	if not spec.config_file then self:write_config(spec.config or "", spec.raw) end
	return self
end

local function environment(self)
	local env = {
		GADWALL_CONFIG = false, GADWALL_SOCKET = false, GADWALL_FAILPOINT = false,
		NOTIFY_SOCKET = false, LISTEN_FDS = false, LISTEN_PID = false, WATCHDOG_USEC = false,
		RUNTIME_DIRECTORY = false, STATE_DIRECTORY = false, XDG_RUNTIME_DIR = false,
		ASAN_OPTIONS = "abort_on_error=0:detect_leaks=1:exitcode=99",
		UBSAN_OPTIONS = "print_stacktrace=1:halt_on_error=1",
		LSAN_OPTIONS = ("print_suppressions=0:suppressions=%s/spec/support/lsan.supp")
			:format(unistd.getcwd()),
	}
	for name, value in pairs(self.spec.env or {}) do env[name] = value end
	return env
end

local function command_line(self)
	local argv = table.move(self.spec.wrap or {}, 1, #(self.spec.wrap or {}), 1, {})
	argv[#argv + 1] = self.spec.binary or daemon.binary()
	argv[#argv + 1] = "run"
	argv[#argv + 1] = "-c"
	argv[#argv + 1] = self.config_file
	return table.move(self.spec.args or {}, 1, #(self.spec.args or {}), #argv + 1, argv)
end

--- The keeper's state file as a table of strings; empty if there is none.
function methods:state()
	local values = {}
	local text = process.read_file(self.dir .. "/run/gadwall.state") or ""
	for key, value in text:gmatch("([%w_.]+)=([^\n]*)") do values[key] = value end
	return values
end

local settled <const> = { serving = true, draining = true, passive = true, failed = true }

--- Starts `gadwall run` and waits until it serves (or, with `expect_exit`, until it has ended).
---@param spec table fields:
--- config: text of the config, below a prelude of paths; raw = true leaves the prelude out
--- modules: name to source, written into a folder of plugin_paths
--- args, env, wrap (list put before the command, e.g. valgrind), binary
--- ready: state to wait for (default: any of serving, draining, passive, failed), false: no wait
--- expect_exit: true: wait for the end instead; look at `d:wait_exit()` and `d:log()`
--- exit: status that `stop` and `finish_all` expect (default 0); `false` accepts any
--- allow: patterns of log lines that are expected although they look bad
--- drop_root: the config says what workers run as; no run_as_root is put before it
--- fds: false switches off the comparison of descriptors at the end
--- dir, log: folder of another daemon to start in, name of the log file there (default "log")
--- timeout: seconds to become ready, default 10
---@return table daemon
function daemon.start(spec)
	local self = prepare(spec or {})
	self.keeper = process.spawn {
		argv = command_line(self), env = environment(self), stdout = self.log_file,
		cwd = self.spec.cwd,
	}
	running[#running + 1] = self
	self.keeper_pid = self.keeper.pid
	if self.spec.expect_exit then
		self.exit_status = self.keeper:wait_exit(self.spec.timeout or 15)
		self.expected_end = true
	elseif self.spec.ready ~= false then
		self:wait_ready(self.spec.timeout)
	end
	return self
end

--- Waits for the state of the spec (`ready`); raises with the log if it ends or does not come.
function methods:wait_ready(seconds)
	local want = self.spec.ready
	local state = wait.try(function()
		if self.keeper:status() then return "ended" end
		local now = self:state()
		if now.pid and tonumber(now.pid) ~= self.keeper_pid and not self.spec.wrap then return nil end
		if want and now.state == want or not want and settled[now.state or ""] then
			return now.state
		end
	end, seconds or (os.getenv("GADWALL_SLOW") and 40 or 10))
	if not state or state == "ended" then
		local seen, log = state or self:state().state or "no state file", self:log()
		self:destroy()
		error(("not ready (%s); log:\n%s"):format(seen, log), 2)
	end
	checks.remember(self)
	if self.spec.fds ~= false then
		checks.note_fds(self)
	end
end

--- Text of everything that it wrote to stdout and stderr.
function methods:log()
	return process.read_file(self.log_file) or ""
end

--- The log's lines, or those that match a pattern.
---@return table list of strings
function methods:log_lines(pattern)
	local lines = {}
	for line in self:log():gmatch("([^\n]*)\n?") do
		if line ~= "" and (not pattern or line:find(pattern)) then lines[#lines + 1] = line end
	end
	return lines
end

--- Waits for a log line; raises with the log if it does not come.
---@return string line
function methods:wait_log(pattern, seconds)
	local line = wait.try(function() return self:log_lines(pattern)[1] end, seconds or 5)
	if line then return line end
	error(("no log line like %q; log:\n%s"):format(pattern, self:log()), 2)
end

--- Sends the keeper a signal.
function methods:signal(signal)
	checks.remember(self)
	return self.keeper:signal(signal)
end

--- Waits for the keeper's end.
---@return integer|nil status, or nil, "timeout"
function methods:wait_exit(seconds)
	if not self.exit_status then
		checks.remember(self)
		local code, err = self.keeper:wait_exit(seconds or 10)
		if not code then return nil, err end
		self.exit_status = code
	end
	self.expected_end = true
	return self.exit_status
end

--- Live descendants of the keeper.
---@return table list of { pid, name, state, parent, group, started }
function methods:children()
	checks.remember(self)
	return process.descendants(self.keeper_pid)
end

-- The keeper has other children too: readers, and the trial of a binary that it is to run. A child
-- is its copy until its exec, one that ends has no command line before it is a zombie, and neither
-- has one in the midst of its exec: only who says that it is a worker is taken for one.
local function is_worker(pid)
	local words = process.read_file(("/proc/%d/cmdline"):format(pid)) or ""
	return words:find("role=worker", 1, true) or words:find("gadwall: worker", 1, true)
end

--- Pid of the newest live worker (a direct child of the keeper); nil when there is none.
function methods:worker_pid()
	local pid, newest
	for _, info in ipairs(self:children()) do
		local started = tonumber(info.started) -- pids begin anew
		if info.parent == self.keeper_pid and info.state ~= "Z" and is_worker(info.pid)
			and (not newest or started >= newest) then
			pid, newest = info.pid, started
		end
	end
	return pid
end

--- Descriptors of a process of this daemon: map of number to target, and their count.
function methods:fds(pid)
	return process.fds(pid or self:worker_pid())
end

--- Count of descriptors by pid, of the keeper and its live children.
function methods:fd_counts()
	local counts = { [self.keeper_pid] = select(2, process.fds(self.keeper_pid)) }
	for _, info in ipairs(self:children()) do
		counts[info.pid] = select(2, process.fds(info.pid))
	end
	return counts
end

--- Path of the admin socket.
function methods:socket_path()
	for _, name in ipairs { "/run/gadwall.sock", "/run/user/gadwall.sock" } do
		if stat.stat(self.dir .. name) then return self.dir .. name end
	end
	return self.dir .. "/run/gadwall.sock"
end

--- Runs a command of the program against this instance.
---@param ... string words after the common options, for example "status", "--json"
---@return integer exit status
---@return string stdout
---@return string stderr
function methods:run(...)
	return process.run {
		argv = { self.spec.binary or daemon.binary(), "--socket", self:socket_path(), ... },
		env = environment(self), timeout = 30,
	}
end

--- `status --json`, decoded; JSON null is dkjson's null only inside lists.
---@return table status
function methods:status()
	local code, out, err = self:run("status", "--json")
	local status = json.decode(out)
	if not status then error(("status exits %d: %s%s"):format(code, out, err), 2) end
	return status.result or status
end

--- A worker as the status has it now.
---@param name string "GENERATION.NUMBER"
---@return table|nil entry of `workers`; nil when the status does not name it
function methods:worker(name)
	for _, generation in ipairs(self:status().generations) do
		for _, entry in ipairs(generation.workers) do
			if entry.worker == name then return entry end
		end
	end
end

-- Newest TCP port of a service in the log, which costs no command.
local function logged_port(self, service)
	local port
	for found in self:log():gmatch("Activated service '" .. service:gsub("%p", "%%%0")
		.. "' on %S*:(%d+)\n") do
		port = math.tointeger(tonumber(found))
	end
	return port
end

local function reported_port(self, service)
	for _, entry in ipairs(self:status().services or {}) do
		for _, listener in ipairs(entry.service == service and entry.listeners or {}) do
			local port = math.tointeger(tonumber(listener.port))
			if port and port > 0 then return port end
		end
	end
end

--- Port on which a service listens (one of its TCP listeners); waits for it.
---@param service string
---@return integer
function methods:port(service)
	local port = wait.try(function()
		return logged_port(self, service) or reported_port(self, service)
	end, 3)
	if port then return port end
	error(("service %s has no port; log:\n%s"):format(service, self:log()), 2)
end

--- Connects a client.
---@param where integer|string port on 127.0.0.1, service name, or path of a Unix socket
---@param timeout number|nil default of all calls on the client, seconds
---@return table client
function methods:connect(where, timeout)
	if type(where) == "string" and where:find("[/@]") then
		return assert(client.unix(where, timeout))
	end
	local port = type(where) == "string" and self:port(where) or where
	return assert(client.tcp("127.0.0.1", port, timeout))
end

--- Sends one line to the admin socket.
---@return table lines of the answer, the last one (`OK: …`, `Error: …`, `Result: …`) included
---@return string last line
function methods:console(line, timeout)
	local c = assert(client.unix(self:socket_path(), timeout))
	assert(c:send(line .. "\n"))
	local lines = {}
	repeat
		local answer, err = c:line()
		if not answer then
			c:close()
			error(("console %q: %s after: %s"):format(line, err, table.concat(lines, "\n")), 2)
		end
		lines[#lines + 1] = answer
	until answer:find("^OK:") or answer:find("^Error:") or answer:find("^Result:")
		or answer:find('^{"ok":') or answer:find('^{.*"exit":')
	c:close()
	return lines, lines[#lines]
end

--- Lines of the log that a clean run does not have, each with "log: " before it.
---@return table list, empty when all is well
function methods:bad_lines()
	local faults = {}
	checks.log(self, faults)
	return faults
end

-- Ends the daemon if it lives, checks its end, removes its folder; returns a list of faults.
-- A host in the background is nobody's child: when its spec has failed, its PID file tells of it.
local function end_detached(self, faults)
	local pid <const> = tonumber(process.read_file(self.dir .. "/run/gadwall.pid") or "")
	if not self.keeper:status() or not pid or pid == self.keeper_pid or not process.alive(pid) then
		return
	end
	faults[#faults + 1] = ("pid %d, its host in the background, was left running"):format(pid)
	process.kill(pid, "TERM")
	if not pcall(wait.until_true, function () return not process.alive(pid) end, 15) then
		process.kill(pid, "KILL")
	end
end

local function finish(self, how)
	local faults = {}
	if self.finished then return faults end
	self.finished = true
	end_detached(self, faults)
	if not self.keeper:status() then
		checks.fds(self, faults)
		self:signal(how or "TERM")
	end
	if not self:wait_exit(self.spec.stop_timeout or (os.getenv("GADWALL_SLOW") and 60 or 15)) then
		faults[#faults + 1] = "did not stop in time, state " .. (self:state().state or "unknown")
		checks.remember(self)
		self.keeper:destroy()
		self.exit_status = "killed by the spec"
	end
	checks.children(self, faults)
	checks.exit(self, faults)
	checks.log(self, faults)
	if #faults > 0 then
		faults[#faults + 1] = "--- log of " .. self.dir .. "\n" .. self:log()
	end
	if not os.getenv("KEEP") and not self.spec.dir then process.remove_tree(self.dir) end
	return faults
end

--- Stops the daemon and raises unless its end was as declared.
---@param signal string|nil default TERM; or the daemon may have ended already
function methods:stop(signal)
	local faults = finish(self, signal)
	if #faults > 0 then error(table.concat(faults, "\n"), 2) end
end

--- The descriptors of now are those that its end is compared with: after an upgrade the keeper
-- keeps the previous binary and config, and workers have changed.
function methods:rebase_fds()
	checks.note_fds(self)
end

--- Kills everything at once, without any check; for specs whose subject is the wreckage.
function methods:destroy()
	if self.finished then return end
	self.finished = true
	checks.remember(self)
	self.keeper:destroy()
	for _, info in pairs(self.known) do
		if process.alive(info.pid, info.started) then process.kill(info.pid, "KILL") end
	end
	if not os.getenv("KEEP") and not self.spec.dir then process.remove_tree(self.dir) end
end

--- For `after_each`: ends every daemon that is left, with all checks, and closes all clients.
function daemon.finish_all()
	local faults, list = {}, running
	running = {}
	for index = #list, 1, -1 do
		local ok, found = pcall(finish, list[index])
		if not ok then
			list[index].finished = nil
			list[index]:destroy()
			found = { found }
		end
		for _, fault in ipairs(found) do faults[#faults + 1] = fault end
	end
	client.close_all()
	if #faults > 0 then error(table.concat(faults, "\n"), 0) end
end

return daemon
