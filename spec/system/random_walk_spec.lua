-- Verbs and signals at random against a real process; `make soak` walks the whole 10,000 steps.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local random_walk <const> = require "spec.support.random_walk"
local shutdown <const> = require "spec.support.shutdown"

describe("a real host", function ()
	after_each(daemon.finish_all)

	it("makes only legal moves under verbs and signals at random", function ()
		random_walk.run(300)
	end)

	it("has one defined outcome after ten thousand mixed signals", function ()
		local d <const> = shutdown.start { enable = { "graceful_shutdown", "lameduck" }, exit = false,
			config = 'lameduck_period = 0.2; signals = { SIGUSR2 = "none", SIGWINCH = "drain" }' }
		local kinds <const> = { "HUP", "WINCH", "USR2", "CHLD", "PIPE", "CONT", "HUP", "ALRM" }
		for number = 1, 10000 do
			process.kill(d.keeper_pid, number == 9000 and "TERM" or kinds[number % #kinds + 1])
		end
		assert.is_number(d:wait_exit(30))
		assert.truthy(d.exit_status == 0, tostring(d.exit_status))
		assert.equal(1, #d:log_lines("shutdown report:"))
		assert.equal(1, #d:log_lines("keeper.*SIGTERM from pid"))
		assert.equal(1, #d:log_lines("keeper.*%-> stopping"))
		assert.equal("clean", shutdown.report(d).result)
		assert.equal(0, shutdown.report(d).hurried)
	end)
end)
