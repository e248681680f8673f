-- "A generation whose listeners had been let go kept one session for ever: the last connection was
-- counted out through its listener, which had been released a moment before, so finish waited for
-- finish_idle_wait."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

describe("regress: the last connection of a listener that was let go", function ()
	after_each(daemon.finish_all)

	it("is counted out", function ()
		local d <const> = daemon.start {
			config = [[
				modules_enabled = { "echo", "admin_socket", "admin_shell" }
				echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }; upgrade_probation = 0
			]],
		}
		local c <const> = assert(client.tcp("127.0.0.1", d:port "echo"))
		c:send "before\n"
		assert.equal("before", c:line())
		assert.equal(0, (d:run("upgrade")))
		c:send "after\n"
		assert.equal("after", c:line())
		c:close()
		d:wait_log "generation 1 has ended"
		d:rebase_fds()
		d:stop()
	end)
end)
