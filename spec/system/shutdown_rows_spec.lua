-- Who drives a stop: with neither of the two modules, with one of them, with both.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"

describe("a stop", function()
	after_each(daemon.finish_all)

	it("without any shutdown module has Prosody's order and says so once", function()
		local d = shutdown.start { enable = {} }
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
		assert.same({}, shutdown.seen(d, "shutdown/"))
		assert.equal(1, #d:log_lines("no shutdown module is enabled"))
		assert.same({}, shutdown.rest(c))
		local report = shutdown.report(d)
		assert.equal("clean", report.result)
		assert.equal("SIGTERM", report.reason)
		assert.equal("signal SIGTERM", report.origin)
		assert.same({ "starting serving", "serving stopping" }, shutdown.moves(d))
		c:close()
	end)

	it("with mod_lameduck only has the lame-duck phase, then Prosody's order", function()
		local d = shutdown.start { enable = { "lameduck" }, config = "lameduck_period = 0.4" }
		local c = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("saw lameduck%-started")
		c:send("still served\n")
		assert.equal("still served", c:line())
		assert.equal(0, d:wait_exit(10))
		local report = shutdown.report(d)
		assert.equal("lame-duck", report.phases[1].phase)
		assert.is_true(report.phases[1].seconds >= 0.39)
		assert.same({ "lameduck-started", "lameduck-ended" }, shutdown.seen(d, "lameduck-"))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
		assert.equal(0, #d:log_lines("no shutdown module is enabled"))
		c:close()
	end)

	it("with mod_graceful_shutdown only runs from stop-accepting to quit", function()
		local d = shutdown.start {}
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.same({ "shutdown/stop-accepting", "shutdown/close-clients", "shutdown/stop-services",
			"shutdown/quit" }, shutdown.seen(d, "shutdown/"))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		local report = shutdown.report(d)
		assert.equal("clean", report.result)
		assert.equal(1, report.phases[2].closed.goodbye)
		assert.equal(0, #d:log_lines("no shutdown module is enabled"))
		c:close()
	end)

	it("with both runs all phases", function()
		local d = shutdown.start { enable = { "graceful_shutdown", "lameduck" },
			config = "lameduck_period = 0.3" }
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.same({ "shutdown/lame-duck", "shutdown/stop-accepting", "shutdown/close-clients",
			"shutdown/stop-services", "shutdown/quit" }, shutdown.seen(d, "shutdown/"))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		c:close()
	end)
end)
