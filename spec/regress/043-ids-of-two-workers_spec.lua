-- "Connections of two workers had the same ids, so that `conn close` closed the wrong one."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

describe("regress: the id of a connection", function ()
	after_each(daemon.finish_all)
	after_each(client.close_all)

	it("is its own among those of all workers", function ()
		local d <const> = daemon.start { fds = false, config = [[
			workers = 2
			modules_enabled = { "admin_socket", "admin_shell", "echo" }
			echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
		]] }
		wait.until_true(function ()
			local list <const> = d:status().generations[1].workers
			return list[2] and list[1].state == "serving" and list[2].state == "serving"
		end, 10, "both workers")
		local port <const>, count <const> = d:port "echo", 40
		for _ = 1, count do assert(client.tcp("127.0.0.1", port)) end
		local workers <const>, lines = {}, nil
		wait.until_true(function ()
			lines = d:console "conn list echo"
			return #lines == count + 1
		end, 10, "all connections")
		local seen <const> = {}
		for i = 1, count do
			local id <const>, worker <const> = lines[i]:match "^| (%S+) .* (%S+)$"
			assert.is_nil(seen[id], id)
			seen[id], workers[worker] = true, true
		end
		assert.same({ ["1.1"] = true, ["1.2"] = true }, workers)
		d:stop()
	end)
end)
