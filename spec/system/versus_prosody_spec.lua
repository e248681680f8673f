-- What Prosody 0.12 and 13.0 fail at when they stop, and Prosody's own mod_graceful_shutdown:
-- one spec for each.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local function handler(body, priority)
	return ([[
		module:set_global()
		module:hook("server-stopping", function (event) %s end, %d)
	]]):format(body, priority or 0)
end

local reached <const> = handler('module:log("info", "the last handler runs")', -1000)

describe("unlike Prosody", function ()
	after_each(daemon.finish_all)

	local function start(spec)
		spec.config = "lameduck_period = 0.3\n" .. (spec.config or "")
		spec.allow = spec.allow or { "planted", "traceback" }
		return shutdown.with({ "graceful_shutdown", "lameduck" }, spec)
	end

	local function stopped(d, code)
		d:signal("TERM")
		assert.equal(code or 0, d:wait_exit(20))
		return shutdown.report(d)
	end

	it("a server-stopping handler that throws does not keep the process for ever", function ()
		local d <const> = start { modules = { bad = handler('error("planted")'), last = reached } }
		assert.equal("bad", stopped(d).errors[1].module)
		assert.equal(1, #d:log_lines("the last handler runs"))
	end)

	it("a handler that returns something silences nobody below it", function ()
		local d <const> = start { modules = { bad = handler "return true", last = reached } }
		local c <const> = shutdown.client(d)
		stopped(d)
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal(1, #d:log_lines("the last handler runs"))
	end)

	it("a handler that waits for ever has a deadline, and is named", function ()
		local d <const> = start { exit = 75, modules = {
			bad = handler 'event:hold("a stuck store") require "util.async".waiter()()', last = reached,
		}, config = [[ shutdown_phases = { "lame-duck", "stop-accepting", "close-clients",
			{ "stop-services", budget = 0.5 }, "quit" } ]] }
		local report <const> = stopped(d, 75)
		assert.equal("a stuck store", report.holders[1].hold)
		assert.equal("bad", report.holders[1].module)
		assert.equal(1, #d:log_lines("the last handler runs"))
	end)

	it("an HTTP request that is being answered is answered", function ()
		local d <const> = start { modules = { app = [[
			module:depends "http"
			module:provides("http", { default_path = "/", route = {
				["GET /work"] = function () require "util.async".sleep(1) return "done" end,
			} })
		]] }, config = [[ http_ports = { 0 }; http_interfaces = { "127.0.0.1" };
			http_default_host = "localhost"
			VirtualHost "localhost" modules_enabled = { "app" } ]] }
		local c <const> = d:connect(shutdown.port(d, "http"))
		c:send "GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n"
		wait.sleep(0.2)
		assert.equal("clean", stopped(d).result)
		assert.matches("^HTTP/1.1 200 .*\r\n\r\ndone$", (c:read_all(5)))
		c:close()
	end)

	it("buffered writes reach a slow reader", function ()
		local size <const> = 6 * 1024 * 1024
		local d <const> = start { allow = { "A callback took" }, modules = { bulk = ([[
			module:set_global()
			local listener = {}
			function listener.onincoming() end
			function listener.ongoodbye(conn) conn:write(("x"):rep(%d)) end
			module:provides("net", { name = "bulk", default_port = 0, listener = listener,
				default_interface = "127.0.0.1" })
		]]):format(size) }, config = "shutdown_timeout = 40; bulk_interfaces = { '127.0.0.1' }" }
		local c <const> = d:connect(shutdown.port(d, "bulk"))
		c:send "x"
		d:signal("TERM")
		d:wait_log("stopping: quit")
		wait.sleep(1.2) -- the second closeall of 0.12.3 comes after 1 s
		assert.equal(size, #assert(c:read_all(20)))
		assert.equal(0, d:wait_exit(10))
		c:close()
	end)

	it("it says that it is not ready, while it still serves", function ()
		local d <const> = start { config = "lameduck_period = 5" }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		assert.equal("false stopping", control "return lifecycle.ready()")
		local late <const> = assert(client.tcp("127.0.0.1", shutdown.port(d, "echo"), 5))
		late:send "late\n"
		assert.equal("late", late:line())
		late:close()
		c:close()
	end)

	it("a stop can be watched to its last phase, and taken back", function ()
		local d <const> = start { config = "lameduck_period = 20" }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		assert.equal("lame-duck", control "return lifecycle.phase()")
		assert.equal("true", control "return lifecycle.abort()")
		c:send "on\n"
		assert.equal("on", c:line())
		c:close()
		control 'module:hook("shutdown/quit", function (event) event:hold("x", 0.5) end)'
		d:signal("TERM")
		d:wait_log("stopping: quit")
		assert.equal("quit", control "return lifecycle.phase()")
		d.spec.exit = false
		d:wait_exit(10)
	end)

	it("the status says that a deadline has cut something", function ()
		local d <const> = start { exit = 75, config = [[ shutdown_phases = { "stop-accepting",
			{ "close-clients", budget = 0.3 }, "quit" } ]],
			modules = { bad = [[
				module:set_global()
				module:hook("shutdown/close-clients", function (event) event:hold("never") end)
			]] } }
		assert.equal("expired", stopped(d, 75).result)
	end)

	it("a second signal in the middle does not run the shutdown a second time", function ()
		local d <const> = start { exit = false, modules = {
			slow = handler 'module:log("info", "stopping once") require "util.async".sleep(1.5)' } }
		d:signal("TERM")
		d:wait_log("stopping once")
		wait.sleep(1.1)
		d:signal("TERM")
		assert.is_number(d:wait_exit(10))
		assert.equal(1, #d:log_lines("stopping once"))
		assert.equal(1, #d:log_lines("shutdown report:"))
	end)

	it("modules are unloaded, and their ports close before the end", function ()
		local d <const> = start { modules = { last = [[
			module:set_global()
			function module.unload() module:log("info", "unloaded at the end") end
			module:hook("server-stopping", function () require "util.async".sleep(0.5) end)
		]] } }
		local port <const> = shutdown.port(d, "echo")
		d:signal("TERM")
		d:wait_log("saw server%-stopping")
		assert.is_nil((client.tcp("127.0.0.1", port, 5)))
		assert.equal(0, d:wait_exit(10))
		assert.equal(1, #d:log_lines("unloaded at the end"))
	end)
end)

describe("unlike Prosody's mod_graceful_shutdown", function ()
	after_each(daemon.finish_all)

	it("the PID file and the final events are taken care of", function ()
		local d <const> = shutdown.start {}
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
	end)

	it("three quick signals skip no phase", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "lameduck" },
			config = "lameduck_period = 0.5" }
		local c <const> = shutdown.client(d)
		for _ = 1, 3 do d:signal("TERM") end
		assert.equal(0, d:wait_exit(10))
		local report <const> = shutdown.report(d)
		assert.equal(5, #report.phases)
		assert.is_true(report.phases[1].seconds >= 0.49)
		c:close()
	end)

	it("a host without connections does not sit out its pauses", function ()
		local d <const> = shutdown.start { config = "shutdown_pause = 30" }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.is_true(shutdown.report(d).seconds < 5)
	end)

	it("no client port accepts after the first phase, whatever its service is called", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "own" },
			config = "own_interfaces = { '127.0.0.1' }", modules = { own = [[
				module:set_global()
				module:provides("net", { name = "own", default_port = 0,
					listener = { onincoming = function () end } })
				module:hook("shutdown/close-clients", function (event) event:hold("a while", 1) end)
			]] }, exit = false }
		local port <const> = shutdown.port(d, "own")
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		assert.is_nil((client.tcp("127.0.0.1", port, 5)))
		d:wait_exit(10)
	end)
end)
