-- "The host is drained, worker 2 is restarted. In the instant in which it gets ready, `undrain`:
-- worker 2 asks for the drain as before, and the whole host drains again."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Stops worker 2 where it has seen that the host drains, and has not drained yet.
local instant <const> = [[
	module:set_global()
	local folder <const> = prosody.paths.data
	local function exists(name)
		local file <close> = io.open(folder .. "/" .. name)
		return file ~= nil
	end
	module:hook("lifecycle-changed", function (event)
		if prosody.worker ~= 2 or event.to ~= "serving" or not exists "stop" then
			return
		end
		module:log("info", "gets ready now")
		for _ = 1, 400 do
			if exists "go" then
				return
			end
			os.execute("sleep 0.05")
		end
	end, 1000)
]]

describe("regress: undrain in the instant in which a restarted worker gets ready", function ()
	after_each(daemon.finish_all)

	it("leaves no worker drained", function ()
		local d <const> = daemon.start { fds = false, modules = { instant = instant },
			allow = { "signal 9", "callback took" }, config = [[
				workers = 2; callback_timeout = "never"; worker_timeout = 60
				modules_enabled = { "admin_socket", "admin_shell", "instant" }
			]] }
		wait.until_true(function ()
			return d:worker("1.2") and d:worker("1.2").state == "serving"
		end, 20)
		assert.equal(0, (d:run("drain")))
		process.write_file(d.dir .. "/data/stop", "")
		process.kill(d:worker("1.2").pid, "KILL")
		d:wait_log("gets ready now", 30)
		assert.equal(0, (d:run("undrain")))
		process.write_file(d.dir .. "/data/go", "")
		d:wait_log("%[g1%.2%].*draining %-> serving", 30)
		wait.until_true(function ()
			return d:status().state == "serving" and d:worker("1.2").state == "serving"
		end, 20)
		assert.equal(1, #d:log_lines("%[g1%.1%].*drain%-started"))
		d:stop()
	end)
end)
