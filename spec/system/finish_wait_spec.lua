-- The idle wait of finish as people see it, what ends it, and drains without number.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local shell <const> = { "graceful_shutdown", "admin_shell" }

local function clients(d, count)
	local list = {}
	for i = 1, count do list[i] = shutdown.client(d) end
	return list
end

describe("the idle wait of finish", function ()
	after_each(daemon.finish_all)

	it("says how many are left: in the log, in status, to who waits, in the report", function ()
		local d = shutdown.start { enable = shell }
		local list = clients(d, 3)
		local waiting = process.spawn { argv = { daemon.binary(), "--socket", d:socket_path(),
			"finish", "--idle-wait", "90" }, stdout = d.dir .. "/out" }
		d:wait_log("finish: waits for 3 in flight %(echo 3%), %d+ s left")
		local stop = d:status().stop
		assert.equal(false, stop.evict)
		assert.equal(90, stop.budget)
		assert.equal("idle-wait", stop.phases[1].phase)
		assert.equal("running", stop.phases[1].state)
		assert.equal("3 in flight", stop.holders[1].hold)
		assert.equal("echo", stop.holders[1].module)
		assert.truthy(stop.hammer_left > 60)
		list[1]:close()
		d:wait_log("finish: 2 in flight %(echo 2%)", 15)
		wait(function ()
			return (process.read_file(d.dir .. "/out") or ""):find("2 in flight (echo 2)", 1, true)
		end, 15, "the number in the command's output")
		list[2]:close()
		list[3]:close()
		assert.equal(0, d:wait_exit(20))
		assert.equal(0, waiting:wait_exit(20))
		local report = shutdown.report(d)
		local phase = report.phases[1]
		assert.equal("idle-wait", phase.phase)
		assert.equal("clean", phase.result)
		assert.equal(90, phase.budget)
		-- It counted the teardown only: "after 0.0 s".
		assert.is_true(phase.seconds > 0.2 and report.seconds >= phase.seconds)
		assert.truthy(process.read_file(d.dir .. "/out"):find(
			("ended clean after %.1f s"):format(report.seconds), 1, true))
	end)

	it("is ended at once by a stop, by a signal and by undrain", function ()
		for how, ending in pairs {
			stop = 'lifecycle.stop("enough") return 1',
			signal = 'return 1',
			undrain = "return lifecycle.undrain()",
		} do
			local d = shutdown.start {}
			local control, c = shutdown.control(d), shutdown.client(d)
			control 'lifecycle.finish("spec", nil, 3600) return 1'
			d:wait_log("finish: waits for 1 in flight")
			if how == "signal" then d:signal("TERM") else control(ending) end
			if how == "undrain" then
				assert.equal("serving", control "return lifecycle.state()")
				assert.equal("nil", control "return lifecycle.idle_wait()")
				c:send("still\n")
				assert.equal("still", c:line())
				c:close()
				d:signal("TERM")
			end
			assert.equal(0, d:wait_exit(30), how)
			assert.equal("shutdown", shutdown.report(d).verb)
		end
	end)

	it("waits for who came in the same moment as the last one went", function ()
		local d = shutdown.start {}
		local control, c = shutdown.control(d), shutdown.client(d)
		control 'lifecycle.finish("spec", nil, 3600) return 1'
		d:wait_log("finish: waits for 1 in flight")
		-- In one turn: the count falls to zero and rises again.
		control('for _, h in ipairs(require "net.server".handles { class = "client" }) do h:close() end '
			.. 'module.late = module:begin("second") return 1')
		assert.same({}, shutdown.rest(c))
		assert.equal("finishing", control "return lifecycle.state()")
		assert.equal("false", control "return lifecycle.idle_wait() == nil")
		control "module.late() return 1"
		assert.equal(0, d:wait_exit(20))
	end)
end)

describe("drain and undrain", function ()
	after_each(daemon.finish_all)

	it("leave everything flat after 1,000 times, of the host and of a service", function ()
		local d = shutdown.start { config = "drain_refuses_new = true", allow = { "A callback took" } }
		local control, c = shutdown.control(d), shutdown.client(d)
		local function cycles(count)
			control(("for i = 1, %d do lifecycle.drain() lifecycle.undrain() "
				.. 'lifecycle.drain("echo") lifecycle.undrain("echo") end return 1'):format(count))
			c:send("still\n")
			assert.equal("still", c:line())
			wait(function () return d:state().state == "serving" end, 20, "serving")
		end
		local function numbers()
			return { worker = select(2, process.fds(d:worker_pid())),
				keeper = select(2, process.fds(d.keeper_pid)),
				handlers = control "return #prosody.events.get_handlers('drain-started')",
				timers = control 'return require "host.timer".pending()' }
		end
		local function bytes()
			return tonumber(control 'collectgarbage() collectgarbage() return collectgarbage("count")')
		end
		for _ = 1, 4 do cycles(25) end
		local before, memory = numbers(), bytes()
		for _ = 1, 40 do cycles(25) end
		wait(function ()
			local now = numbers()
			return now.worker == before.worker and now.keeper == before.keeper
				and now.handlers == before.handlers and now.timers == before.timers
		end, 20, "the same numbers")
		assert.is_true(bytes() < memory + 64, "Lua holds more by KiB")
		assert.equal("true serving", control "return lifecycle.ready()")
		assert.equal("", control 'return next(lifecycle.drained_services()) or ""')
		-- The newcomer is served: the port was never shut.
		local late = shutdown.client(d)
		late:close()
		c:close()
	end)
end)
