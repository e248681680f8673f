local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local function start(opts)
	opts = opts or {}
	opts.config = config .. (opts.config or "")
	local d <const> = daemon.start(opts)
	local c <const> = d:connect(d:port "echo")
	c:send "x\n"
	assert.equal("x", c:line())
	return d, c
end

describe("gadwall stop", function()
	after_each(daemon.finish_all)

	it("sees the phases and the end, and returns 0", function()
		local d, c = start { config = "lameduck_period = 0.2" }
		local code, out = d:run("stop", "--reason", "spec")
		assert.equal(0, code)
		assert.matches("^Shutdown initiated\n", out)
		for _, phase in ipairs { "lame%-duck", "stop%-accepting", "close%-clients", "stop%-services",
			"quit" } do
			assert.matches("\n" .. phase .. ": clean after", out)
		end
		assert.matches("\nended clean after [%d.]+ s\n$", out)
		assert.equal("bye: spec", c:line())
		assert.equal(0, d:wait_exit(1))
		d:stop()
	end)

	it("gives the report as JSON", function()
		local d <const> = start { config = "lameduck_period = 0.1" }
		local code, out = d:run("stop", "--json")
		assert.equal(0, code)
		local answer <const> = json.decode(out)
		assert.is_true(answer.ok)
		assert.equal("clean", answer.result.result)
		assert.equal(5, #answer.result.phases)
		assert.equal("console", answer.result.origin)
		d:stop()
	end)

	it("skips the waiting with --now and still says goodbye", function()
		local d, c = start { config = "lameduck_period = 30" }
		local before <const> = wait.now()
		assert.equal(0, (d:run("stop", "--now")))
		assert.is_true(wait.now() - before < 20)
		assert.matches("^bye: ", (c:line()))
		d:stop()
	end)

	it("ends the host with the status that was asked for, which is still a clean end", function()
		local d <const> = start { exit = 3 }
		local code, out = d:run("stop", "--now", "--code", "3")
		assert.equal(0, code)
		assert.matches("ended clean with status 3", out)
		d:stop()
	end)

	it("says how a stop ended that was not clean, with 1", function()
		local d <const> = start { exit = 75, config = [[
			shutdown_timeout = 0.6; lameduck_period = 0.1; modules_enabled = {
			"admin_shell", "echo", "lameduck", "graceful_shutdown", "slow" }]],
			modules = { slow = [[module:hook_global("server-stopping", function (event)
				event:hold("never") end)]] } }
		local code, _, err = d:run "stop"
		assert.equal(1, code)
		assert.matches("^gadwall: ended expired with status 75 after", err)
		d:stop()
	end)

	it("prints the plan and does nothing", function()
		local d <const> = start()
		assert.matches('"subscribers":%[%]', (select(2, d:run("stop", "--plan", "--json"))))
		local code, out = d:run("stop", "--plan")
		assert.equal(0, code)
		assert.matches("driven by mod_graceful_shutdown", out)
		assert.matches("\nlame%-duck", out)
		assert.matches("\nnothing has been done\n$", out)
		assert.equal(0, (d:run "status"))
		d:stop()
	end)

	it("plans no hammer where there is none", function ()
		local d <const> = start { config = config .. 'hammer_time = "never"\n' }
		assert.matches("\nno hammer\n", (select(2, d:run("stop", "--plan"))))
		assert.matches('"hammer_time":%-1', (select(2, d:run("stop", "--plan", "--json"))))
		d:stop()
	end)

	it("gives more time to a stop and takes it back", function()
		local d, c = start()
		assert.equal(0, (d:run("stop", "--no-wait")))
		assert.equal(0, (d:run("stop", "--extend", "30s")))
		local status <const> = d:status()
		assert.equal("stopping", status.state)
		assert.equal("lame-duck", status.phase)
		assert.equal(55, status.stop.budget)
		assert.equal(0, (d:run("stop", "--abort")))
		assert.equal("serving", d:status().state)
		c:send "on\n"
		assert.equal("on", c:line())
		for _, flag in ipairs { "--abort", "--extend=5" } do
			local code, _, err = d:run("stop", flag)
			assert.equal(1, code)
			assert.matches("^gadwall: cannot %l+: no stop is under way %(.+%)", err)
		end
		d:stop()
	end)

	it("tells a client that waits when the stop is taken back", function()
		local d <const> = start()
		local waiting <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d:socket_path(), "stop" }, stdout = d.dir .. "/out",
		}
		wait.until_true(function() return d:status().phase == "lame-duck" end, 3, "lame-duck")
		assert.equal(0, (d:run("stop", "--abort")))
		assert.equal(1, waiting:wait_exit(3))
		assert.matches("the stop was aborted", process.read_file(d.dir .. "/out"))
		d:stop()
	end)

	it("ends it at once with --hammer", function()
		local d <const> = start { exit = 75 }
		local code, out = d:run("stop", "--hammer")
		assert.equal(0, code)
		assert.matches("ended by the hammer", out)
		d:stop()
	end)

	it("answers 4 when it does not end in time, and the stop goes on", function()
		local d <const> = start()
		local code, _, err = d:run("stop", "--timeout", "0.3")
		assert.equal(4, code)
		assert.matches("it has not ended in time", err)
		assert.equal(0, d:wait_exit(8))
		d:stop()
	end)

	it("goes to the keeper when the worker is silent, and says how it ended", function()
		local d <const> = start { exit = 70, config = "worker_timeout = 15", allow = { "." } }
		process.kill(d:worker_pid(), "STOP")
		local code, out = d:run("status", "--timeout", "0.3")
		assert.equal(5, code)
		assert.matches("the worker does not answer", out)
		assert.matches("keeper says: state serving, workers 1", out)
		code, out = d:run("status", "--timeout", "0.3", "--json")
		assert.equal(5, code)
		assert.equal("failed", json.decode(out).state)
		assert.equal(4, (d:run("reload", "--timeout", "0.3")))
		local ended, _, err = d:run("stop", "--timeout", "60")
		assert.equal(1, ended)
		assert.matches("the worker does not answer; SIGTERM goes to the keeper", err)
		assert.matches("ended with status 70", err)
		d:stop()
	end)

	it("finish waits for the sessions and ends without evicting", function()
		local d, c = start()
		local waiting <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d:socket_path(), "finish", "--json" },
			stdout = d.dir .. "/out",
		}
		wait.until_true(function() return d:status().state == "finishing" end, 3, "finishing")
		c:send "on\n"
		assert.equal("on", c:line())
		c:close()
		assert.equal(0, waiting:wait_exit(5))
		local out <const> = process.read_file(d.dir .. "/out")
		assert.is_false(json.decode(out:match "{.*}").result.evict)
		d:stop()
	end)

	it("finish answers 1 when its idle wait was cut", function()
		local d <const> = start { exit = 75 }
		local code, _, err = d:run("finish", "--idle-wait", "0.2")
		assert.equal(1, code)
		assert.matches("ended expired with status 75", err)
		d:stop()
	end)
end)
