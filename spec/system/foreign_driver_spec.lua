-- Modules that drive a stop as Prosody's do: replacing prosody.shutdown, leaving the loop, os.exit.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

-- What a driver of Prosody's community does, in words of our own: a fixed pause between its steps.
local driver <const> = [[
module:set_global()
local timer, server = require "util.timer", require "net.server"
local portmanager = require "core.portmanager"
local pause, original = module:get_option_number("driver_pause", 0.2), prosody.shutdown
local calls = 0
function prosody.shutdown(reason, code)
	calls = calls + 1
	module:log("info", "driver called %d, state %s", calls, prosody.state)
	prosody.shutdown_reason, prosody.shutdown_code = reason, code
	timer.add_task(pause, function ()
		portmanager.deactivate("echo")
		portmanager.deactivate("c2s")
		for _, session in pairs(prosody.full_sessions) do session:close() end
		timer.add_task(pause, function ()
			prosody.events.fire_event("server-stopping", { reason = reason, code = code })
			timer.add_task(pause, function () server.setquitting(true) end)
		end)
	end)
	return true, "shutdown initiated"
end
function module.unload() prosody.shutdown = original end
]]

describe("a foreign driver", function()
	after_each(daemon.finish_all)

	local function start(spec)
		spec.enable, spec.modules = spec.enable or { "driver" }, spec.modules or { driver = driver }
		return shutdown.start(spec)
	end

	it("is called once, drives, and the host ends in order", function()
		local d = start {}
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(1, #d:log_lines("driver called"))
		assert.equal(1, #d:log_lines("driver called 1, state stopping"))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
		local report = shutdown.report(d)
		assert.equal("clean", report.result)
		assert.equal("SIGTERM", report.reason)
	end)

	it("may be one coroutine that its own timer pushes on", function()
		local d = start { modules = { driver = [[
module:set_global()
local timer, server = require "util.timer", require "net.server"
prosody.shutdown = coroutine.wrap(function (reason, code)
	local started = require "util.time".monotonic()
	local function step(name)
		module:log("info", "step %s at %.1f", name, require "util.time".monotonic() - started)
	end
	prosody.shutdown_reason, prosody.shutdown_code = reason, code
	timer.add_task(0.3, prosody.shutdown)
	coroutine.yield(true, "shutdown initiated")
	step "close"
	coroutine.yield(0.3)
	step "stopping"
	prosody.events.fire_event("server-stopping", { reason = reason, code = code })
	coroutine.yield(0.3)
	step "quit"
	server.setquitting(true)
end)
]] } }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		local steps = {}
		for _, line in ipairs(d:log_lines("step ")) do steps[#steps + 1] = line:match("step (.*)") end
		assert.same({ "close at 0.3", "stopping at 0.6", "quit at 0.9" }, steps)
		assert.equal(0, shutdown.report(d).hurried)
	end)

	it("drives alone where mod_graceful_shutdown is enabled too", function()
		local d = start { enable = { "graceful_shutdown", "driver" } }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.same({}, shutdown.seen(d, "shutdown/"))
	end)

	it("is met by its call too, and its code is the exit status", function()
		local d = start { exit = 5 }
		local control = shutdown.control(d)
		assert.equal("true shutdown initiated", control 'return prosody.shutdown("by hand", 5)')
		assert.equal(5, d:wait_exit(8))
		assert.equal("by hand", shutdown.report(d).reason)
	end)

	it("finds hold, remaining and deadline in the event that it fires", function()
		local d = start { enable = { "driver", "asks" }, modules = { driver = driver, asks = [[
module:set_global()
module:hook("server-stopping", function (event)
	local release = event:hold("x")
	module:log("info", "asked %s %s", type(event.deadline), event:remaining() > 0)
	release()
end)
]] } }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(1, #d:log_lines("asked number true"))
	end)

	it("is overtaken by the host when the signal is repeated, not called again", function()
		local d = start { config = "driver_pause = 30" }
		local begun = wait.now()
		d:signal("TERM")
		d:wait_log("driver called")
		wait.sleep(1.1 - (wait.now() - begun))
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(1, #d:log_lines("driver called"))
		assert.equal(1, shutdown.report(d).hurried)
	end)

	it("is overtaken when the budget is over", function()
		local d = start { config = "driver_pause = 30\nshutdown_timeout = 0.5", exit = 75 }
		d:signal("TERM")
		assert.equal(75, d:wait_exit(8))
		assert.equal("expired", shutdown.report(d).result)
	end)

	it("that raises leaves the stop to the host, and the status is 70", function()
		local d = start { exit = 70, allow = { "planted", "traceback" }, modules = { driver = [[
module:set_global()
prosody.shutdown = function () error("planted") end
]] } }
		d:signal("TERM")
		assert.equal(70, d:wait_exit(8))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
	end)

	it("may wrap the host's own function", function()
		local d = start { enable = { "graceful_shutdown", "driver" }, modules = { driver = [[
module:set_global()
local original = prosody.shutdown
function prosody.shutdown(reason, code)
	module:log("info", "wrapped")
	return original(reason, code)
end
]] } }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(1, #d:log_lines("wrapped"))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
	end)

	it("gives the host its function back when it is unloaded", function()
		local d = start { enable = { "graceful_shutdown", "driver" } }
		local control = shutdown.control(d)
		control 'return require "core.modulemanager".unload("*", "driver")'
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(0, #d:log_lines("driver called"))
		assert.truthy(#shutdown.seen(d, "shutdown/") > 0)
	end)
end)

describe("leaving", function()
	after_each(daemon.finish_all)

	it("the loop by setquitting is an orderly stop, and nothing is restarted", function()
		local d = shutdown.start {}
		local c = d:connect(shutdown.port(d, "remote"))
		c:send('require "net.server".setquitting(true)\n')
		assert.equal(0, d:wait_exit(8))
		c:close()
		assert.same({ "server-cleanup", "server-stopped" }, shutdown.seen(d, "server-"))
		assert.equal(1, #d:log_lines("worker g1.1 started"))
		assert.equal("stopped", d:state().state or "stopped")
	end)

	it("by os.exit(n) is an orderly stop with that status", function()
		local d = shutdown.start { exit = 7 }
		local c = d:connect(shutdown.port(d, "remote"))
		c:send("os.exit(7)\n")
		assert.equal(7, d:wait_exit(8))
		assert.equal(7, shutdown.report(d).exit)
		assert.equal(1, #d:log_lines("worker g1.1 started"))
		c:close()
	end)
end)
