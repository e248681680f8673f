-- A keeper died when it had recorded a commit: the old generation heard of it at once, found the
-- lock free because the new one was still busy, and took the service back.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local upgrade <const> = require "spec.support.upgrade"

local config <const> = [[
	modules_enabled = { "echo", "admin_shell", "lameduck", "graceful_shutdown", "busy" }
	echo_ports = { %d }; interfaces = { "127.0.0.1" }
	lameduck_period = 0.1; upgrade_probation = 1
]]

-- The new generation hears of everything up to 0.2 s late.
local busy <const> = [[
	module:set_global()
	if prosody.generation == 2 then
		module:add_timer(0, function ()
			require "posix.time".nanosleep { tv_sec = 0, tv_nsec = 200000000 }
			return 0.001
		end)
	end
]]

describe("regress: a keeper that dies behind the record of a commit", function ()
	after_each(daemon.finish_all)

	it("leaves the service to the generation that was to take it", function ()
		if not upgrade.has_failpoints() then
			pending("no failpoints in this build")
			return
		end
		local d <const> = daemon.start { config = config:format(client.free_port()),
			modules = { busy = busy }, fds = false, exit = false,
			env = { GADWALL_FAILPOINT = "keeper-probation:kill" } }
		d:signal "USR2"
		assert.equal(137, d:wait_exit(20))
		local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "next",
			fds = false, exit = false, timeout = 60, allow = { "A callback took", "stack traceback" } }
		e:wait_log("upgrade 1: committed in commit: the keeper died; generation 2", 20)
		e:stop()
		d:destroy()
	end)
end)
