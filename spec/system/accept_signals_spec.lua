-- Signals at every moment, terminals, and standard streams that are not there.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local fcntl <const> = require "posix.fcntl"
local process <const> = require "spec.support.process"
local stdlib <const> = require "posix.stdlib"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local shutdown_modules <const> = '"lameduck", "graceful_shutdown", "admin_socket", "admin_shell"'

local function start(more, spec)
	spec = spec or {}
	local port <const> = client.free_port()
	spec.modules = spec.modules or {}
	spec.modules.probe = accept.probe
	spec.config = accept.probe_config(port, more, spec.enable or shutdown_modules)
	spec.fds = false
	return daemon.start(spec), port
end

describe("a storm of signals", function ()
	after_each(daemon.finish_all)

	it("of every kind that does not stop leaves the service as it was", function ()
		local d <const>, port <const> = start("signals = { SIGUSR1 = 'none', SIGUSR2 = 'none' }")
		local pid <const> = accept.pid(port)
		local loops <const> = accept.connect_loops(d.dir, port, 1)
		for number = 1, 6000 do
			local signal <const> = ({ "HUP", "USR1", "USR2", "CHLD", "WINCH", "CONT" })[number % 6 + 1]
			process.kill(d.keeper_pid, signal)
			if number % 3 == 0 then process.kill(pid, "HUP") end
		end
		assert.equal(pid, accept.pid(port))
		wait.until_true(function () return d:console("uptime") end, 5, "the console")
		local sums <const> = loops:stop()
		assert.equal(0, sums.refused + sums.reset + sums.eof + sums.timeout + sums.other)
		assert.equal("0", d:state().restarts)
		assert.equal("serving", d:state().state)
		-- A reload after the storm is a reload.
		d:write_config(accept.probe_config(port, "lameduck_period = 0.1", shutdown_modules))
		assert.equal(0, (d:run("reload")))
		assert.is_true(#d:log_lines("reload") < 5000, "one line for each signal")
	end)
end)

describe("SIGTERM during the start", function ()
	after_each(daemon.finish_all)

	it("ends it with 0 and leaves nothing, whenever it comes", function ()
		local dir <const> = process.temp_dir()
		local old = 0 -- length of what the runs before have logged
		for step = 0, 40 do
			local d <const> = daemon.start { dir = dir, ready = false, exit = false, fds = false,
				modules = { probe = accept.probe }, config = accept.probe_config(0) }
			wait.sleep(step * 0.001)
			d:signal("TERM")
			local code <const> = d:wait_exit(10)
			-- Before its own first instructions a process has the default action only.
			local log <const> = d:log():sub(old + 1)
			old = old + #log
			if not (code == 143 and log == "") then
				assert.equal(0, code, step .. " ms\n" .. log)
			end
			assert.is_nil(process.read_file(dir .. "/run/gadwall.pid"), step .. " ms")
			assert.same({}, d:bad_lines())
			for _, info in pairs(d.known) do
				assert.is_false(process.alive(info.pid, info.started), step .. " ms")
			end
		end
		process.remove_tree(dir)
	end)
end)

describe("SIGHUP", function ()
	after_each(daemon.finish_all)

	it("and all others during a stop change nothing about it", function ()
		local d <const> = start("shutdown_timeout = 20", { enable = '"graceful_shutdown", "slow"',
			modules = { slow = [[ module:hook_global("server-stopping", function (event)
				event:hold("a job", 3) end) ]] }, exit = 75 })
		d:signal("TERM")
		d:wait_log("serving %-> stopping")
		for _ = 1, 20 do
			for _, signal in ipairs { "HUP", "USR1", "CHLD", "CONT", "WINCH" } do d:signal(signal) end
		end
		assert.equal("stopping", d:state().state)
		assert.equal(75, d:wait_exit(10)) -- the hold was not released in its time
		assert.equal(0, #d:log_lines("hammer"))
	end)
end)

-- A pseudo terminal: master descriptor and the slave's path.
local function open_pty()
	local master <const> = assert(fcntl.open("/dev/ptmx", fcntl.O_RDWR | fcntl.O_NOCTTY))
	fcntl.fcntl(master, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
	assert(stdlib.grantpt(master))
	assert(stdlib.unlockpt(master))
	return master, assert(stdlib.ptsname(master))
end

-- Runs the host as a person does, in the foreground of a terminal.
local function run_on_terminal(more)
	local dir <const> = process.temp_dir()
	local port <const> = client.free_port()
	for _, folder in ipairs { "run", "data", "modules" } do
		require "posix.sys.stat".mkdir(dir .. "/" .. folder, 448)
	end
	process.write_file(dir .. "/modules/mod_probe.lua", accept.probe)
	process.write_file(dir .. "/c.lua", ([[ runtime_path = "%s/run"; data_path = "%s/data";
		plugin_paths = { "%s/modules" }; run_as_root = true; log = { info = "*console" };
		%s ]]):format(dir, dir, dir, accept.probe_config(port, more, shutdown_modules)))
	local master <const>, slave <const> = open_pty()
	-- The first terminal that the leader of a session opens is its controlling one.
	local child <const> = process.spawn { argv = { "setsid", "-w", "sh", "-c",
		'exec "$1" run -c "$2" <>"$3" >&0 2>&0', "sh", daemon.binary(), dir .. "/c.lua", slave } }
	local keeper <const> = wait.until_true(function ()
		local ok, pid = pcall(accept.pid, port, 2)
		return ok and pid and tonumber(process.read_file(dir .. "/run/gadwall.pid"))
	end, 10, "the host on a terminal")
	return { dir = dir, master = master, child = child, keeper = keeper, port = port }
end

local function state_of(t)
	return (process.read_file(t.dir .. "/run/gadwall.state") or ""):match("state=(%a+)")
end

local function last_exit(t)
	wait.until_true(function () return not process.alive(t.keeper) end, 15, "the keeper's end")
	return (process.read_file(t.dir .. "/run/gadwall.state") or ""):match("last_exit=(%d+)")
end

describe("on a terminal", function ()
	it("Ctrl-C ends the host gracefully: the workers do not hear it themselves", function ()
		local t <const> = run_on_terminal("lameduck_period = 0.1")
		local worker <const> = accept.pid(t.port)
		unistd.write(t.master, "\3")
		assert.equal("0", last_exit(t))
		local text <const> = unistd.read(t.master, 65536) or ""
		assert.matches("SIGINT", text)
		assert.matches("serving %-> stopping %(SIGINT%)", text)
		assert.not_matches("does nothing in a worker", text)
		assert.is_false(process.alive(worker))
		assert.equal("stopped", state_of(t))
		t.child:destroy()
		process.remove_tree(t.dir)
	end)

	-- tableflip #59, #76: there the parent ends, the shell's prompt comes back and Ctrl-C is lost.
	it("the host has the foreground over an upgrade, and Ctrl-C still ends it", function ()
		local t <const> = run_on_terminal("lameduck_period = 0.1; upgrade_probation = 0.2")
		local function foreground()
			local line <const> = process.read_file(("/proc/%d/stat"):format(t.keeper))
			local group, session, _, terminal_group = line:match "%) %a %d+ (%d+) (%d+) (%d+) (%d+)"
			return ("%s %s %s"):format(group, session, terminal_group)
		end
		local before <const>, worker <const> = foreground(), accept.pid(t.port)
		assert.equal(before:match "^%d+", before:match "%d+$")
		for _ = 1, 2 do
			assert.equal(0, (process.run { timeout = 60, argv = { daemon.binary(), "--socket",
				t.dir .. "/run/gadwall.sock", "upgrade" } }))
		end
		assert.is_true(process.alive(t.keeper))
		assert.equal(before, foreground())
		assert.not_equal(worker, accept.pid(t.port))
		unistd.write(t.master, "\3")
		assert.equal("0", last_exit(t))
		assert.equal("stopped", state_of(t))
		t.child:destroy()
		process.remove_tree(t.dir)
	end)

	it("that goes away the host shuts down, and does not die of it", function ()
		local t <const> = run_on_terminal("lameduck_period = 0.1")
		unistd.close(t.master)
		assert.equal("0", last_exit(t))
		assert.equal("stopped", state_of(t))
		assert.is_nil(process.read_file(t.dir .. "/run/gadwall.pid"))
		t.child:destroy()
		process.remove_tree(t.dir)
	end)

	it("Ctrl-Z and fg suspend and continue it; Ctrl-\\ ends it as SIGTERM does", function ()
		local t <const> = run_on_terminal("lameduck_period = 0.1; worker_timeout = 1")
		local worker <const> = accept.pid(t.port)
		process.kill(t.keeper, "STOP")
		wait.sleep(1.5)
		assert.equal(worker, accept.pid(t.port)) -- it serves on
		process.kill(t.keeper, "CONT")
		wait.sleep(0.3)
		assert.equal(worker, accept.pid(t.port))
		unistd.write(t.master, "\28")
		assert.equal("0", last_exit(t))
		t.child:destroy()
		process.remove_tree(t.dir)
	end)
end)

describe("without standard streams", function ()
	after_each(daemon.finish_all)

	it("the host serves, reloads, restarts a worker and stops", function ()
		for _, how in ipairs { "<&- >&- 2>&-", "<&-", ">&-", "2>&-", "0<&- 2>&-" } do
			local d <const>, port <const> = start("lameduck_period = 0.1", { ready = false,
				wrap = { "sh", "-c", ('exec "$@" %s'):format(how), "sh" } })
			wait.until_true(function () return d:state().state == "serving" end, 10, "serving")
			local pid <const> = accept.pid(port)
			for number = 0, 2 do
				local target <const> = process.fds(pid)[number]
				assert.is_true(target == "/dev/null" or target == d.log_file, how .. ": " .. target)
			end
			process.kill(pid, "KILL")
			accept.next_pid(port, pid)
			d:signal("HUP")
			assert.equal("again", accept.ask(port, "again"))
			d:signal("TERM")
			assert.equal(0, d:wait_exit(), how)
		end
	end)

	it("a reader of the log that is gone or does not read costs no request", function ()
		local d <const>, port <const> = start("log = { debug = '*console' }", { ready = false,
			wrap = { "sh", "-c", 'exec "$@" 2>&1 >&2 | { sleep 0.2; exec sleep 0.1; }', "sh" },
			exit = false })
		local pid
		wait.until_true(function ()
			local ok
			ok, pid = pcall(accept.pid, port, 2)
			return ok
		end, 10, "the service")
		wait.sleep(0.5) -- now the pipe has no reader
		for number = 1, 300 do assert.equal("line " .. number, accept.ask(port, "line " .. number)) end
		assert.equal(pid, accept.pid(port))
		assert.equal("serving", d:state().state)
		process.kill(tonumber(d:state().pid), "TERM")
		wait.until_true(function () return not process.alive(pid) end, 10, "the worker's end")
		wait.until_true(function () return d:state().state == "stopped" end, 10, "the end")
		assert.equal("0", d:state().last_exit)
	end)
end)

describe("a stopped worker", function ()
	after_each(daemon.finish_all)

	it("that continues in time loses nothing; a stop while it stands still ends it", function ()
		local d <const>, port <const> = start(
			"worker_timeout = 8; hammer_time = 1; shutdown_timeout = 0.5", { exit = 75 })
		local pid <const> = accept.pid(port)
		process.kill(pid, "STOP")
		local c <const> = assert(client.tcp("127.0.0.1", port))
		assert(c:send("held\n"))
		wait.sleep(0.3)
		process.kill(pid, "CONT")
		assert.equal("held", c:line())
		assert.equal(pid, accept.pid(port))
		process.kill(pid, "STOP")
		d:signal("TERM")
		assert.equal(75, d:wait_exit(10))
		assert.matches("hammer", d:log())
	end)
end)
