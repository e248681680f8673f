-- "After `stop --abort` an older generation that had been finishing said "serving", and never
-- ended."

local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

describe("regress: a stop of two generations that is taken back", function ()
	after_each(upgrade.finish)

	it("leaves the older one finishing: it ends with its sessions", function ()
		local d <const> = upgrade.start { enable = { "graceful_shutdown", "lameduck" },
			allow = { "ended aborted" },
			config = "lameduck_period = 30; shutdown_timeout = 50" }
		local older <const> = d:connect(d.echo)
		upgrade.up(d)
		d:wait_log "generation 1 retires"
		local newer <const> = d:connect(d.echo)
		assert(newer:send "hello\n")
		assert.equal("hello", newer:line())
		assert.equal(0, d:run("stop", "--no-wait"))
		d:wait_log "g2%.1.*stopping: lame%-duck"
		d:wait_log "lifecycle +info.*stopping: lame%-duck"
		assert.equal(0, d:run("stop", "--abort"))
		wait.until_true(function () return #d:log_lines "finish: waits for 1 in flight" == 2 end, 20)
		older:close()
		upgrade.wait_alone(d)
		assert.equal("serving", d:status().state)
		newer:close()
		upgrade.stop(d)
	end)
end)
