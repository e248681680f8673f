-- "At max_generations the oldest one has to end now: goodbyes, 5 s, SIGKILL, says the log. A
-- request that it had in flight was cut after 0.1 s, without an answer."

local upgrade <const> = require "spec.support.upgrade"

-- Answers when the end of its generation has begun.
local late <const> = [[
	module:depends "http"
	local waiting <const> = {}
	module:provides("http", { default_path = "/late", route = { ["GET"] = function (event)
		table.insert(waiting, event.response)
		module:log("info", "asked")
		return true
	end } })
	module:hook_global("shutdown-started", function ()
		module:add_timer(1, function ()
			for _, response in ipairs(waiting) do response:send "late" end
		end)
	end, 100)
]]

describe("regress: the oldest generation at the cap", function ()
	after_each(upgrade.finish)

	it("answers what it has in flight", function ()
		local d <const> = upgrade.start { config = "max_generations = 2; worker_timeout = 60",
			modules = { late = late }, enable = { "late" } }
		local c <const> = d:connect(d.http)
		c:send "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
		d:wait_log "late[^\n]*asked"
		upgrade.up(d)
		upgrade.up(d)
		assert.matches("^HTTP/1.1 200 OK\r\n.*\r\n\r\nlate$", (c:read_all(20)))
		d:wait_log("generation 1 has ended", 20)
		upgrade.stop(d)
	end)
end)
