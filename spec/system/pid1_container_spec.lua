-- As PID 1 of a container: zombies are reaped, signals work, the exit status is kept.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local unshare <const> = { "unshare", "--pid", "--fork", "--mount-proc", "--kill-child" }
local can_unshare <const> = unistd.geteuid() == 0
	and (process.run { argv = { "unshare", "--pid", "--fork", "--mount-proc", "true" } }) == 0

-- Each orphan is a grandchild whose parent ends first.
local orphans <const> = [[
	module:hook_global("server-started", function ()
		for _ = 1, 100 do os.execute("sh -c 'sleep 0.05 & exit 0'") end
	end)
]]

local function zombies(pid)
	local n = 0
	for _, info in ipairs(process.descendants(pid)) do
		if info.state == "Z" then n = n + 1 end
	end
	return n
end

describe("as PID 1", function ()
	after_each(daemon.finish_all)

	it("the keeper reaps orphans and ends with 0 on SIGTERM", function ()
		if not can_unshare then pending("needs root and unshare") return end
		local d = daemon.start { wrap = unshare, modules = { orphans = orphans }, fds = false,
			config = [[
				modules_enabled = { "orphans" }
				worker_timeout = 60; callback_timeout = "never" -- 100 shells in one callback
			]], exit = false, allow = { "slow" } }
		local keeper
		wait.until_true(function ()
			for _, info in ipairs(process.descendants(d.keeper_pid)) do
				if info.parent == d.keeper_pid then keeper = info.pid end
			end
			return keeper
		end, 5, "the keeper")
		assert.equal("1", d:state().pid)
		wait.until_true(function () return zombies(keeper) == 0 end, 30, "no zombies")
		wait.until_true(function () return #process.descendants(keeper) == 1 end, 30, "one worker")
		process.kill(keeper, "TERM")
		assert.equal(0, d:wait_exit())
	end)
end)
