--- Every state of an upgrade × who is hurt (old worker, new worker or reader, keeper) × how.
--
-- A case hurts one process once, at its own failpoint or from outside while the keeper is held in
-- the state. Then: an outcome is told, nobody was refused, a generation serves, the next upgrade
-- works, one singleton at a time, and the keeper has the descriptors that it had.

local assert <const> = require "luassert"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local matrix <const> = {}

-- { state, side, failpoint }, or { state, side, window, words }: hurt from outside once the log has
-- the words, while the keeper waits at the failpoint `window` ("": it does not wait; the last
-- field: which time it comes there).
local places <const> = {
	{ "check", "keeper", "keeper-check" },
	{ "check", "new", "", "upgrade 1: none %-> check" },
	{ "check", "old", "", "upgrade 1: none %-> check" },
	{ "spawn", "keeper", "keeper-upgrade-spawn" },
	{ "spawn", "new", "keeper-hello", "worker g2%.1 started", 2 },
	{ "spawn", "old", "keeper-upgrade-spawn", "check %-> spawn" },
	{ "load", "keeper", "keeper-load" },
	{ "load", "new", "worker-hello" },
	{ "load", "new", "worker-boot" },
	{ "load", "new", "worker-bind" },
	{ "load", "new", "worker-hold" },
	{ "load", "new", "worker-ready" },
	{ "load", "old", "keeper-load", "spawn %-> load" },
	{ "ready", "keeper", "keeper-upgrade-ready" },
	{ "ready", "new", "keeper-upgrade-ready", "load %-> ready" },
	{ "ready", "old", "keeper-upgrade-ready", "load %-> ready" },
	{ "commit", "keeper", "keeper-commit" },
	{ "commit", "keeper", "keeper-yield" },
	{ "commit", "keeper", "keeper-take" },
	{ "commit", "keeper", "keeper-record" },
	{ "commit", "keeper", "keeper-activate" },
	{ "commit", "new", "worker-take" },
	{ "commit", "new", "worker-activate" },
	{ "commit", "old", "worker-yield" },
	{ "commit", "old", "worker-yielded" },
	{ "probation", "keeper", "keeper-probation" },
	{ "probation", "new", "keeper-probation", "commit %-> probation" },
	{ "probation", "old", "keeper-probation", "commit %-> probation" },
	{ "retire", "keeper", "keeper-retire" },
	{ "retire", "new", "keeper-retire", "generation 1 retires" },
	{ "retire", "old", "worker-retire" },
}

-- kill; stop: a worker until its deadline acts, the keeper for longer than its clocks allow; pause:
-- SIGSTOP and soon SIGCONT.
local ways <const> = { "kill", "stop", "pause" }
local held <const> = { stop = 1.3, pause = 0.3 } -- s

--- All cases: list of { name, state, side, point, words, way }.
function matrix.cases()
	local list <const> = {}
	for _, place in ipairs(places) do
		for _, way in ipairs(ways) do
			list[#list + 1] = { state = place[1], side = place[2], point = place[3],
				words = place[4], time = place[5] or 1, way = way, name = ("%s at %s (%s of %s)"):format(way,
				place[4] and place[3] == "" and "its begin" or place[3], place[2], place[1]) }
		end
	end
	return list
end

--- Some of them, another lot each time: `count` of each side.
---@return table list
---@return integer seed; GADWALL_SEED repeats it
function matrix.sample(count)
	local seed <const> = tonumber(os.getenv "GADWALL_SEED") or os.time()
	local all <const>, list <const>, taken <const> = matrix.cases(), {}, {}
	math.randomseed(seed)
	while #all > 0 do
		local case <const> = table.remove(all, math.random(#all))
		taken[case.side] = (taken[case.side] or 0) + 1
		if taken[case.side] <= count then list[#list + 1] = case end
	end
	return list, seed
end

local function clause(case)
	local action <const> = case.way == "kill" and "kill" or "stop"
	if case.words then
		return case.point ~= "" and ("%s:delay=500@%d"):format(case.point, case.time) or nil
	elseif case.side == "keeper" then
		return ("%s:%s@1"):format(case.point, action)
	end
	return ("g%d/%s:%s@1"):format(case.side == "old" and 1 or 2, case.point, action)
end

local function reader(d)
	for _, info in ipairs(d:children()) do
		local words <const> = process.read_file(("/proc/%d/cmdline"):format(info.pid)) or ""
		if words:find "reader" and info.state ~= "Z" then return info.pid end
	end
end

-- The process that a case from outside means.
local function find(d, case)
	if case.state == "check" and case.side == "new" then return reader(d) end
	return upgrade.worker(d, case.side == "old" and 1 or 2)
end

-- Whoever of the host is stopped.
local function stopped(d)
	if process.stat(d.keeper_pid).state == "T" then return d.keeper_pid end
	for _, info in ipairs(d:children()) do
		if info.state == "T" then return info.pid end
	end
end

local function go_on(pid, seconds)
	wait.sleep(seconds)
	process.kill(pid, "CONT")
end

local function hurt(d, case)
	if case.words then
		d:wait_log(case.words, 20)
		local pid
		wait.until_true(function ()
			pid = find(d, case)
			return pid
		end, 20, "who is to be hurt\n" .. d:log())
		process.kill(pid, case.way == "kill" and "KILL" or "STOP")
		if case.way == "pause" then go_on(pid, held.pause) end
	elseif case.way ~= "kill" then
		local pid
		wait.until_true(function ()
			pid = stopped(d)
			return pid
		end, 20, "one that is stopped\n" .. d:log())
		if case.side == "keeper" or case.way == "pause" then go_on(pid, held[case.way]) end
	elseif case.side ~= "keeper" then
		d:wait_log("worker g" .. (case.side == "old" and 1 or 2) .. ".1 ended: signal 9", 20)
	end
end

local function keeper_fds(d)
	return select(2, process.fds(d.keeper_pid))
end

-- The keeper has died: the next one takes over.
local function replace(d)
	assert.equal(137, d:wait_exit(20))
	local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "next",
		fds = false, timeout = 40, allow = d.spec.allow }
	e.http, e.echo, e.folder, e.census = d.http, d.echo, d.folder, d.census
	return e
end

local function next_upgrade(d)
	wait.until_true(function ()
		local ok, done = pcall(upgrade.ask, d, "upgrade")
		return ok and done
	end, 40, "the next upgrade\n" .. d:log())
	upgrade.wait_alone(d)
	assert.is_truthy((upgrade.generation(d)), d:log())
end

-- What the config of the upgrade has besides.
local function with(case)
	if case.state == "check" then -- there is time to find the reader
		return "local now = Lua.os.clock; local t = now() while now() - t < 0.3 do end"
	elseif case.point == "worker-hold" then -- something new to hold
		return "echo_ports = { 0, 0 }"
	end
end

--- Runs one case.
function matrix.run(case)
	local d = upgrade.start { env = { GADWALL_FAILPOINT = clause(case) },
		allow = { "does not answer", "held up", "not a callback" },
		config = "upgrade_probation = 0.5; upgrade_timeout = 6; worker_timeout = 2\n" ..
			"hammer_time = 3; shutdown_timeout = 2" }
	local first <const>, dies <const> = d, case.side == "keeper" and case.way == "kill"
	if with(case) then upgrade.reconfigure(d, with(case)) end
	if dies then d.spec.exit = false end
	local load <const> = upgrade.load(d, { keepers = dies and 4 or 0, connectors = 2, pause = 2 })
	d:signal "USR2"
	hurt(d, case)
	if with(case) then upgrade.reconfigure(d, "") end
	if dies then
		d = replace(d)
	else
		d:wait_log("upgrade 1: %l[%l%-]+ in %l+:", 40)
	end
	assert.is_truthy((upgrade.generation(d)), d:log())
	next_upgrade(d)
	local count <const> = load:stop()
	assert.equal(0, count.refused, count.text .. d:log())
	if dies then -- no worker was hurt
		assert.same({ 0, 0 }, { count.lost, count.reset }, count.text .. first:log() .. d:log())
	end
	upgrade.singletons(d)
	local want <const> = d.census + 3 -- of the previous generation
	assert.is_truthy(wait.try(function () return keeper_fds(d) == want end, 10),
		("%d descriptors instead of %d\n%s"):format(keeper_fds(d), want, d:log()))
	d:rebase_fds()
	d:stop()
	if first ~= d then first:destroy() end
	process.remove_tree(d.folder)
end

return matrix
