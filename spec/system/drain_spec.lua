local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

describe("drain", function()
	after_each(daemon.finish_all)

	it("takes readiness away, serves on, and undrain brings everything back", function()
		local d = shutdown.start {}
		local control, c = shutdown.control(d), shutdown.client(d)
		assert.equal("true", control 'return lifecycle.drain(nil, "maintenance", "console")')
		assert.equal("draining", control "return lifecycle.state()")
		assert.equal("false draining", control "return lifecycle.ready()")
		assert.equal("running", control "return prosody.state")
		local late = shutdown.client(d)
		c:send("x\n")
		assert.equal("x", c:line())
		assert.equal("true", control "return lifecycle.drain()")
		assert.equal("true", control "return lifecycle.undrain()")
		assert.equal("true serving", control "return lifecycle.ready()")
		assert.equal("true", control "return lifecycle.undrain()")
		assert.same({ "drain-started", "drain-ended" }, shutdown.seen(d, "drain-"))
		assert.same({ "starting serving", "serving draining", "draining serving" }, shutdown.moves(d))
		c:close()
		late:close()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("of one service leaves the host ready and that service not", function()
		local d = shutdown.start {}
		local control = shutdown.control(d)
		assert.equal("true", control 'return lifecycle.drain("echo")')
		assert.equal("true serving", control "return lifecycle.ready()")
		assert.equal("false draining", control 'return lifecycle.ready("echo")')
		assert.equal("serving", control "return lifecycle.state()")
		assert.equal("true", control 'return lifecycle.undrain("echo")')
		assert.equal("true serving", control 'return lifecycle.ready("echo")')
		local line = control 'return lifecycle.drain("nothing")'
		assert.truthy(line:find("cannot drain: no service or module 'nothing'", 1, true), line)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("of one service is not forgotten when the whole host was drained meanwhile", function()
		local d = shutdown.start {}
		local control = shutdown.control(d)
		assert.equal("true", control "return lifecycle.drain()")
		assert.equal("true", control 'return lifecycle.drain("echo")')
		assert.equal("true", control "return lifecycle.undrain()")
		assert.equal("true serving", control "return lifecycle.ready()")
		assert.equal("false draining", control 'return lifecycle.ready("echo")')
		assert.equal("true", control 'return lifecycle.undrain("echo")')
		assert.equal("true serving", control 'return lifecycle.ready("echo")')
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15))
	end)

	it("refuses newcomers with a goodbye if drain_refuses_new is set, until undrain", function()
		local d = shutdown.start { config = "drain_refuses_new = true" }
		local control, old = shutdown.control(d), shutdown.client(d)
		for _, service in ipairs { "nil", '"echo"' } do
			control(("return lifecycle.drain(%s)"):format(service))
			local late = d:connect(shutdown.port(d, "echo"))
			assert.same({ "bye: draining" }, shutdown.rest(late))
			late:close()
			old:send("still\n")
			assert.equal("still", old:line())
			control(("return lifecycle.undrain(%s)"):format(service))
			shutdown.client(d):close()
		end
		old:close()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("tells when the last session of the drained host has gone", function()
		local d = shutdown.start {}
		local control, c = shutdown.control(d), shutdown.client(d)
		control "return lifecycle.drain()"
		assert.equal(0, #d:log_lines("saw sessions%-idle"))
		c:close()
		d:wait_log("saw sessions%-idle")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("asked for while the host starts begins when it is ready", function()
		local d = shutdown.start { ready = "draining", modules = { early = [[
module:set_global()
module:hook("server-starting", function (event)
	local release = event:hold("warm up")
	local lifecycle = require "core.lifecycle"
	lifecycle.drain(nil, "early")
	module:add_timer(0.2, function ()
		lifecycle.drain("echo", "early")
		lifecycle.drain("remote", "early")
		lifecycle.undrain("remote")
		release()
	end)
end, -100)
]] }, enable = { "graceful_shutdown", "early" } }
		assert.same({ "starting serving", "serving draining" }, shutdown.moves(d))
		local control = shutdown.control(d)
		assert.equal("true", control "return lifecycle.undrain()")
		assert.equal("false draining", control 'return lifecycle.ready("echo")')
		assert.equal("true serving", control 'return lifecycle.ready("remote")')
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)
end)

describe("a drain", function()
	after_each(daemon.finish_all)

	it("outlives the worker that it was told to: the next one never serves", function()
		local d = shutdown.start { exit = false, fds = false, enable = { "single" }, modules = {
			single = [[
module:set_global()
module:singleton("job", function () module:log("info", "the job runs") end)
]] } }
		assert.equal(1, #d:log_lines("the job runs"))
		local control = shutdown.control(d)
		control "return lifecycle.drain()"
		wait(function() return d:state().state == "draining" end, 3, "draining")
		local old = d:worker_pid()
		require "posix.signal".kill(old, 9)
		wait(function()
			return d:worker_pid() and d:worker_pid() ~= old and d:state().state == "draining"
				and #d:log_lines("as before the restart") > 0
		end, 5, "a drained worker")
		assert.equal(1, #d:log_lines("keeper.*%-> serving"), d:log())
		assert.equal(1, #d:log_lines("the job runs"))
		d:signal("TERM")
		d:wait_exit(8)
	end)
end)

describe("finish", function()
	after_each(daemon.finish_all)

	it("ends an idle host at once, through draining, and evicts nothing", function()
		local d = shutdown.start {}
		d:signal("USR1")
		assert.equal(0, d:wait_exit(8))
		assert.same({ "starting serving", "serving draining", "draining finishing" }, shutdown.moves(d))
		assert.truthy(d:log():find("saw finish%-ended %[result=clean"))
		assert.truthy(d:log():find("saw server%-stopping %[reason=SIGUSR1 evict=false"))
		local report = shutdown.report(d)
		assert.same({ "finish", false, "clean", 0 },
			{ report.verb, report.evict, report.result, report.exit })
		assert.same({}, shutdown.seen(d, "shutdown-started"))
	end)

	it("waits for the last session", function()
		local d = shutdown.start {}
		local c = shutdown.client(d)
		d:signal("USR1")
		d:wait_log("saw finish%-started")
		c:send("still\n")
		assert.equal("still", c:line())
		wait.sleep(0.3)
		assert.equal(0, #d:log_lines("saw finish%-ended"))
		c:close()
		assert.equal(0, d:wait_exit(8))
		assert.truthy(d:log():find("saw finish%-ended %[result=clean"))
	end)

	it("says goodbye to what is left when finish_idle_wait is over", function()
		local d = shutdown.start { config = "finish_idle_wait = 0.3", exit = 75 }
		local c = shutdown.client(d)
		d:signal("USR1")
		assert.equal(75, d:wait_exit(8))
		assert.same({ "bye: SIGUSR1" }, shutdown.rest(c))
		assert.truthy(d:log():find("saw finish%-ended %[result=expired"))
		c:close()
	end)

	it("does not wait with finish_idle_wait = 0", function()
		local d = shutdown.start { config = "finish_idle_wait = 0" }
		local c = shutdown.client(d)
		d:signal("USR1")
		assert.equal(0, d:wait_exit(8))
		assert.same({ "bye: SIGUSR1" }, shutdown.rest(c))
		c:close()
	end)

	it("can be taken back while it waits", function()
		local d = shutdown.start {}
		local control, c = shutdown.control(d), shutdown.client(d)
		assert.equal("true", control "return lifecycle.finish()")
		assert.equal("finishing", control "return lifecycle.state()")
		assert.equal("true", control "return lifecycle.undrain()")
		assert.equal("serving", control "return lifecycle.state()")
		c:close()
		wait.sleep(0.2)
		assert.equal("serving", control "return lifecycle.state()")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("becomes a stop when one is asked for while it waits", function()
		local d = shutdown.start {}
		local c = shutdown.client(d)
		d:signal("USR1")
		d:wait_log("saw finish%-started")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal("shutdown", shutdown.report(d).verb)
		assert.is_true(shutdown.report(d).evict)
		c:close()
	end)
end)
