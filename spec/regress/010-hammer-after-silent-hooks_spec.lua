-- "hammer_time counts from the signal": when the hooks did not answer and no beat came, the keeper
-- slept on, because it had read the hammer's clock before the stop set it.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

describe("the hammer", function ()
	after_each(daemon.finish_all)

	it("falls in its time on a worker that stands still and owes no beat for long", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { exit = 75, fds = false, modules = { probe = accept.probe },
			config = accept.probe_config(port,
				"worker_timeout = 60; hammer_time = 2.5; shutdown_timeout = 2") }
		process.kill(accept.pid(port), "STOP")
		d:signal("TERM")
		assert.equal(75, d:wait_exit(8))
		assert.matches("hammer %(hammer_time is over%)", d:log())
	end)
end)
