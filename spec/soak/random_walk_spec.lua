-- Ten thousand verbs and signals against real hosts, and upgrades among them. `make soak`.
local daemon <const> = require "spec.support.daemon"
local random_walk <const> = require "spec.support.random_walk"
local soak <const> = require "spec.support.soak"
local upgrade <const> = require "spec.support.upgrade"
local upgrade_walk <const> = require "spec.support.upgrade_walk"

describe("#soak a real host", function ()
	after_each(daemon.finish_all)

	it("makes only legal moves in 10,000 steps", function ()
		random_walk.run(10000, soak.clock())
	end)
end)

describe("#soak a host under verbs of the upgrade, kills and stops at random", function ()
	after_each(upgrade.finish)

	it("refuses nobody and can be upgraded at the end of a long walk", function ()
		upgrade_walk.run(1000, soak.clock())
	end)
end)
