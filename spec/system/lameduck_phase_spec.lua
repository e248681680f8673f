local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

describe("lame duck", function()
	after_each(daemon.finish_all)

	local function start(spec)
		spec.enable = spec.enable or { "graceful_shutdown", "lameduck" }
		return shutdown.start(spec)
	end

	local function phase(report, name)
		for _, record in ipairs(report.phases) do
			if record.phase == name then return record end
		end
	end

	it("lasts its whole period while something is in flight, and serves", function()
		local d = start { config = "lameduck_period = 0.6" }
		local control, c = shutdown.control(d), shutdown.client(d)
		d:signal("TERM")
		d:wait_log("saw lameduck%-started")
		assert.equal("false stopping", control "return lifecycle.ready()")
		local late = shutdown.client(d)
		assert.equal(0, d:wait_exit(8))
		local record = phase(shutdown.report(d), "lame-duck")
		assert.is_true(record.seconds >= 0.59 and record.seconds < 2.9)
		assert.equal("clean", record.result)
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(late))
		c:close()
		late:close()
	end)

	it("ends at once on an idle host that nobody probes", function()
		local d = start { config = "lameduck_period = 30" }
		local begun = wait.now()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.is_true(wait.now() - begun < 9)
	end)

	it("ends when the last thing in flight is done", function()
		local d = start { config = "lameduck_period = 30" }
		local c = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("saw lameduck%-started")
		assert.equal(0, #d:log_lines("saw lameduck%-ended"))
		c:close()
		d:wait_log("saw sessions%-idle")
		assert.equal(0, d:wait_exit(5))
		assert.is_true(phase(shutdown.report(d), "lame-duck").seconds < 5)
	end)

	it("waits for work that a module has begun", function()
		local d = start { enable = { "graceful_shutdown", "lameduck", "job" },
			config = "lameduck_period = 30", modules = { job = [[
module:set_global()
local done = module:begin("import")
module:hook("lameduck-started", function ()
	module:add_timer(0.3, function () done() end)
end)
]] } }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(5))
		local record = phase(shutdown.report(d), "lame-duck")
		assert.is_true(record.seconds >= 0.29 and record.seconds < 5)
	end)

	it("keeps its whole period where a probe has come lately", function()
		local d = start { config = "lameduck_period = 0.5" }
		local control = shutdown.control(d)
		control "return lifecycle.probe_seen()"
		d:signal("TERM")
		assert.equal(0, d:wait_exit(5))
		assert.is_true(phase(shutdown.report(d), "lame-duck").seconds >= 0.49)
	end)

	it("is cut short once the last probe is older than lameduck_probe_window", function()
		local d = start { config = "lameduck_period = 30\nlameduck_probe_window = 0.6" }
		local control = shutdown.control(d)
		control "return lifecycle.probe_seen()"
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.is_true(phase(shutdown.report(d), "lame-duck").seconds < 10)
	end)

	it("runs pre-hooks before its period and does not count their time", function()
		local d = start { enable = { "graceful_shutdown", "lameduck", "hook" },
			config = "lameduck_period = 0.5", modules = { hook = [[
module:set_global()
module:hook("lameduck-started", function (event)
	local release = event:hold("deregister")
	module:add_timer(0.4, release)
end)
]] } }
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(5))
		local record = phase(shutdown.report(d), "lame-duck")
		assert.is_true(record.seconds >= 0.89, tostring(record.seconds))
		assert.equal("clean", record.result)
		c:close()
	end)

	it("cuts a pre-hook at lameduck_hook_timeout and says who it was", function()
		local d = start { enable = { "graceful_shutdown", "lameduck", "hook" }, exit = 75,
			config = "lameduck_period = 0.3\nlameduck_hook_timeout = 0.2", modules = { hook = [[
module:set_global()
module:hook("lameduck-started", function (event) event:hold("deregister", 60) end)
]] } }
		d:signal("TERM")
		assert.equal(75, d:wait_exit(5))
		local report = shutdown.report(d)
		assert.equal("expired", phase(report, "lame-duck").result)
		assert.same({ "hook", "deregister", "lame-duck" },
			{ report.holders[1].module, report.holders[1].hold, report.holders[1].phase })
		assert.truthy(d:log():find("saw lameduck%-ended %[result=expired"))
	end)

	it("goes on after a pre-hook that raises: failed in its event, the report, the status", function()
		local d = start { exit = 70, enable = { "graceful_shutdown", "lameduck", "hook" },
			allow = { "planted", "traceback" }, config = "lameduck_period = 0.3", modules = { hook = [[
module:set_global()
module:hook("lameduck-started", function () error("planted") end)
]] } }
		d:signal("TERM")
		assert.equal(70, d:wait_exit(15))
		local report = shutdown.report(d)
		assert.same({ "failed", 70, "failed" },
			{ report.result, report.exit, phase(report, "lame-duck").result })
		assert.equal("clean", phase(report, "quit").result)
		assert.equal("lameduck-started", report.errors[1].event)
		assert.truthy(d:log():find("saw lameduck%-ended %[result=failed"))
	end)

	it("is skipped for a signal that is not in lameduck_signals", function()
		local d = start { config = 'lameduck_period = 30\nlameduck_signals = { "INT" }' }
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.same({}, shutdown.seen(d, "lameduck"))
		assert.is_nil(phase(shutdown.report(d), "lame-duck"))
		c:close()
	end)

	it("is not skipped for a listed signal, nor for a stop by Lua", function()
		local d = start { config = 'lameduck_period = 0.3\nlameduck_signals = { "INT" }' }
		local control, c = shutdown.control(d), shutdown.client(d)
		control 'return lifecycle.stop("test")'
		assert.equal(0, d:wait_exit(8))
		assert.truthy(phase(shutdown.report(d), "lame-duck"))
		c:close()
	end)

	it("gives a signal without a verb the verb shutdown when it is listed", function()
		local d = start { config = 'lameduck_period = 0.3\nlameduck_signals = { "WINCH" }' }
		d:signal("WINCH")
		assert.equal(0, d:wait_exit(8))
		assert.equal("SIGWINCH", shutdown.report(d).reason)
	end)

	it("is skipped by a host that was drained longer than lameduck_period", function()
		local d = start { config = "lameduck_period = 0.2" }
		local control, c = shutdown.control(d), shutdown.client(d)
		control "return lifecycle.drain()"
		wait.sleep(0.3)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.same({}, shutdown.seen(d, "lameduck"))
		c:close()
	end)

	it("is ended by an abort and can begin again", function()
		local d = start { config = "lameduck_period = 30" }
		local control, c = shutdown.control(d), shutdown.client(d)
		for round = 1, 2 do
			control 'return lifecycle.stop("test")'
			wait(function() return #d:log_lines("saw lameduck%-started") == round end, 3, "lame duck")
			assert.equal("true", control "return lifecycle.abort()")
			wait(function() return #d:log_lines("saw lameduck%-ended") == round end, 3, "its end")
			wait.sleep(1.1) -- a stop within a second of the last one is the same one
		end
		c:close()
	end)

	it("does not load with a period of nothing", function()
		local d = start { config = "lameduck_period = 0", allow = { "lameduck" }, ready = false,
			expect_exit = true, exit = false }
		assert.truthy(d:log():find("lameduck_period", 1, true))
	end)
end)
