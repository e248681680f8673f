-- What blockyard's Drainer gets wrong; what
-- is about its two servers has its specs with the upgrade.
local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local module_of <const> = shutdown.global

describe("unlike blockyard", function ()
	after_each(daemon.finish_all)

	it("a balancer can see the word before a listener closes", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "lameduck" },
			config = "lameduck_period = 1" }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		assert.equal("false stopping", control "return lifecycle.ready()")
		assert.equal(0, #d:log_lines("saw listener%-closed"))
		c:close()
		assert.equal(0, d:wait_exit(10))
	end)

	it("a drain can keep newcomers out itself", function ()
		local d <const> = shutdown.start { config = "drain_refuses_new = true" }
		local control <const>, old <const> = shutdown.control(d), shutdown.client(d)
		control "return lifecycle.drain()"
		local new <const> = assert(client.tcp("127.0.0.1", shutdown.port(d, "echo"), 5))
		assert.same({ "bye: draining" }, shutdown.rest(new))
		old:send "on\n"
		assert.equal("on", old:line())
		old:close()
	end)

	it("what watches the stop goes last, not first", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "hold" },
			config = "shutdown_timeout = 2", modules = { hold = module_of [[
				module:hook("server-stopping", function (event) event:hold("a store") end)
			]] } }
		local control <const> = shutdown.control(d)
		d:signal("TERM")
		d:wait_log("stopping: stop%-services")
		assert.is_nil((client.tcp("127.0.0.1", shutdown.port(d, "echo"), 2)))
		assert.equal("stop-services", control "return lifecycle.phase()")
		local probe <const> = assert(client.tcp("127.0.0.1", shutdown.port(d, "remote"), 5))
		probe:send "return lifecycle.ready()\n"
		assert.equal("false stopping", probe:line())
		probe:close()
		assert.equal(75, d:wait_exit(10))
	end)

	it("work that never ends has a deadline and is counted", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "job" },
			config = [[ shutdown_phases = { "stop-accepting", "close-clients",
				{ "stop-services", budget = 0.5 }, "quit" } ]],
			modules = { job = module_of 'prosody.never = module:begin("a job")' } }
		d:signal("TERM")
		assert.equal(75, d:wait_exit(10))
		local report <const> = shutdown.report(d)
		assert.equal(1, report.lost.jobs)
		assert.equal("job", report.holders[1].module)
	end)

	it("a background job and a flush of telemetry that never end have their deadlines", function ()
		local d <const> = shutdown.with({ "graceful_shutdown" }, { exit = 75, modules = {
			stuck = module_of [[
				module:background("endless", { timeout = 0.3, start = function () end,
					cancel = function () return false end })
				module:provides("telemetry", { name = "dead", timeout = 0.3, flush = function ()
					return require "util.promise".new(function () end)
				end })
			]] } })
		d:signal("USR1") -- finish, where blockyard has no deadline at all
		assert.equal(75, d:wait_exit(30))
		local held <const> = {}
		for _, holder in ipairs(shutdown.report(d).holders) do held[holder.hold] = holder.module end
		assert.same({ ["job endless"] = "stuck", ["telemetry dead"] = "stuck" }, held)
	end)

	it("a drained host is alive for those who would kill a dead one", function ()
		local d <const> = admin_http.start()
		assert.equal(0, (d:run "drain"))
		assert.equal(503, (admin_http.ask(d, "GET /readyz")))
		assert.equal(200, (admin_http.ask(d, "GET /livez")))
		d:stop()
	end)

	it("whoever has a drained host's name on the same machine is not it", function ()
		local a <const>, b <const> = admin_http.start(), admin_http.start()
		local one <const>, other <const> = a:status().server_id, b:status().server_id
		assert.equal(one:match("^(.*)%-%x+$"), other:match("^(.*)%-%x+$"))
		assert.are_not.equal(one, other)
		a:stop()
		b:stop()
	end)

	it("what is stuck in one phase does not take the time of the next", function ()
		local d <const> = shutdown.start { exit = 75, enable = { "graceful_shutdown", "stuck" },
			config = [[ shutdown_timeout = 6; shutdown_phases = { "stop-accepting",
				{ "close-clients", budget = 0.5 }, { "stop-services", budget = 3 }, "quit" } ]],
			modules = { stuck = module_of [[
				module:hook("shutdown/close-clients", function (event) event:hold("stuck") end)
				module:hook("server-stopping", function (event)
					module:log("info", "there are %.1f s left", event:remaining())
				end)
			]] } }
		d:signal("TERM")
		assert.equal(75, d:wait_exit(10))
		local left <const> = tonumber(d:log():match("there are ([%d.]+) s left"))
		assert.is_true(left > 2, left .. " s left")
	end)

	it("the idle wait hears of the last session at once, and of an undrain", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown" } }
		local control <const>, c <const> = shutdown.control(d), shutdown.client(d)
		control "return lifecycle.finish()"
		wait.until_true(function () return d:state().state == "finishing" end, 5, "finishing")
		assert.equal("true", control "return lifecycle.undrain()")
		assert.equal("serving", control "return lifecycle.state()")
		control "return lifecycle.finish()"
		c:close()
		assert.equal(0, d:wait_exit(10))
		assert.equal("clean", shutdown.report(d).result)
	end)

	it("TERM in the idle wait is heard", function ()
		local d <const> = shutdown.start {}
		local c <const> = shutdown.client(d)
		d:signal("USR1")
		wait.until_true(function () return d:state().state == "finishing" end, 5, "finishing")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
	end)

	it("finish destroys nothing that a successor needs", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "evict" }, modules = {
			evict = module_of [[
				module:hook("server-stopping", function (event)
					module:log("info", "evict is %s", event.evict)
				end)
			]] } }
		d:signal("USR1")
		assert.equal(0, d:wait_exit(10))
		assert.equal(1, #d:log_lines("evict is false"))
		assert.is_false(shutdown.report(d).evict)
	end)

	it("every end has a result that a program can read", function ()
		for _, code in ipairs { 0, 75 } do
			local d <const> = shutdown.start { exit = code, enable = { "graceful_shutdown", "maybe" },
				config = [[ shutdown_phases = { "stop-accepting", { "close-clients", budget = 0.2 },
					"quit" } ]],
				modules = { maybe = module_of(([[
					module:hook("shutdown/close-clients", function (event)
						if %d == 75 then event:hold("never") end
					end) ]]):format(code)) } }
			d:signal("TERM")
			assert.equal(code, d:wait_exit(10))
			local report <const> = shutdown.report(d)
			assert.same({ code == 0 and "clean" or "expired", code }, { report.result, report.exit })
		end
	end)
end)
