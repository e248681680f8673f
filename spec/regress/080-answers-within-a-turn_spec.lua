-- "Every other finish of three workers that had nothing to wait for took 1.4 s: an answer that came
-- in the turn of the question was thrown away, so the other worker had not answered; status and
-- metrics left it out after 0.3 s."

local daemon <const> = require "spec.support.daemon"

-- Worker 2 says something; worker 1 asks it while it hears that, and is still busy with the same
-- message when the answer arrives behind it.
local asker <const> = [[
	local peers <const> = require "core.peers"
	local time <const> = require "util.time"
	if prosody.worker == 2 then
		peers.reply("ready to talk", function ()
			module:add_timer(0, function () peers.tell "talk" end)
			return ""
		end)
		return
	end
	local function ready()
		peers.ask("ready to talk", 1):next(function (answers)
			if not answers[2] then
				module:add_timer(0.2, ready)
			end
		end)
	end
	module:on_ready(ready)
	peers.on("talk", function ()
		peers.ask("counts", 20):next(function (answers)
			module:log("info", "asked: %s", answers[2] and "answered" or "no answer")
		end)
		local till <const> = time.monotonic() + 1
		repeat until time.monotonic() > till
	end)
]]

describe("regress: an answer within the turn of its question", function ()
	after_each(daemon.finish_all)

	it("is heard", function ()
		local d <const> = daemon.start { modules = { asker = asker }, fds = false,
			allow = { "A callback took" },
			config = [[ workers = 2; modules_enabled = { "asker", "admin_socket", "admin_shell" } ]] }
		d:wait_log("asked: %l", 40)
		assert.matches("asked: answered", d:log())
		d:stop()
	end)
end)
