-- "The report of a stop whose reason was long and not only ASCII was no line of JSON: the reason
-- was cut in the middle of a character."

local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"

describe("regress: the long reason of a stop", function ()
	after_each(daemon.finish_all)

	it("is cut between two characters", function ()
		local d <const> = daemon.start { exit = 3,
			config = 'modules_enabled = { "admin_socket", "admin_shell", "graceful_shutdown" }' }
		local reason <const> = "a" .. ("é"):rep(300)
		assert.equal(0, (d:run("stop", "--reason", reason, "--code", "3")))
		assert.equal(3, d:wait_exit(20))
		local report <const> = json.decode(d:wait_log("shutdown report"):match "report: (.*)$")
		assert.equal(3, report.code)
		assert.equal(reason:sub(1, 399), report.reason)
	end)
end)
