-- "In probation a worker of the old generation dies, then one of the new: the old generation takes
-- back, and the host of two workers has one for ever."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

describe("regress: a rollback to a generation that has lost a worker", function ()
	after_each(daemon.finish_all)

	for _, lost in ipairs { "1.1", "1.2" } do
		it(("starts %s again"):format(lost), function ()
			local d <const> = daemon.start { fds = false, config = [[
				workers = 2; upgrade_probation = 60
				modules_enabled = { "admin_socket", "admin_shell", "echo" }
				echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
			]], allow = { "signal 9", "g1%.", "rolled%-back", "takes back" } }
			wait.until_true(function ()
				local entry <const> = d:worker("1.2")
				return entry and entry.state == "serving"
			end, 20)
			local code <const>, out <const>, err <const> = d:run("upgrade", "--no-wait")
			assert.equal(0, code, out .. err)
			wait.until_true(function () return d:status().upgrade.state == "probation" end, 30)
			local pid <const> = d:worker(lost).pid
			process.kill(pid, "KILL")
			wait.until_true(function ()
				local entry <const> = d:worker(lost)
				return not entry or entry.pid ~= pid
			end, 20)
			process.kill(d:worker("2.2").pid, "KILL")
			for _, name in ipairs { "1.1", "1.2" } do
				wait.until_true(function ()
					local entry <const> = d:worker(name)
					return entry and entry.state == "serving" and math.type(entry.pid) == "integer"
				end, 30)
			end
			assert.equal(1, d:status().generation)
			d:stop()
		end)
	end
end)
