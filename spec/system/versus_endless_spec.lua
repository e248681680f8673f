-- What github.com/fvbock/endless gets wrong; its upgrade
-- has its own specs.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local tls <const> = require "spec.support.tls"
local wait <const> = require "spec.support.wait"

local module_of <const> = shutdown.global

describe("unlike endless", function ()
	after_each(daemon.finish_all)

	it("a second TERM does something", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "hold" },
			modules = { hold = shutdown.holder() } }
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		wait.sleep(1.1)
		d:signal("TERM")
		assert.equal(75, d:wait_exit(10))
	end)

	it("TERM in the middle of the start is not ignored", function ()
		local d <const> = shutdown.start { ready = "starting", enable = { "slow" }, modules = {
			slow = module_of 'module:hook("server-starting", function (event) event:hold("never") end)' } }
		d:wait_log("worker g1.1 started")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
	end)

	it("Ctrl-Z suspends, and fg goes on", function ()
		local d <const> = shutdown.start {}
		local c <const> = shutdown.client(d)
		local function is_stopped()
			return process.read_file(("/proc/%d/stat"):format(d.keeper_pid)):find("%) T ") ~= nil
		end
		d:signal("TSTP")
		wait.until_true(is_stopped, 5, "a suspended keeper")
		c:send "meanwhile\n"
		assert.equal("meanwhile", c:line())
		d:signal("CONT")
		wait.until_true(function () return not is_stopped() end, 5, "a continued keeper")
		c:close()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
	end)

	it("a hook knows what it is about, and can veto with a reason", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "veto" }, modules = {
			veto = module_of [[
				local first = true
				module:hook("signal-before/SIGTERM", function (event)
					if first then
						first = false
						return ("not %s while %s"):format(event.verb, event.state)
					end
				end)
			]] } }
		d:signal("TERM")
		d:wait_log("SIGTERM: veto: not shutdown while serving")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
	end)

	it("a hook that blocks keeps no signal back for long", function ()
		local d <const> = shutdown.start { exit = false, allow = { "A callback took", "traceback" },
			enable = { "graceful_shutdown", "block" }, config = "callback_timeout = 60",
			modules = { block = module_of [[
				module:hook("signal-before/SIGTERM", function ()
					local time = require "util.time"
					local till = time.monotonic() + 4
					while time.monotonic() < till do end
				end)
			]] } }
		d:signal("TERM")
		d:wait_log("no answer of the hooks", 10)
		assert.is_number(d:wait_exit(20))
	end)

	it("a hook runs once for a signal, however many listeners there are", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "once" }, config = [[
				many_ports = { 0, 0, 0, 0 }; many_interfaces = { "127.0.0.1" } ]],
			modules = { once = module_of [[
				module:provides("net", { name = "many", default_port = 0, listener = {} })
				for _, name in ipairs { "signal-before/SIGHUP", "signal/SIGHUP", "signal-after/SIGHUP" } do
					module:hook(name, function () module:log("info", "heard %s", name) end)
				end
			]] } }
		d:signal("HUP")
		d:wait_log("heard signal%-after/SIGHUP")
		assert.equal(3, #d:log_lines("heard signal"))
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
	end)

	it("no signal of several that come at once is lost", function ()
		local names <const> = { "HUP", "USR1", "USR2", "WINCH", "URG", "ALRM" }
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "all" }, config = [[
				signals = { SIGUSR1 = "none", SIGUSR2 = "none", SIGHUP = "reopen-logs", SIGWINCH = "drain",
					SIGURG = "undrain", SIGALRM = "reload" } ]],
			modules = { all = module_of [[
				for _, name in ipairs { "HUP", "USR1", "USR2", "WINCH", "URG", "ALRM" } do
					module:hook("signal-before/SIG" .. name, function ()
						module:log("info", "heard %s.", name)
					end)
				end
			]] } }
		for _, name in ipairs(names) do d:signal(name) end
		for _, name in ipairs(names) do d:wait_log("heard " .. name .. "%.") end
	end)

	it("the hammer means something in its state only, and by default only there", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "hold" },
			config = 'signals = { SIGUSR2 = { stopping = "hammer" } }',
			modules = { hold = shutdown.holder() } }
		d:signal("USR2")
		wait.sleep(0.3)
		assert.equal("serving", d:state().state)
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		d:signal("USR2")
		assert.equal(75, d:wait_exit(10))
		assert.equal(1, #d:log_lines("hammer %(SIGUSR2%)"))
	end)

	it("what a deadline closes hears a goodbye first, and a late close harms nothing", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "late" },
			config = [[ late_interfaces = { "127.0.0.1" }
				shutdown_phases = { "stop-accepting", { "close-clients", budget = 0.4 }, "quit" } ]],
			modules = { late = module_of [[
				local kept = {}
				local listener = { onincoming = function (conn) conn:write("hi\n") kept[conn] = true end }
				function listener.ongoodbye(conn) conn:write("goodbye\n") return true end
				module:provides("net", { name = "late", default_port = 0, listener = listener })
				module:hook("server-stopped", function ()
					for conn in pairs(kept) do conn:close() conn:close() end
				end)
			]] } }
		local c <const> = d:connect(shutdown.port(d, "late"))
		c:send "x"
		assert.equal("hi", c:line())
		d:signal("TERM")
		assert.same({ "goodbye" }, shutdown.rest(c))
		assert.equal(75, d:wait_exit(10))
		assert.equal(1, shutdown.report(d).phases[2].closed.forced)
	end)

	it("a new port in the config is served after HUP, and nothing is said of a closed one", function ()
		local old <const>, new <const> = client.free_port(), client.free_port()
		local function config(port)
			return ([[ modules_enabled = { "echo", "graceful_shutdown" }; echo_ports = { %d }
				echo_interfaces = { "127.0.0.1" } ]]):format(port)
		end
		local d <const> = daemon.start { config = config(old) }
		local c <const> = assert(client.tcp("127.0.0.1", old, 5))
		c:send "a\n"
		assert.equal("a", c:line())
		d:write_config(config(new))
		d:signal("HUP")
		wait.until_true(function ()
			local other <const> = client.tcp("127.0.0.1", new, 1)
			if other then other:close() end
			return other
		end, 10, "the new port")
		wait.until_true(function ()
			local other <const> = client.tcp("127.0.0.1", old, 1)
			if other then other:close() end
			return not other
		end, 10, "the end of the old port")
		c:send "b\n"
		assert.equal("b", c:line())
		c:close()
		assert.equal(0, #d:log_lines("error"))
		d:stop()
	end)

	it("every listener is announced, those under TLS and on a path too", function ()
		local dir <const> = process.temp_dir()
		local files <const> = tls.make(dir, "a.example")
		local path <const> = dir .. "/many.sock"
		local d <const> = shutdown.with({ "graceful_shutdown" }, { modules = { many = module_of [[
			module:hook("listener-opened", function (event)
				module:log("info", "opened %s %s", event.service, event.interface)
			end)
			module:provides("net", { name = "many", default_port = 0, listener = {} })
			module:provides("net", { name = "many_tls", default_port = 0, encryption = "ssl",
				listener = {} })
		]] }, config = ([[
			many_interfaces = { "127.0.0.1", %q }; many_ports = { 0 }
			many_tls_interfaces = { "127.0.0.1" }; many_tls_ports = { 0 }
			ssl = { certificate = %q; key = %q }
		]]):format(path, files.certificate, files.key) })
		d:wait_log("opened many 127%.0%.0%.1")
		d:wait_log("opened many " .. path:gsub("%p", "%%%0"))
		d:wait_log("opened many_tls 127%.0%.0%.1")
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		process.remove_tree(dir)
	end)

	it("a Unix socket is a listener like any other, and its path goes at the end", function ()
		local path <const> = os.tmpname() .. ".sock"
		local d <const> = daemon.start { config = ([[
			modules_enabled = { "echo", "graceful_shutdown" }; echo_interfaces = { %q } ]]):format(path) }
		local c <const> = assert(client.unix(path))
		c:send "x\n"
		assert.equal("x", c:line())
		d:signal("TERM")
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal(0, d:wait_exit(10))
		c:close()
		assert.is_nil((client.unix(path)))
	end)
end)
