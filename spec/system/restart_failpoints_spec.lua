-- kill -9 of either side at every state of start, restart and stop: nothing is left behind, and the
-- next start works.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local has_failpoints <const> =
	(process.run { argv = { daemon.binary(), "--list-failpoints" } }) == 0

local function names(prefix)
	local _, out = process.run { argv = { daemon.binary(), "--list-failpoints" } }
	local list = {}
	for name in out:gmatch("[^\n]+") do
		if name:sub(1, #prefix) == prefix then list[#list + 1] = name end
	end
	return list
end

local config <const> = [[ modules_enabled = { "listen" }; listen_ports = { 0 };
	orphan_timeout = 0.1; listen_interface = "127.0.0.1" ]]
local modules <const> = {
	listen = [[ module:provides("net", { name = "listen", listener = {} }) ]],
}

local function start(failpoint, dir)
	return daemon.start { dir = dir, config = config, modules = modules, ready = false, exit = false,
		fds = false, env = { GADWALL_FAILPOINT = failpoint or false } }
end

-- Brings it through restart, reload and stop, as far as it gets.
local function exercise(d)
	local function ended() return d.keeper:status() ~= nil end
	local function serving() return d:state().state == "serving" and d:state().workers == "1" end
	if not wait.try(function () return ended() or serving() end, 5) or ended() then return end
	local worker = d:worker_pid()
	if worker then process.kill(worker, "KILL") end
	wait.try(function ()
		return ended() or d:state().restarts ~= "0" and serving() and d:worker_pid() ~= worker
	end, 3)
	if ended() then return end
	d:signal("HUP")
	wait.try(function () return ended() or d:log():find("the new config goes") end, 3)
	d:signal("TERM")
	d:wait_exit(3)
end

local function check(name, action)
	local d = start(("%s:%s"):format(name, action))
	exercise(d)
	if not d.keeper:status() then d:signal("KILL") end
	d:wait_exit(5)
	wait.until_true(function ()
		for _, info in pairs(d.known) do
			if process.alive(info.pid, info.started) then return false end
		end
		return true
	end, 10, "the end of every process of " .. name)
	local again = start(nil, d.dir)
	wait.until_true(function ()
		return again:state().state == "serving" and tonumber(again:state().pid) == again.keeper_pid
	end, 10, "a new start after " .. name)
	again:signal("TERM")
	assert.equal(0, again:wait_exit(), again:log())
	process.remove_tree(d.dir)
end

describe("death by SIGKILL", function ()
	after_each(daemon.finish_all)

	for _, prefix in ipairs { "keeper-", "reader-", "worker-" } do
		for _, name in ipairs(has_failpoints and names(prefix) or {}) do
			it("at " .. name .. " leaves nothing behind, and the next start works", function ()
				check(name, prefix == "worker-" and "kill@1" or "kill")
			end)
		end
	end

	it("of a fork that fails is answered by a later try", function ()
		if not has_failpoints then pending("no failpoints in this build") return end
		-- The first is the reader, the second the worker, the third its restart.
		local d = start("keeper-spawn:errno=11@3")
		wait.until_true(function () return d:state().state == "serving" end)
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("cannot start worker g1%.1: Resource temporarily unavailable")
		wait.until_true(function ()
			return #d:log_lines("worker g1%.1 is ready") == 2
		end, 5, "a later try")
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
	end)
end)
