-- "Worker 1 of two waits for its restart (restart_backoff): cron and all other singletons are run
-- by nobody, although worker 2 serves. PROCESSES.md: worker 1, or the lowest that lives."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local alone <const> = [[
	module:set_global()
	local function tell(word)
		local file <close> = assert(io.open(prosody.paths.data .. "/journal", "a"))
		file:write(word, " ", prosody.worker, "\n")
	end
	module:singleton("alone", function ()
		tell "on"
		if io.open(prosody.paths.data .. "/poison") then
			os.execute("kill -9 $PPID")
		end
	end, function () tell "off" end)
]]

local function start(more)
	local d <const> = daemon.start { fds = false, modules = { alone = alone }, exit = false,
		allow = { "signal 9", "failed", "restarting in" }, config = ([[
			workers = 2; restart_limit = { 10, 30 }; upgrade_probation = 0.2; %s
			modules_enabled = { "admin_socket", "admin_shell", "alone" }
		]]):format(more) }
	wait.until_true(function ()
		return d:worker("1.2") and d:worker("1.2").state == "serving"
	end, 20)
	return d
end

local function journal(d)
	return (process.read_file(d.dir .. "/data/journal") or ""):gsub("\n", ", ")
end

-- Waits until the singleton has come and gone so.
local function comes(d, expected)
	wait.try(function () return journal(d) == expected end, 30)
	assert.equal(expected, (journal(d)))
end

-- Its first restart is at once, the second is not.
local function kill_for_long(d)
	local first <const> = d:worker("1.1").pid
	process.kill(first, "KILL")
	wait.until_true(function ()
		local now <const> = d:worker("1.1")
		return now and now.pid ~= first and now.state == "serving"
	end, 20)
	comes(d, "on 1, on 1, ")
	process.kill(d:worker("1.1").pid, "KILL")
end

describe("regress: singletons, when worker 1 has died", function ()
	after_each(daemon.finish_all)

	it("run in the next worker, and in worker 1 again when it is back", function ()
		local d <const> = start "restart_backoff = { 6, 30 }"
		kill_for_long(d)
		comes(d, "on 1, on 1, on 2, ")
		comes(d, "on 1, on 1, on 2, off 2, on 1, ")
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		assert.equal("on 1, on 1, on 2, off 2, on 1, off 1, ", (journal(d)))
	end)

	it("pass from the next worker to a new generation, and follow a drain", function ()
		local d <const> = start "restart_backoff = { 30, 30 }"
		kill_for_long(d)
		comes(d, "on 1, on 1, on 2, ")
		assert.equal(0, (d:run("drain")))
		assert.equal(0, (d:run("undrain")))
		comes(d, "on 1, on 1, on 2, off 2, on 2, ")
		local code, out, err = d:run("upgrade")
		assert.equal(0, code, out .. err)
		comes(d, "on 1, on 1, on 2, off 2, on 2, off 2, on 1, ")
	end)

	it("do not take one worker after the other with them", function ()
		local d <const> = start "restart_backoff = { 0.1, 30 }"
		process.write_file(d.dir .. "/data/poison", "")
		process.kill(d:worker("1.1").pid, "KILL")
		d:wait_log("they wait for worker 1", 60)
		assert.not_matches("2", (journal(d)))
		assert.equal("serving", d:worker("1.2").state)
		local before <const> = #journal(d)
		os.remove(d.dir .. "/data/poison")
		wait.until_true(function ()
			return #journal(d) > before and d:worker("1.1").state == "serving"
		end, 60)
		assert.not_matches("2", (journal(d)))
	end)
end)
