-- A stop began while the reader looked at a new config: it was applied in the last phase, and the
-- services that the stop had closed were listening again.

local daemon <const> = require "spec.support.daemon"

describe("regress: a reload that a stop overtakes", function ()
	after_each(daemon.finish_all)

	it("is refused, and opens nothing", function ()
		local d <const> = daemon.start {
			config = 'modules_enabled = { "graceful_shutdown", "slow", "echo" }',
			modules = { slow = [[
				module:hook_global("shutdown/close-clients", function (event)
					module:add_timer(2, event:hold("slow"))
				end)
			]] },
			env = { GADWALL_FAILPOINT = "reader-config:delay=700" },
			allow = { "reload refused: the host is stopping" },
		}
		d:signal "HUP"
		d:wait_log "SIGHUP from pid"
		local before <const> = #d:log_lines "Activated service"
		d:signal "TERM"
		assert.equal(0, d:wait_exit(15))
		assert.equal(1, #d:log_lines "reload refused: the host is stopping")
		assert.equal(before, #d:log_lines "Activated service")
		d:stop()
	end)
end)
