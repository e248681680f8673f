-- "workers = 2 on a loaded machine: the second is restarted, has heard neither of the first nor of
-- the keeper yet, and accepts the console: `status` shows a host of one worker."

local daemon <const> = require "spec.support.daemon"
local json <const> = require "util.json"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Keeps the second worker in its start while there is a file "stop" and no file "go".
local slow <const> = [[
	module:set_global()
	local folder <const> = prosody.paths.data
	local function exists(name)
		local file <close> = io.open(folder .. "/" .. name)
		return file ~= nil
	end
	if prosody.worker == 2 and exists "stop" then
		module:log("info", "gets up")
		for _ = 1, 400 do
			if exists "go" then
				return
			end
			os.execute("sleep 0.05")
		end
	end
]]

describe("regress: the console of a host whose second worker has just come back", function ()
	after_each(daemon.finish_all)

	it("is answered by the first, which knows both", function ()
		local d <const> = daemon.start { fds = false, allow = { "signal 9" },
			modules = { slow = slow }, config = [[
				workers = 2; modules_enabled = { "admin_socket", "admin_shell", "slow" }
			]] }
		wait.until_true(function ()
			return d:worker("1.2") and d:worker("1.2").state == "serving"
		end, 10, "both to serve")
		local first <const>, out <const> = d:worker("1.1").pid, d.dir .. "/status"
		process.write_file(d.dir .. "/data/stop", "")
		process.kill(d:worker("1.2").pid, "KILL")
		d:wait_log "gets up"
		process.kill(first, "STOP")
		d:signal "STOP"
		process.write_file(d.dir .. "/data/go", "")
		local asked <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d.dir .. "/run/gadwall.sock", "status", "--json" },
			stdout = out,
		}
		asked:wait_exit(0.9) -- long enough for the second to answer
		process.kill(first, "CONT")
		d:signal "CONT"
		assert.equal(0, asked:wait_exit(10))
		assert.equal(2, #json.decode(process.read_file(out)).generations[1].workers)
		d:stop()
	end)
end)
