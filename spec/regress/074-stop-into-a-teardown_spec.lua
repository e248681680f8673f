-- "A stop found one worker of an older generation in the teardown of its finish, and another one
-- still before it: each waited for the other to end phases that only its own list has, until their
-- budgets were over. The host ended 7 to 12 s late."

local daemon <const> = require "spec.support.daemon"

-- Somebody comes to worker 2 when it has just told worker 1 that it has nobody.
local late <const> = [[
	if prosody.worker == 2 then
		local done
		require "core.peers".reply("counts", function ()
			done = done or module:begin "late"
			return [=[{"in_flight":{"total":0}}]=]
		end)
		module:hook_global("shutdown-started", function ()
			if done then done() end
		end, 100)
	end
]]

describe("regress: a stop into a teardown", function ()
	after_each(daemon.finish_all)

	it("of one of two workers does not wait for phases that the other one has not", function ()
		local d <const> = daemon.start { fds = false, modules = { late = late }, config = [[
			workers = 2; shutdown_timeout = 120; hammer_time = 200
			modules_enabled = { "admin_socket", "admin_shell", "graceful_shutdown", "late" }
			shutdown_phases = { { "stop-accepting", budget = 100 }, { "close-clients", budget = 100 },
				{ "stop-services", budget = 100 }, { "quit", budget = 100 } }
		]] }
		d:wait_log("worker g1%.2 is ready", 20)
		d:signal "USR1" -- finish
		d:wait_log("g1%.1%][^\n]*close%-clients ended clean", 20)
		d:signal "TERM"
		d:wait_log("g1%.2%][^\n]*stopping: stop%-services ended clean", 20)
		d:wait_log("g1%.1%][^\n]*stopping: server%-stopping ended clean", 20)
		d:stop()
	end)
end)
