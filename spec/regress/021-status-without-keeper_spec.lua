-- "`gadwall status` of a host whose keeper had been killed said `serving (ready)`, as if all was
-- well, until the host finished a minute later."

local daemon <const> = require "spec.support.daemon"

local config <const> = [[
	modules_enabled = { "echo", "admin_socket", "admin_shell" }; run_as_root = true
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

describe("regress: the status of a host without a keeper", function ()
	after_each(daemon.finish_all)

	it("says that it has died, until another has taken over", function ()
		local d <const> = daemon.start { config = config, exit = false, fds = false }
		d:signal("KILL")
		d:wait_exit()
		d:wait_log("has died: this worker serves on")
		local _, out <const> = d:run("status")
		assert.matches("serving %(the keeper has died", out)
		local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "log2",
			fds = false }
		assert.is_nil(tostring(e:status().reason):find("died", 1, true))
		e:stop()
	end)
end)
