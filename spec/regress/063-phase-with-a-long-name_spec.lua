-- "A phase of the stop whose name has more than 31 bytes was never entered: nothing that belongs to
-- it was done, and the host ended with status 70."

local daemon <const> = require "spec.support.daemon"

local name <const> = "write-everything-that-is-behind-the-cache"

describe("regress: a phase with a long name", function ()
	after_each(daemon.finish_all)

	it("is a phase like any other", function ()
		local d <const> = daemon.start {
			config = ([[
				modules_enabled = { "graceful_shutdown", "behind" }
				shutdown_phases = { { %q, budget = 5 }, "stop-services", "quit" }
			]]):format(name),
			modules = { behind = ([[
				module:hook_global("shutdown/%s", function () module:log("info", "written") end)
			]]):format(name) },
		}
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		assert.equal(1, #d:log_lines("written"))
	end)
end)
