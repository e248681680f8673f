-- "`gadwall stop`, two workers: the one that was asked is killed. The other one reports, but the
-- command says 'ended with status 70, and nobody reported'. And while worker 2 is still in a phase,
-- the command says that the phase is clean."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Holds stop-services in worker 2, for so long.
local holder <const> = [[
	module:set_global()
	module:hook("server-stopping", function (event)
		if prosody.worker == 2 then
			event:hold("ledger", module:get_option_number("holds_for"))
			module:log("info", "holds now")
		end
	end)
]]

local function start(seconds, exit)
	local d <const> = daemon.start { fds = false, modules = { holder = holder }, exit = exit,
		allow = { "signal 9", "worker %d has died", "ended expired", "was held by" },
		config = ([[
			workers = 2; holds_for = %g
			modules_enabled = { "admin_socket", "admin_shell", "lameduck", "graceful_shutdown", "holder" }
		]]):format(seconds) }
	wait.until_true(function ()
		return d:state().workers == "2" and d:worker("1.2") and d:worker("1.2").state == "serving"
	end, 20)
	return d
end

-- `gadwall stop` in the background. @return process, function that tells what it has said
local function stop(d, ...)
	local out <const> = d.dir .. "/stop.out"
	local command <const> = process.spawn { stdout = out,
		argv = { daemon.binary(), "--socket", d:socket_path(), "stop", ... } }
	return command, function () return process.read_file(out) or "" end
end

describe("regress: gadwall stop, two workers", function ()
	after_each(daemon.finish_all)

	it("hears the outcome from the worker that is left when the asked one dies", function ()
		local d <const> = start(3, 75)
		local asked <const> = d:worker("1.1").pid
		local command <const>, said = stop(d)
		d:wait_log("holds now", 20)
		process.kill(asked, "KILL")
		assert.equal(1, command:wait_exit(30))
		assert.equal(75, d:wait_exit(20))
		assert.matches("ended expired with status 75", said())
		assert.not_matches("nobody", said())
	end)

	it("says how a phase has ended in all workers, when it has", function ()
		local d <const> = start(1.5, 75)
		local command <const>, said = stop(d)
		d:wait_log("holds now", 20)
		assert.equal(1, command:wait_exit(30))
		assert.equal(75, d:wait_exit(20))
		assert.matches("stop%-services: expired after [1-9]", said())
		assert.not_matches("stop%-services: clean", said())
	end)
end)
