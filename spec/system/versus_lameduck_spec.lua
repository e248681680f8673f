-- What toolman.org/net/lameduck gets wrong.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

describe("unlike lameduck", function ()
	after_each(daemon.finish_all)

	local function start(spec)
		return shutdown.with({ "graceful_shutdown", "lameduck" }, spec)
	end

	it("ready means that the listeners listen", function ()
		local d <const> = start { modules = { early = [[
			module:set_global()
			module:on_ready(function ()
				local portmanager, socket = require "core.portmanager", require "posix.sys.socket"
				local all = true
				for _, handle in ipairs(require "net.server".servers()) do
					local fd = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
					all = all and 0 == socket.connect(fd,
						{ family = socket.AF_INET, addr = "127.0.0.1", port = handle:serverport() })
				end
				module:log("info", "every connect is taken: %s", all)
			end)
		]] } }
		d:wait_log("every connect is taken: true")
	end)

	it("a pre-hook's time does not come out of the period", function ()
		local d <const> = start { config = "lameduck_period = 0.6; lameduck_hook_timeout = 5",
			modules = { hook = [[
				module:set_global()
				module:hook("lameduck-started", function (event)
					module:add_timer(0.5, event:hold("deregister"))
				end)
			]] } }
		local c <const> = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15))
		assert.is_true(shutdown.report(d).phases[1].seconds >= 1.09)
		c:close()
	end)

	it("several hooks run, and one that fails costs the others nothing", function ()
		local function hook(body)
			return ('module:set_global() module:hook("lameduck-started", function (event) %s end)')
				:format(body)
		end
		local d <const> = start { exit = 70, allow = { "planted", "traceback" },
			config = "lameduck_period = 0.2",
			modules = { one = hook 'module:log("info", "hook one")', two = hook 'error("planted")',
				three = hook 'module:log("info", "hook three")' } }
		d:signal("TERM")
		assert.equal(70, d:wait_exit(15))
		assert.equal(2, #d:log_lines("hook %l+$"))
		assert.equal("two", shutdown.report(d).errors[1].module)
	end)

	it("a stop that no signal began tells everyone goodbye all the same", function ()
		local d <const> = start { config = "lameduck_period = 0.2" }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		control 'return prosody.shutdown("by a module")'
		assert.equal(0, d:wait_exit(15))
		assert.same({ "bye: by a module" }, shutdown.rest(c))
		assert.equal("lame-duck", shutdown.report(d).phases[1].phase)
	end)

	it("a service that leaves the loop by itself ends the host", function ()
		local d <const> = start {}
		local control <const> = shutdown.control(d)
		control 'require "util.timer".add_task(0, function () require "net.server".setquitting(true) end)'
		assert.equal(0, d:wait_exit(15))
		assert.equal("0", d:state().restarts)
	end)

	it("a service that ignores its deadline does not keep the host", function ()
		local d <const> = start { exit = 75, config = "lameduck_period = 0.2; shutdown_timeout = 1",
			modules = { deaf = [[
				module:set_global()
				module:hook("server-stopping", function () require "util.async".waiter()() end)
			]] } }
		d:signal("TERM")
		assert.equal(75, d:wait_exit(15))
	end)

	it("what has expired is closed, also when the answer to that is an error", function ()
		local d <const> = start { exit = 75, allow = { "planted", "on_expire" },
			config = [[ shutdown_phases = { "stop-accepting", { "close-clients", budget = 0.4 }, "quit" } ]],
			modules = { wrapped = [[
				module:set_global()
				module:hook("shutdown/close-clients", function (event)
					event:hold("wrapped", 30, function () error("planted") end)
				end)
			]] } }
		local c <const> = shutdown.client(d)
		d:signal("TERM")
		assert.equal(75, d:wait_exit(15))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal("expired", shutdown.report(d).result)
	end)

	it("the second signal hurries, it does not kill by default action", function ()
		local d <const> = start { exit = false, config = "lameduck_period = 8" }
		local c <const> = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		wait.sleep(1.1)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15)) -- lame duck alone was cut: nobody has lost anything
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal(1, shutdown.report(d).hurried)
	end)

	it("a host without any log stops in order", function ()
		local d <const> = start { config = "log = {}; lameduck_period = 0.3", ready = "serving" }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15))
		assert.equal("clean", shutdown.report(d).result)
	end)

	it("two stops at once are one", function ()
		local d <const> = start { config = "lameduck_period = 0.5" }
		local control <const> = shutdown.control(d)
		local c <const> = shutdown.client(d)
		control 'lifecycle.stop("first") return lifecycle.stop("second")'
		assert.equal(0, d:wait_exit(15))
		local report <const> = shutdown.report(d)
		assert.same({ "first", 0 }, { report.reason, report.hurried })
		c:close()
	end)

	it("there is a time in which it is not ready and still serves newcomers", function ()
		local d <const> = start { config = "lameduck_period = 3" }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		assert.equal("false stopping", control "return lifecycle.ready()")
		local late <const> = assert(client.tcp("127.0.0.1", shutdown.port(d, "echo"), 5))
		late:send "late\n"
		assert.equal("late", late:line())
		late:close()
		c:close()
		assert.equal(0, d:wait_exit(15))
	end)
end)
