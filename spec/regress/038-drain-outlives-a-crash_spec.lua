-- "`drain chat`, then the worker dies: the new one takes new work for chat. The whole host drained,
-- worker 1 waits for its restart, `upgrade`: the new generation serves."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local function start(workers)
	return daemon.start { fds = false, allow = { "signal 9" }, config = ([[
		workers = %d; restart_backoff = { 20, 20 }; upgrade_probation = 0.2
		modules_enabled = { "admin_socket", "admin_shell", "echo" }
		echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
	]]):format(workers) }
end

local function state_of(d, service)
	for _, entry in ipairs(d:status().services) do
		if entry.service == service then
			return entry.state
		end
	end
end

-- Kills a worker and waits for the one that comes after it, unless it has to wait itself.
local function kill(d, name, waits)
	local pid <const> = d:worker(name).pid
	process.kill(pid, "KILL")
	wait.until_true(function ()
		local entry <const> = d:worker(name)
		return entry and entry.pid ~= pid and (waits or math.tointeger(entry.pid) ~= 0
			and d:state()["worker." .. name] ~= "starting")
	end, 20)
end

describe("regress: what an operator has drained", function ()
	after_each(daemon.finish_all)

	it("is drained in a worker that is restarted", function ()
		local d <const> = start(1)
		assert.equal(0, (d:run("drain", "echo")))
		process.kill(d:worker("1.1").pid, "KILL")
		d:wait_log("drain%-started: echo %(as before the restart%)", 20)
		wait.until_true(function () return state_of(d, "echo") == "draining" end, 20)
		assert.equal(0, (d:run("undrain", "echo")))
		assert.equal("serving", state_of(d, "echo"))
		assert.is_nil(process.read_file(d.dir .. "/run/drained"))
		d:stop()
	end)

	it("is drained in each of two workers that are restarted", function ()
		local d <const> = start(2)
		assert.equal(0, (d:run("drain", "echo")))
		kill(d, "1.2")
		d:wait_log("%[g1%.2%].*drain%-started: echo %(as before the restart%)", 20)
		kill(d, "1.1")
		d:wait_log("%[g1%.1%].*drain%-started: echo %(as before the restart%)", 20)
		wait.until_true(function () return state_of(d, "echo") == "draining" end, 20)
		d:stop()
	end)

	it("stays so over an upgrade while worker 1 waits for its restart", function ()
		local d <const> = start(2)
		assert.equal(0, (d:run("drain")))
		assert.equal(0, (d:run("drain", "echo")))
		kill(d, "1.1")
		d:wait_log("%[g1%.1%].*drain%-started: the whole host %(as before the restart%)", 20)
		kill(d, "1.1", true) -- for 20 s now
		local code, out, err = d:run("upgrade")
		assert.equal(0, code, out .. err)
		for _, name in ipairs { "2.1", "2.2" } do
			wait.until_true(function () return d:worker(name).state == "draining" end, 20)
		end
		assert.equal(0, (d:run("undrain")))
		wait.until_true(function () return d:status().state == "serving" end, 20)
		assert.equal("draining", state_of(d, "echo"))
		d:stop()
	end)
end)
