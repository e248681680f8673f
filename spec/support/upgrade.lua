--- What the upgrade specs have in common: a host whose modules say which generation they are in,
-- the verbs, a load that counts, and a program that is no gadwall.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local upgrade <const> = {}

-- GET /?N answers "N GENERATION".
local app <const> = [[
module:depends "http"
module:provides("http", { default_path = "/", route = {
	["GET /"] = function (event)
		return ("%s %d"):format(event.request.url.query or "", prosody.generation)
	end,
} })
]]

-- Says in the log what it hears, and runs a singleton: a lock that two cannot have, and a line at
-- its start and at its end.
local witness <const> = [[
module:set_global()
local fcntl = require "posix.fcntl"
local unistd = require "posix.unistd"
local folder = module:get_option_string("witness_folder")
local generation = prosody.generation
for _, name in ipairs { "upgrade-state", "upgrade-started", "upgrade-committed", "upgrade-failed",
	"upgrade-rolled-back", "generation-activated", "generation-deactivated",
	"predecessor-stopped", "server-started" } do
	module:hook(name, function (event)
		local words = {}
		for _, key in ipairs { "state", "generation", "target", "predecessor", "successor",
			"failed_state", "inherited" } do
			if event[key] ~= nil then words[#words + 1] = key .. "=" .. tostring(event[key]) end
		end
		module:log("info", "heard %s in g%d [%s]", name, generation, table.concat(words, " "))
	end)
end
local function write(text)
	local fd = fcntl.open(folder .. "/singleton",
		fcntl.O_WRONLY | fcntl.O_CREAT | fcntl.O_APPEND, 384)
	unistd.write(fd, text .. "\n")
	unistd.close(fd)
end
local lock
module:singleton("one", function ()
	lock = fcntl.open(folder .. "/singleton.lock", fcntl.O_RDWR | fcntl.O_CREAT, 384)
	local alone = fcntl.fcntl(lock, fcntl.F_SETLK,
		{ l_type = fcntl.F_WRLCK, l_whence = fcntl.SEEK_SET, l_start = 0, l_len = 0 })
	write((alone and "start %d" or "TWICE %d"):format(generation))
end, function ()
	write(("stop %d"):format(generation))
	unistd.close(lock)
end)
]]

local config <const> = [[
modules_enabled = { %s }
http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
https_ports = {}
echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }; remote_interfaces = { "127.0.0.1" }
%s; witness_folder = %q
restart_limit = { 16, 1 }; restart_backoff = { 0.1, 0.1 }
]]

-- What a killed or failing generation says, and no fault of the host.
local allowed <const> = { "SIGKILL", "signal %d+", "stack traceback", "%[C%]: in", "in function" }

--- Whether the program under test has failpoints, and the signals of test builds.
function upgrade.has_failpoints()
	return (process.run { argv = { daemon.binary(), "--list-failpoints" } }) == 0
end

--- Starts a host with the test modules.
---@param spec table as for daemon.start; `enable` (list of modules besides), `config` is added,
--- `without` (set of names that are not enabled), `folder` (what the witness writes; a new one)
---@return table daemon with `http`, `echo` (ports) and `folder` (what the witness writes)
function upgrade.start(spec)
	spec = spec or {}
	local names = {}
	for _, name in ipairs { "witness", "remote", "echo", "app", "admin_socket", "admin_shell" } do
		if not (spec.without and spec.without[name]) then names[#names + 1] = ("%q"):format(name) end
	end
	for _, name in ipairs(spec.enable or {}) do names[#names + 1] = ("%q"):format(name) end
	local folder <const> = spec.folder or process.temp_dir()
	spec.modules = spec.modules or {}
	spec.modules.app, spec.modules.witness = app, witness
	spec.modules.remote = shutdown.remote
	spec.own = spec.config or ""
	spec.allow = table.move(allowed, 1, #allowed, #(spec.allow or {}) + 1, spec.allow or {})
	function spec.text(more)
		local probation <const> = (spec.own .. (more or "")):find "upgrade_probation" and ""
			or "upgrade_probation = 0"
		return config:format(table.concat(names, ", "), probation, folder) .. spec.own .. "\n"
			.. (more or "") .. '\nVirtualHost "localhost"\n'
	end
	spec.config = spec.text()
	local d <const> = daemon.start(spec)
	d.folder = folder
	if spec.ready ~= false then
		d.echo = d:port "echo"
		d.http = not (spec.without and spec.without.app) and d:port "http" or nil
		upgrade.note_census(d)
	end
	return d
end

--- The config of now with more lines at its end; false: one with a fault.
function upgrade.reconfigure(d, more)
	d:write_config(d.spec.text(more or "this is no Lua"))
end

--- A verb at the console: `upgrade`, `rollback`, `drain` …; waits for the outcome.
---@return boolean whether it was done
---@return string all lines of the answer
function upgrade.ask(d, words, timeout)
	local lines <const>, last <const> = d:console(words, timeout or 60)
	return last:find("^OK:") ~= nil or last:find("^Result:") ~= nil, table.concat(lines, "\n")
end

--- An upgrade that has to succeed.
function upgrade.up(d, words)
	local ok, text = upgrade.ask(d, words or "upgrade")
	if not ok then error(text .. "\n" .. d:log(), 2) end
	return text
end

--- Begins a verb and does not wait; returns a function that waits for its outcome.
function upgrade.begin(d, words)
	local c <const> = d:connect(d:socket_path(), 60)
	assert(c:send(words .. "\n"))
	return function ()
		local lines = {}
		repeat
			local line <const> = c:line()
			lines[#lines + 1] = line or "closed"
		until not line or line:find "^OK:" or line:find "^Error:" or line:find "^Result:"
		c:close()
		return lines[#lines]:find "^OK:" ~= nil, table.concat(lines, "\n")
	end
end

--- Which generation answers on a new connection; nil and why if nobody does.
function upgrade.generation(d)
	local c <const> = d:connect(d.http, 20)
	c:send "GET /?7 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	local text, err = c:read_all()
	c:close()
	return text and math.tointeger(tonumber(text:match("\r\n\r\n7 (%d+)$"))), text or err
end

--- Waits until generation `number` answers.
function upgrade.wait_generation(d, number)
	wait.until_true(function () return upgrade.generation(d) == number end, 20,
		("generation %d answers\n%s"):format(number, d:log()))
end

--- Pid of a worker of that generation (number 1 unless another is asked for), or nil.
function upgrade.worker(d, generation, number)
	local title <const> = ("gadwall: worker g%d.%d"):format(generation, number or 1)
	for _, info in ipairs(d:children()) do
		local words <const> = process.read_file(("/proc/%d/cmdline"):format(info.pid)) or ""
		if words:sub(1, #title) == title and info.state ~= "Z" then return info.pid end
	end
end

--- Waits until only so many generations have workers.
function upgrade.wait_alone(d)
	wait.until_true(function ()
		local first
		for _, info in ipairs(d:children()) do
			if info.parent == d.keeper_pid and info.state ~= "Z" then
				if first then return false end
				first = info.pid
			end
		end
		return first ~= nil
	end, 30, "one worker\n" .. d:log())
end

local function keeper_fds(d)
	local list = {}
	for _, target in pairs((process.fds(d.keeper_pid))) do list[#list + 1] = target end
	return list
end

--- Remembers how many descriptors the keeper has, once that stays the same for a moment.
function upgrade.note_census(d)
	local before
	wait.until_true(function ()
		local now <const> = #keeper_fds(d)
		wait.sleep(0.05)
		d.census, before = before, now
		return d.census == now and #keeper_fds(d) == now
	end, 10, "a keeper whose descriptors stay")
end

--- Stops it after a check: the keeper has the descriptors that it had, and `kept` more: 3 (binary,
--- settings and bundle of the previous generation) once an upgrade was committed.
function upgrade.stop(d, kept)
	local want <const> = d.census + (kept or 3)
	upgrade.wait_alone(d)
	if not wait.try(function () return #keeper_fds(d) == want end, 5) then
		local list <const> = keeper_fds(d)
		table.sort(list)
		error(("keeper has %d descriptors instead of %d:\n%s\n%s"):format(#list, want,
			table.concat(list, "\n"), d:log()), 2)
	end
	d:rebase_fds()
	d:stop()
	process.remove_tree(d.folder)
end

--- The lines that the singleton has written, in one; raises if two ran at one time.
function upgrade.singletons(d)
	local text <const> = (process.read_file(d.folder .. "/singleton") or ""):gsub("\n", " ")
	assert(not text:find "TWICE", text)
	return (text:gsub(" $", ""))
end

--- What the witness heard of one event: list of "gN [words]".
function upgrade.heard(d, name)
	local list <const> = {}
	for _, line in ipairs(d:log_lines("heard " .. name:gsub("%p", "%%%0") .. " in")) do
		list[#list + 1] = line:match(" in (g.*)$")
	end
	return list
end

-- Programs ----------------------------------------------------------------------------------------

local built <const> = {}

--- Compiles a C file of spec/support once a process.
---@return string path
function upgrade.compile(source, ...)
	local key <const> = table.concat({ source, ... }, " ")
	if not built[key] then
		local dir <const> = process.temp_dir()
		local code, _, err = process.run { timeout = 120, argv = {
			"sh", "-c", 'exec ${CC:-cc} "$@"', "sh", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall",
			"-o", dir .. "/program", source, ... } }
		assert(code == 0, err)
		built[key] = dir .. "/program"
	end
	return built[key]
end

--- A program in FOLDER that is gadwall as a reader and does `mode` as a worker
--- (spec/support/fake_program.c); the host's environment needs FAKE_REAL.
---@return string path
function upgrade.fake(folder, mode)
	local path <const> = folder .. "/" .. mode
	local program <const> = upgrade.compile("spec/support/fake_program.c", "host/proc/ipc.c",
		"host/base/fd.c", "-Ihost")
	assert(process.run { argv = { "cp", program, path } } == 0)
	return path
end

--- Makes PATH a symbolic link to TARGET, in one step.
function upgrade.link(target, path)
	assert(process.run { argv = { "ln", "-sfT", target, path } } == 0)
end

--- Removes what compile() has made.
function upgrade.clean()
	for key, path in pairs(built) do
		process.remove_tree(path:match "^(.*)/[^/]*$")
		built[key] = nil
	end
end

-- Load --------------------------------------------------------------------------------------------

local load_methods <const> = {}
local load_mt <const> = { __index = load_methods }

-- Before it has its handlers, a signal would end it.
local function catches_signals(pid)
	local text <const> = process.read_file(("/proc/%d/status"):format(pid)) or ""
	return tonumber(text:match "SigCgt:%s+(%x+)" or "0", 16) & 1 << 14 ~= 0
end

--- Starts the load; spec/support/upgrade_load.c says what it counts.
---@param opts table|nil keepers (8), connectors (2), think (ms, 5), pause (ms between
--- two connects, 0), seconds (most; 120)
function upgrade.load(d, opts)
	opts = opts or {}
	local self <const> = setmetatable({ d = d, out = process.temp_dir() .. "/out" }, load_mt)
	self.process = process.spawn { stdout = self.out, argv = {
		upgrade.compile("spec/support/upgrade_load.c"), tostring(d.http), tostring(opts.keepers or 8),
		tostring(d.echo), tostring(opts.connectors or 2), tostring(opts.think or 5),
		tostring(opts.pause or 0), tostring(opts.seconds or 120) } }
	wait.until_true(function () return catches_signals(self.process.pid) end, 20, "the load begins")
	return self
end

--- The end of a window, whose slowest exchange is what a client saw as a pause.
function load_methods:mark() self.process:signal "USR1" end

--- Ends it and returns what it counted.
function load_methods:stop()
	self.process:signal "TERM"
	local code <const> = self.process:wait_exit(60)
	local text <const> = process.read_file(self.out) or ""
	assert(code == 0, "the load ended with " .. tostring(code))
	local count <const> = { text = text }
	for key, value in text:gmatch("([%w_]+)=([%d.]+)") do count[key] = tonumber(value) end
	process.remove_tree((self.out:gsub("/out$", "")))
	return count
end

--- Ends it; raises unless nothing was lost and something was asked.
function load_methods:stop_clean()
	local count <const> = self:stop()
	for _, what in ipairs { "refused", "reset", "lost", "late", "wrong", "other" } do
		if count[what] ~= 0 then error(count.text .. self.d:log(), 2) end
	end
	assert(count.requests > 0, count.text)
	return count
end

--- For after_each.
function upgrade.finish()
	local ok, err = pcall(daemon.finish_all)
	upgrade.clean()
	if not ok then error(err, 0) end
end

return upgrade
