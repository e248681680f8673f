-- Upgrades, rollbacks, drains, reloads, kills and stops at random; longer in `make soak`.
local upgrade <const> = require "spec.support.upgrade"
local walk <const> = require "spec.support.upgrade_walk"

describe("a host under verbs of the upgrade, kills and stops at random", function ()
	after_each(upgrade.finish)

	it("refuses nobody and can be upgraded at the end", function () walk.run(40) end)
end)
