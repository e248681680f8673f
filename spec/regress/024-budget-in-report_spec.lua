-- "The report of a finish gave budgets like 24.999954473001708 seconds."

local daemon <const> = require "spec.support.daemon"

describe("regress: the report of a finish", function ()
	after_each(daemon.finish_all)

	it("has no seconds with more than three decimals", function ()
		local d <const> = daemon.start {
			config = 'modules_enabled = { "admin_socket", "admin_shell" }',
		}
		d:run("finish")
		d:wait_exit()
		local report <const> = d:log_lines("shutdown report:")[1]
		assert.matches('"budget":2[45]', report)
		assert.is_nil(report:match('":%d+%.%d%d%d%d'))
		d:stop()
	end)
end)
