-- A worker whose channel was full when the new config came never got it: the keeper dropped the
-- bundle ("does not read: bundle is lost"), and a worker that was starting and one that was stopped
-- for a while served the old config from then on.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell" }
	worker_timeout = "unlimited"; signals = { SIGUSR1 = "reopen-logs" }
]]

describe("regress: a worker that does not read", function ()
	after_each(daemon.finish_all)

	it("gets the new config as soon as it reads again", function ()
		local d <const> = daemon.start { config = config, fds = false, allow = { "does not read",
			"no answer of the hooks", "not every worker has applied" } }
		local worker <const> = d:worker_pid()
		process.kill(worker, "STOP")
		for _ = 1, 4000 do -- each is a message for the worker, until none goes into its channel
			if #d:log_lines "does not read" > 0 then break end
			local before <const> = #d:log_lines "SIGUSR1 from pid"
			d:signal "USR1"
			wait.until_true(function () return #d:log_lines "SIGUSR1 from pid" > before end, 20)
		end
		d:wait_log("does not read", 1)
		d:write_config(config .. "spec_new = 1\n")
		d:signal "HUP"
		d:wait_log("reload: the new config goes to the workers", 40)
		process.kill(worker, "CONT")
		d:wait_log("Config reloaded; changed: spec_new", 40)
		assert.equal(worker, d:worker_pid())
		d:stop()
	end)
end)
