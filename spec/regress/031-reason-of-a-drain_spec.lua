-- "`drain-started` and `drain-ended` have a reason in every worker but the one that was asked."

local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"

describe("regress: drain and undrain without a reason", function ()
	after_each(daemon.finish_all)

	it("have the asker as the reason, in all workers and with a service too", function ()
		local d <const> = shutdown.start { enable = { "admin_shell", "admin_socket" },
			config = "workers = 2" }
		d:wait_log("worker g1%.2 is ready", 40)
		d:rebase_fds() -- ready is said by the first worker
		for _, words in ipairs { "drain", "undrain", "drain echo", "undrain echo" } do
			local verb <const>, service <const> = words:match "(%S+) ?(%S*)"
			assert.equal(0, (d:run(verb, service ~= "" and service or nil)))
		end
		for _, name in ipairs { "drain%-started", "drain%-ended" } do
			for _, worker in ipairs { "g1%.1", "g1%.2" } do
				d:wait_log(("%%[%s%%].*saw %s %%[reason=console origin=console%%]"):format(worker, name), 20)
				d:wait_log(("%%[%s%%].*saw %s %%[reason=console service=echo origin=console%%]")
					:format(worker, name), 20)
			end
		end
		d:stop()
	end)
end)
