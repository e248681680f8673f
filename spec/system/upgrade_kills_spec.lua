-- Either side killed or stopped at every step of an upgrade, under connects (facts/reliability.md,
-- 3.4): nobody is refused, the old or the new one serves, the next upgrade works, and the keeper
-- has the descriptors that it had.
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- What a generation does when its failpoint comes, and who may be the service afterwards.
local sides <const> = {
	old = { "worker-yield", "worker-yielded", "worker-retire" },
	new = { "worker-start", "worker-hello", "worker-boot", "worker-bind", "worker-hold",
		"worker-ready", "worker-take", "worker-activate" },
}

-- Points with the generation in which they are hit: odd ones are old in the upgrade that follows.
local function points(action)
	local list = {}
	for _, name in ipairs(sides.old) do list[#list + 1] = { side = "old", name = name } end
	for _, name in ipairs(sides.new) do list[#list + 1] = { side = "new", name = name } end
	for _, point in ipairs(list) do point.action = action end
	return list
end

local function run(point)
	local generation <const> = point.side == "old" and 1 or 2
	local d <const> = upgrade.start {
		config = "upgrade_probation = 0.3; upgrade_timeout = 3; worker_timeout = 2\n" ..
			"hammer_time = 3; shutdown_timeout = 2",
		env = { GADWALL_FAILPOINT = ("g%d/%s:%s@1"):format(generation, point.name, point.action) },
	}
	local load <const> = upgrade.load(d, { keepers = 0, connectors = 2, pause = 2 })
	local outcome <const> = upgrade.begin(d, "upgrade")
	outcome()
	wait.until_true(function ()
		local text <const> = d:log()
		return text:find "upgrade 1: %l[%l%-]+ in %l+:"
	end, 30, "an outcome\n" .. d:log())
	assert.is_truthy((upgrade.generation(d)))
	-- whoever hangs is ended, and the next one works
	wait.until_true(function () return (upgrade.ask(d, "upgrade")) end, 30, "the next upgrade")
	upgrade.wait_alone(d)
	assert.is_truthy((upgrade.generation(d)))
	local count <const> = load:stop()
	assert.equal(0, count.refused, count.text .. d:log())
	upgrade.singletons(d)
	upgrade.stop(d)
end

describe("an upgrade in which a worker", function ()
	after_each(upgrade.finish)

	for _, point in ipairs {
		{ side = "old", name = "worker-yield", action = "kill" },
		{ side = "old", name = "worker-yield", action = "stop" },
		{ side = "old", name = "worker-yielded", action = "kill" },
		{ side = "old", name = "worker-retire", action = "stop" },
		{ side = "new", name = "worker-take", action = "kill" },
		{ side = "new", name = "worker-take", action = "stop" },
		{ side = "new", name = "worker-activate", action = "kill" },
		{ side = "new", name = "worker-activate", action = "stop" },
	} do
		it(("has %s at %s (%s one) refuses nobody"):format(
			point.action == "kill" and "died" or "stopped", point.name, point.side), function ()
			run(point)
		end)
	end
end)

describe("#soak an upgrade in which a worker", function ()
	after_each(upgrade.finish)

	for _, action in ipairs { "kill", "stop" } do
		for _, point in ipairs(points(action)) do
			it(("has an end by %s at %s (%s one) refuses nobody"):format(point.action, point.name,
				point.side), function () run(point) end)
		end
	end
end)
