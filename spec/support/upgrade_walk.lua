--- Verbs of an upgrade, kills and stops at random against a host under connects.

local assert <const> = require "luassert"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local walk <const> = {}

local config <const> = [[
	upgrade_probation = 0.2; upgrade_timeout = 20; worker_timeout = 20
	shutdown_timeout = 2; hammer_time = 4; finish_idle_wait = 2
]]

-- { weight, what it does with the host }; a verb may be refused, but has to be answered.
local steps <const> = {
	{ 5, function (d) return upgrade.ask(d, "upgrade") end },
	{ 2, function (d) upgrade.begin(d, "upgrade") end },
	{ 2, function (d) return upgrade.ask(d, "rollback") end },
	{ 1, function (d) return upgrade.ask(d, "drain") end },
	{ 2, function (d) return upgrade.ask(d, "undrain") end },
	{ 1, function (d) return upgrade.ask(d, "drain echo") end },
	{ 1, function (d) d:signal "HUP" end },
	{ 1, function (d) d:signal "USR2" end },
	{ 2, function (d)
		local pid <const> = d:worker_pid()
		if pid then process.kill(pid, "KILL") end
	end },
	{ 1, function () wait.sleep(math.random() * 0.3) end },
}

local function any()
	local total = 0
	for _, step in ipairs(steps) do total = total + step[1] end
	local at = math.random(total)
	for _, step in ipairs(steps) do
		at = at - step[1]
		if at <= 0 then return step[2] end
	end
end

-- Whatever has happened: somebody serves, the next upgrade works, nothing ran twice.
local function settle(d, load)
	wait.until_true(function ()
		local ok, done = pcall(upgrade.ask, d, "upgrade")
		return ok and done
	end, 60, "an upgrade after the walk\n" .. d:log())
	pcall(upgrade.ask, d, "undrain")
	assert.is_truthy((upgrade.generation(d)))
	local count <const> = load:stop()
	assert.equal(0, count.refused, count.text)
	assert.equal(0, count.wrong, count.text)
	upgrade.singletons(d)
	upgrade.stop(d)
end

--- Walks.
---@param length integer
function walk.run(length)
	local seed <const> = tonumber(os.getenv "GADWALL_SEED") or os.time()
	print("seed " .. seed .. " (GADWALL_SEED)")
	math.randomseed(seed)
	local d <const> = upgrade.start { config = config, exit = false,
		allow = { "broke the protocol", "Traceback" } }
	local load <const> = upgrade.load(d, { keepers = 2, connectors = 1, pause = 3, seconds = 1500 })
	for _ = 1, length do
		-- a console whose worker has died, or is just being started, answers nothing
		pcall(any(), d)
		assert.is_nil(d.keeper:status(), d:log())
	end
	settle(d, load)
end

return walk
