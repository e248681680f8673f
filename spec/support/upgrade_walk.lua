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
	-- the host ends, at times in the middle of an upgrade or under load; the next one follows it
	{ 1, function (d, load)
		if math.random() < 0.5 then load.count = load:stop() end
		if math.random() < 0.5 then upgrade.begin(d, "upgrade") end
		d:signal(math.random() < 0.3 and "USR1" or "TERM")
		return "ends"
	end },
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

-- An orderly end, however it came: a status that says so, no PID file, nobody left.
local function ended(d, load)
	for _ = 1, 4 do
		if d:wait_exit(15) then break end
		d:signal "TERM"
	end
	local legal <const> = { [0] = true, [70] = true, [75] = true }
	assert(legal[d.exit_status], ("status %s\n%s"):format(d.exit_status, d:log()))
	assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
	if load.count then
		assert.equal(0, load.count.refused, load.count.text)
		assert.equal(0, load.count.wrong, load.count.text)
	else
		load:stop() -- and no judgement: its ports may be somebody else's by now
	end
	upgrade.singletons(d)
	d:stop()
	process.remove_tree(d.folder)
end

local function new_host()
	local d <const> = upgrade.start { config = config, exit = false,
		allow = { "broke the protocol", "Traceback" } }
	return d, upgrade.load(d, { keepers = 2, connectors = 1, pause = 3, seconds = 1500 })
end

--- Walks; a host that was stopped is followed by a new one.
---@param length integer
---@param over function|nil () → boolean: ends it before
function walk.run(length, over)
	local seed <const> = tonumber(os.getenv "GADWALL_SEED") or os.time()
	print("seed " .. seed .. " (GADWALL_SEED)")
	math.randomseed(seed)
	local d, load = new_host()
	for _ = 1, length do
		if over and over() then break end
		-- a console whose worker has died, or is just being started, answers nothing
		local ok <const>, what <const> = pcall(any(), d, load)
		if ok and what == "ends" then
			ended(d, load)
			d, load = new_host()
		end
		assert.is_nil(d.keeper:status(), d:log())
	end
	settle(d, load)
end

return walk
