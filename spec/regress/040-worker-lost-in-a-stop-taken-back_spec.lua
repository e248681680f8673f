-- "A worker dies in lame-duck, `stop --abort`: the host serves on without it for ever, and the next
-- stop ends with 70. The same with `finish` and `undrain`."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Holds lame-duck: it has to be taken back.
local holder <const> = [[
	module:set_global()
	module:hook("lameduck-started", function (event) event:hold("abort me", 60) end)
]]

-- The second worker as the status has it; of one that has just been started it may know nothing.
local function second(d)
	return d:worker "1.2" or {}
end

describe("regress: a worker that dies in a stop that is taken back", function ()
	local d

	before_each(function ()
		d = daemon.start { fds = false, modules = { holder = holder }, allow = { "signal 9", "g1.2" },
			config = [[
			workers = 2; lameduck_period = 20; lameduck_hook_timeout = 20; shutdown_timeout = 50
			modules_enabled = { "admin_socket", "admin_shell", "echo", "lameduck",
				"graceful_shutdown", "holder" }
			echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
		]] }
		wait.until_true(function () return second(d).state == "serving" end, 20)
	end)
	after_each(daemon.finish_all)

	local function kill_second()
		local pid <const> = second(d).pid
		process.kill(pid, "KILL")
		wait.until_true(function () return second(d).pid ~= pid end, 20)
	end

	local function both_serve_and_end_clean()
		wait.until_true(function () return second(d).state == "serving" end, 20)
		assert.equal(0, (d:run("status")))
		client.close_all()
		d:run("stop", "--now")
		assert.equal(0, d:wait_exit(30))
		d:stop()
	end

	it("is back after the abort, and was no outcome of the next stop", function ()
		assert.equal(0, (d:run("stop", "--no-wait")))
		d:wait_log("lame%-duck", 20)
		kill_second()
		assert.equal(0, (d:run("stop", "--abort")))
		both_serve_and_end_clean()
	end)

	it("is back after undrain out of finish", function ()
		local port <const> = d:port "echo"
		for _ = 1, 20 do -- both workers have some
			local c <const> = assert(client.tcp("127.0.0.1", port))
			c:send "x\n"
			c:line()
		end
		assert.equal(0, (d:run("finish", "--no-wait", "--idle-wait", "60")))
		wait.until_true(function () return d:status().state == "finishing" end, 20)
		kill_second()
		assert.equal(0, (d:run("undrain")))
		both_serve_and_end_clean()
	end)
end)
