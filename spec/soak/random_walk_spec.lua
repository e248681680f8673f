-- Ten thousand verbs and signals against real hosts. `make soak`.
local daemon <const> = require "spec.support.daemon"
local random_walk <const> = require "spec.support.random_walk"

describe("#soak a real host", function ()
	after_each(daemon.finish_all)

	it("makes only legal moves in 10,000 steps", function ()
		random_walk.run(10000)
	end)
end)
