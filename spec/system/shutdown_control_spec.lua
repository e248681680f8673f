-- What can be done while a stop runs: hurry, extend, abort, now; budgets and the hammer.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local holder <const> = [[
module:set_global()
module:hook("shutdown/close-clients", function (event) event:hold("forever") end)
]]

describe("while a stop runs", function()
	after_each(daemon.finish_all)

	local function start(spec)
		spec.enable = spec.enable or { "graceful_shutdown", "lameduck", "holder" }
		spec.modules = spec.modules or { holder = holder }
		return shutdown.start(spec)
	end

	it("the second signal ends the current phase and the log says that a third hammers", function()
		local d = start { exit = 75, config = "lameduck_period = 0.1" }
		local begun = wait.now()
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		wait.sleep(1.1 - (wait.now() - begun)) -- what comes sooner is taken for the same request
		d:signal("TERM")
		d:wait_log("saw shutdown%-hurried")
		assert.equal(75, d:wait_exit(8))
		assert.is_true(wait.now() - begun < 9)
		local report = shutdown.report(d)
		assert.equal(1, report.hurried)
		assert.equal("forever", report.holders[1].hold)
		assert.truthy(d:log():find("hammers", 1, true))
	end)

	it("a storm of signals is one request", function()
		local d = start { enable = { "graceful_shutdown", "lameduck" }, modules = {},
			config = "lameduck_period = 0.4" }
		local c = shutdown.client(d)
		for _ = 1, 30 do d:signal("TERM") end
		assert.equal(0, d:wait_exit(5))
		assert.equal(0, shutdown.report(d).hurried)
		c:close()
	end)

	it("the total budget cuts it, and the status says so", function()
		local d = start { exit = 75, config = "shutdown_timeout = 0.8\nlameduck_period = 0.2" }
		local begun = wait.now()
		d:signal("TERM")
		assert.equal(75, d:wait_exit(8))
		assert.is_true(wait.now() - begun < 8)
		assert.equal("expired", shutdown.report(d).result)
	end)

	it("an extension gives the phase and the whole stop more time", function()
		local d = start { exit = 75, config = "shutdown_timeout = 1\nlameduck_period = 0.2" }
		local control = shutdown.control(d)
		local begun = wait.now()
		control 'return lifecycle.stop("test")'
		d:wait_log("stopping: close%-clients")
		assert.equal("true", control "return lifecycle.extend(1)")
		assert.equal(75, d:wait_exit(8))
		assert.is_true(wait.now() - begun > 1.7)
	end)

	it("it can be aborted until the first listener is closed", function()
		local d = start { enable = { "graceful_shutdown", "lameduck" }, modules = {},
			config = "lameduck_period = 30" }
		local control, c = shutdown.control(d), shutdown.client(d)
		control 'return lifecycle.stop("test")'
		d:wait_log("stopping: lame%-duck")
		assert.equal("stopping", control "return lifecycle.state()")
		assert.equal("lame-duck", control "return lifecycle.phase()")
		assert.equal("false stopping", control "return lifecycle.ready()")
		assert.equal("true", control 'return lifecycle.abort("changed my mind", "console")')
		assert.equal("serving", control "return lifecycle.state()")
		assert.equal("true serving", control "return lifecycle.ready()")
		assert.equal("running", control "return prosody.state")
		c:send("still\n")
		assert.equal("still", c:line())
		assert.same({ "shutdown-aborted" }, shutdown.seen(d, "shutdown-aborted"))
		wait(function() return d:state().state == "serving" end, 2, "the keeper's state")
		-- and the next stop is a first one again
		c:close()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("it cannot be aborted after the first listener was closed, and the answer says so", function()
		local d = start { exit = 75, config = "lameduck_period = 0.1\nshutdown_timeout = 2" }
		local control = shutdown.control(d)
		control 'return lifecycle.stop("test")'
		d:wait_log("stopping: close%-clients")
		local line = control "return lifecycle.abort()"
		assert.equal("nil listener-closed cannot abort: listener already closed "
			.. "(let it end, then run it again)", line)
		d:wait_exit(8)
	end)

	it("now ends every budget, but goodbyes are still written", function()
		local d = start { exit = false, config = "lameduck_period = 30" }
		local control, c = shutdown.control(d), shutdown.client(d)
		local begun = wait.now()
		control 'return lifecycle.stop("at once", nil, { now = true })'
		d:wait_exit(8)
		assert.is_true(wait.now() - begun < 8)
		assert.same({ "bye: at once" }, shutdown.rest(c))
		assert.same({}, shutdown.seen(d, "lameduck-started"))
		c:close()
	end)

	it("now is heard in the same second as the stop that it hurries, and hammers nothing", function()
		local d = start { exit = false,
			config = "lameduck_period = 30; shutdown_timeout = 60; hammer_time = 90" }
		local control, c = shutdown.control(d), shutdown.client(d)
		control 'return lifecycle.stop("slowly")'
		for _ = 1, 3 do control 'return lifecycle.stop("at once", nil, { now = true })' end
		assert.is_number(d:wait_exit(20))
		assert.same({ "bye: slowly" }, shutdown.rest(c))
		assert.is_true(shutdown.report(d).hurried >= 1)
		assert.same({}, d:log_lines("hammer %("))
		c:close()
	end)

	it("now is clean when nobody had to be cut", function()
		local d = start { enable = { "graceful_shutdown", "lameduck" }, modules = {},
			config = "lameduck_period = 30" }
		local control, c = shutdown.control(d), shutdown.client(d)
		control 'return lifecycle.stop("at once", nil, { now = true })'
		assert.equal(0, d:wait_exit(5))
		assert.equal("clean", shutdown.report(d).result)
		c:close()
	end)

	it("the code of the stop is the exit status", function()
		local d = start { enable = { "graceful_shutdown" }, modules = {}, exit = 3 }
		local control = shutdown.control(d)
		control 'return prosody.shutdown("test", 3)'
		assert.equal(3, d:wait_exit(8))
		local report = shutdown.report(d)
		assert.same({ 3, 3, "test", "lua" }, { report.code, report.exit, report.reason, report.origin })
	end)

	it("refuses what a stop does not allow, in one line", function()
		local d = start { exit = 75, config = "lameduck_period = 0.1\nshutdown_timeout = 2" }
		local control = shutdown.control(d)
		assert.truthy(control("return lifecycle.abort()")
			:find("cannot abort: no stop is under way", 1, true))
		assert.truthy(control("return lifecycle.extend(3)"):find("cannot extend: no stop", 1, true))
		control 'return lifecycle.stop("test")'
		d:wait_log("stopping: close%-clients")
		local line = control "return lifecycle.drain()"
		assert.truthy(line:find("cannot drain: stopping %(phase close%-clients, %d+ s left%)"), line)
		assert.truthy(control('return lifecycle.extend("x")'):find("bad-seconds", 1, true))
		for _, verb in ipairs { "upgrade", "rollback" } do
			line = control("return lifecycle." .. verb .. "()")
			assert.truthy(line:find("cannot " .. verb .. ": stopping", 1, true), line)
		end
		d:wait_exit(8)
	end)

	it("its status says phase, time left and who holds", function()
		local d = start { exit = 75, config = "lameduck_period = 0.1\nshutdown_timeout = 2" }
		local control = shutdown.control(d)
		control 'return lifecycle.stop("test")'
		d:wait_log("stopping: close%-clients")
		local text = control 'return require "util.json".encode(lifecycle.stop_status())'
		local status = require "dkjson".decode(text)
		assert.equal("forever", status.holders[1].hold)
		assert.equal("holder", status.holders[1].module)
		assert.is_true(status.left > 0 and status.left <= 2)
		assert.is_true(status.hammer_left > 50)
		assert.equal("ended", status.phases[1].state)
		assert.equal("running", status.phases[3].state)
		assert.equal("close-clients", status.phases[3].phase)
		assert.equal("waiting", status.phases[4].state)
		d:wait_exit(8)
	end)

	it("its plan names every phase and every subscriber without doing anything", function()
		local d = start { exit = 0, enable = { "graceful_shutdown", "lameduck" }, modules = {} }
		local control = shutdown.control(d)
		local text = control 'return table.concat(lifecycle.plan_text(), "|")'
		for _, name in ipairs { "lame-duck", "stop-accepting", "close-clients", "stop-services",
			"quit", "mod_witness", "mod_graceful_shutdown" } do
			assert.truthy(text:find(name, 1, true), name .. " in " .. text)
		end
		assert.truthy(text:find("mod_witness, [^|]*mod_witness%.lua:%d+"), text)
		assert.equal("serving", control "return lifecycle.state()")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(5))
	end)
end)
