-- Exit statuses of the host and of the commands; PID file and state file at each moment.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local enable <const> = '"graceful_shutdown", "lameduck", "admin_socket", "admin_shell"'

local function start(more, spec)
	spec = spec or {}
	spec.port = client.free_port()
	spec.modules = spec.modules or {}
	spec.modules.probe = accept.probe
	spec.config = accept.probe_config(spec.port, "lameduck_period = 0.1; " .. (more or ""),
		enable .. (spec.more_modules or ""))
	return daemon.start(spec), spec.port
end

local function run_host(...)
	return process.run { argv = { daemon.binary(), "run", ... }, timeout = 15 }
end

describe("the status of gadwall run", function ()
	after_each(daemon.finish_all)

	it("is 64 for words and options that it does not know", function ()
		for _, words in ipairs { { "--nonsense" }, { "-c" }, { "extra" }, { "-c", "a", "-x" } } do
			local code, out, err = run_host(table.unpack(words))
			assert.equal(64, code, table.concat(words, " ") .. out .. err)
			assert.is_true(#err > 0)
		end
	end)

	it("is 69 when a port is taken, and the message has the port and what to do", function ()
		local a <const>, port <const> = start()
		local b <const> = daemon.start { expect_exit = true, modules = { probe = accept.probe },
			config = accept.probe_config(port, "", enable) }
		assert.equal(69, b:wait_exit())
		assert.matches("127%.0%.0%.1.*" .. port, b:log())
		assert.matches("probe_ports", b:log())
		assert.is_nil(process.read_file(b.dir .. "/run/gadwall.pid"))
		assert.equal(0, (a:run("status")))
	end)

	it("names all ports that cannot be bound at once", function ()
		local a <const>, port <const> = start()
		local two <const> = [[ for _, name in ipairs { "one", "two" } do
			module:provides("net", { name = name, default_port = %d,
				default_interface = "127.0.0.1", listener = {} }) end ]]
		local b <const> = daemon.start { expect_exit = true, modules = { both = two:format(port) },
			config = 'modules_enabled = { "both" }' }
		assert.equal(69, b:wait_exit())
		assert.matches("one", b:log())
		assert.matches("two", b:log())
		a:stop()
	end)

	it("is 77 for root without a user, with the words that help", function ()
		if unistd.geteuid() ~= 0 then pending("needs root") return end
		local d <const> = daemon.start { raw = true, expect_exit = true, config = "modules_enabled = {}" }
		assert.equal(77, d:wait_exit())
		assert.matches("run_as_root", d:log())
	end)

	it("is 78 for a config with faults, which are all listed", function ()
		local d <const> = daemon.start { expect_exit = true,
			config = 'modules_enabld = {}\nlamduck_period = 3\nechoo_ports = { 1 }\nworkers = "x"' }
		assert.equal(78, d:wait_exit())
		for line = 2, 3 do assert.matches("cfg%.lua:" .. line .. ":", d:log()) end
	end)

	it("is 0 after a clean stop, the code of shutdown, and 75 after a deadline", function ()
		local d = start()
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
		d = start(nil, { exit = 9 })
		d:console("server shutdown because 9")
		assert.equal(9, d:wait_exit())
		local hold <const> = { hold = [[ module:hook_global("server-stopping", function (event)
			event:hold("for ever", 60) end) ]] }
		d = start("shutdown_timeout = 0.7", { exit = 75, modules = hold, more_modules = ', "hold"' })
		d:signal("TERM")
		assert.equal(75, d:wait_exit())
		-- The code that was asked for comes before 75.
		d = start("shutdown_timeout = 0.7", { exit = 8, more_modules = ', "hold"', modules = {
			hold = hold.hold } })
		d:console("server shutdown because 8")
		assert.equal(8, d:wait_exit())
	end)

	it("is 70 when the driver fails, and 0 when a module's handler raises", function ()
		local d = start(nil, { exit = 70, more_modules = ', "driver"', allow = { "." },
				modules = { driver = [[
			module:provides("shutdown-phase", { name = "odd", before = "quit",
				work = function () error("the work of a phase") end })
		]] } })
		d:signal("TERM")
		assert.equal(70, d:wait_exit(), d:log())
		d = start(nil, { exit = 0, more_modules = ', "raises"', allow = { "." }, modules = { raises = [[
			module:hook_global("server-stopping", function () error("a handler") end)
			module:hook_global("shutdown/close-clients", function () error("another") end)
			module:hook_global("server-stopped", function () error({}) end)
			function module.unload() error("unload") end
		]] } })
		d:signal("TERM")
		assert.equal(0, d:wait_exit(), d:log())
		assert.matches('"errors":%[{', d:log())
	end)

	it("is the number that a module gave to os.exit, without a restart", function ()
		local d <const> = start(nil, { exit = 5, ready = false, more_modules = ', "leaves"',
			modules = { leaves = [[ module:add_timer(0.2, function () os.exit(5) end) ]] } })
		assert.equal(5, d:wait_exit())
		assert.equal("0", d:state().restarts)
		assert.equal("5", d:state().last_exit)
	end)

	it("is 0 when a module leaves the loop by server.setquitting", function ()
		local d <const> = start(nil, { ready = false, more_modules = ', "leaves"', modules = { leaves = [[
			module:add_timer(0.2, function () require "net.server".setquitting(true) end) ]] } })
		assert.equal(0, d:wait_exit())
		assert.equal("0", d:state().restarts)
	end)

	it("is 70 when a worker dies before it was ready, and there is no second try", function ()
		local d <const> = daemon.start { expect_exit = true, modules = { dies = [[
			require "posix.signal".kill(require "posix.unistd".getpid(), 9) ]] },
			config = 'modules_enabled = { "dies" }' }
		assert.equal(70, d:wait_exit())
		assert.equal(1, #d:log_lines("worker g1%.1 started"))
	end)
end)

describe("the status of a command", function ()
	after_each(daemon.finish_all)

	local function command(d, ...)
		return process.run { argv = { daemon.binary(), "-c", d.config_file, ... },
			env = { GADWALL_SOCKET = false, GADWALL_CONFIG = false } }
	end

	it("is 3 when nothing runs, whatever is left in the folder", function ()
		local d <const> = start(nil, { exit = false })
		assert.equal(0, (command(d, "status")))
		local worker <const> = d:worker_pid()
		d:signal("KILL")
		d:wait_exit()
		process.kill(worker, "KILL")
		wait.until_true(function () return not process.alive(worker) end)
		for _, words in ipairs { { "status" }, { "stop" }, { "reload" }, { "drain" },
				{ "shell", "uptime" } } do
			local code, out, err = command(d, table.unpack(words))
			assert.equal(3, code, words[1] .. ": " .. out .. err)
			assert.matches("not running", out .. err)
		end
	end)

	it("is 5 for status while draining, with a module in error, and without a worker", function ()
		local d <const>, port <const> = start("restart_backoff = { 5, 5 }; restart_limit = { 1, 30 }", {
			exit = 70, fds = false })
		assert.equal(0, (command(d, "status")))
		assert.equal(0, (command(d, "drain")))
		assert.equal(5, (command(d, "status")))
		assert.equal(0, (command(d, "undrain")))
		assert.equal(0, (command(d, "status")))
		process.kill(accept.pid(port), "KILL")
		wait.until_true(function () return d:state().state == "failed" end)
		local code, out, err = command(d, "status", "--timeout", "1")
		assert.equal(5, code, out .. err)
		assert.matches("failed", out .. err)
		local _, text = command(d, "status", "--json", "--timeout", "1")
		assert.matches('"state":"failed"', text)
	end)

	it("is 5 for status and 4 for others while the worker stands still; stop signals", function ()
		local d <const>, port <const> = start(
			"worker_timeout = 60; hammer_time = 3; shutdown_timeout = 2", { exit = 75, fds = false })
		process.kill(accept.pid(port), "STOP")
		local code, out, err = command(d, "status", "--timeout", "1")
		assert.equal(5, code, out .. err)
		assert.matches("does not answer", out .. err)
		assert.equal(4, (command(d, "reload", "--timeout", "1")))
		code, out, err = command(d, "stop", "--timeout", "1")
		assert.is_true(code == 1 or code == 4, code .. out .. err)
		assert.equal(75, d:wait_exit(10))
	end)

	it("is 0 for a stop that saw a clean end, and 1 for another", function ()
		local d = start()
		assert.equal(0, (command(d, "stop")))
		assert.equal(0, d:wait_exit())
		d = start(nil, { exit = 6 })
		local code, out, err = command(d, "stop", "--code", "6")
		assert.equal(0, code, out .. err) -- clean, with the status that was asked for
		assert.matches("status 6", out .. err)
		assert.equal(6, d:wait_exit())
		d = start("shutdown_timeout = 0.7", { exit = 75, more_modules = ', "hold"', modules = { hold = [[
			module:hook_global("server-stopping", function (event) event:hold("it", 60) end) ]] } })
		code, out, err = command(d, "stop")
		assert.equal(1, code, out .. err)
		assert.matches("75", out .. err)
		assert.equal(75, d:wait_exit())
	end)

	it("is 2 for words that it does not know, with a hint", function ()
		for _, words in ipairs { { "statsu" }, { "status", "--jsn" }, { "new", "thing", "x" } } do
			local code, out, err = process.run { argv = { daemon.binary(), table.unpack(words) } }
			assert.equal(2, code, words[1] .. ": " .. out .. err)
		end
		local _, _, err = process.run { argv = { daemon.binary(), "statsu" } }
		assert.matches("status", err)
	end)
end)

describe("PID file and state file", function ()
	after_each(daemon.finish_all)

	local function pid_file(d)
		return tonumber(process.read_file(d.dir .. "/run/gadwall.pid") or "")
	end

	it("say at each moment who runs and in which state", function ()
		local d <const> = start(nil, { ready = "starting", more_modules = ', "slow"',
				modules = { slow = [[
			module:hook_global("server-starting", function (event)
				local release = event:hold("a slow start", 20)
				module:add_timer(0.5, function () release() end)
			end)
			module:hook_global("server-stopping", function (event)
				local release = event:hold("a slow stop", 20)
				module:add_timer(0.5, function () release() end)
			end) ]] } })
		assert.equal(d.keeper_pid, pid_file(d))
		assert.equal(tostring(d.keeper_pid), d:state().pid)
		local function reaches(state)
			wait.until_true(function () return d:state().state == state end, 5, state)
			assert.equal(d.keeper_pid, pid_file(d))
		end
		reaches("serving")
		assert.equal("1", d:state().workers)
		assert.equal("1", d:state().generation)
		assert.is_true(tonumber(d:state().since) > 1e9)
		d:run("drain")
		reaches("draining")
		d:run("undrain")
		reaches("serving")
		d:signal("TERM")
		reaches("stopping")
		assert.equal(0, d:wait_exit())
		assert.equal("stopped", d:state().state)
		assert.equal("0", d:state().last_exit)
		assert.is_nil(pid_file(d))
		local left <const> = {}
		for name in require "posix.dirent".files(d.dir .. "/run") do
			if stat.S_ISSOCK(stat.lstat(d.dir .. "/run/" .. name).st_mode) ~= 0 then
				left[#left + 1] = name
			end
		end
		assert.same({}, left, "sockets are left")
	end)

	it("that are stale, foreign or odd do not stop a start", function ()
		local wrecks <const> = {
			function (run) process.write_file(run .. "gadwall.pid", "1\n") end,
			function (run) process.write_file(run .. "gadwall.pid", "not a number\n") end,
			function (run) process.write_file(run .. "gadwall.pid", "") end,
			function (run) process.write_file(run .. "gadwall.state", "\0\1\2garbage=\n==\n") end,
			function (run) process.write_file(run .. "state", ("9"):rep(100000)) end,
			function (run) process.write_file(run .. "state", "") end,
			function (run) process.write_file(run .. "active", "77\n") end,
			function (run) process.write_file(run .. "lock", ("x"):rep(5000)) end,
			function (run)
				local fd <const> = assert(require "posix.sys.socket".socket(1, 1, 0))
				require "posix.sys.socket".bind(fd, { family = 1, path = run .. "gadwall.sock" })
				unistd.close(fd)
			end,
			function (run)
				local fd <const> = assert(require "posix.sys.socket".socket(1, 5, 0))
				require "posix.sys.socket".bind(fd, { family = 1, path = run .. "keeper.sock" })
				unistd.close(fd)
			end,
		}
		for number, wreck in ipairs(wrecks) do
			local dir <const> = process.temp_dir()
			stat.mkdir(dir .. "/run", 448)
			wreck(dir .. "/run/")
			local d <const> = start(nil, { dir = dir })
			assert.equal(d.keeper_pid, pid_file(d), "wreck " .. number)
			assert.equal(0, (d:run("status")), "wreck " .. number)
			d:stop()
			process.remove_tree(dir)
		end
	end)

	it("of a host that runs are not touched by a second run, which is told the pid", function ()
		local d <const>, port <const> = start()
		local before <const> = process.read_file(d.dir .. "/run/gadwall.state")
		for _ = 1, 3 do
			local code, out, err = run_host("-c", d.config_file)
			assert.equal(69, code)
			assert.matches("already running with pid " .. d.keeper_pid, out .. err)
		end
		local code, out, err = run_host("-c", d.config_file, "--detach")
		assert.equal(69, code)
		assert.matches(tostring(d.keeper_pid), out .. err)
		assert.equal(before, process.read_file(d.dir .. "/run/gadwall.state"))
		assert.equal(d.keeper_pid, pid_file(d))
		assert.equal("served", accept.ask(port, "served"))
	end)

	it("in a folder that cannot be written are a fault with its name", function ()
		local d <const> = daemon.start { raw = true, expect_exit = true, config = [[ run_as_root = true;
			runtime_path = "/proc/no/such/folder"; data_path = "/proc/none" ]] }
		local code <const> = d:wait_exit()
		assert.is_true(code == 77 or code == 78 or code == 69 or code == 70, "status " .. code)
		assert.matches("/proc/no/such/folder", d:log())
	end)
end)
