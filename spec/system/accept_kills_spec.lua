-- Workers killed with -9 under a connect loop: what was not accepted yet is served by the next one.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local loops_count <const>, kills <const> = 3, 50

local function start(more)
	local port <const> = client.free_port()
	local d <const> = daemon.start { fds = false, modules = { probe = accept.probe },
		config = accept.probe_config(port,
			"restart_limit = { 16, 0.1 }; restart_backoff = { 0.01, 0.02 };" .. (more or "")) }
	return d, port
end

describe("fifty worker kills under a connect loop", function ()
	after_each(daemon.finish_all)

	it("refuse nobody, and break only what the killed worker had accepted", function ()
		local d <const>, port <const> = start()
		local keeper_fds <const> = d:fd_counts()[d.keeper_pid]
		local loops <const> = accept.connect_loops(d.dir, port, loops_count)
		local pid = accept.pid(port)
		for number = 1, kills do
			for _ = 1, number do accept.pid(port) end -- so that it falls at different moments
			process.kill(pid, "KILL")
			pid = accept.next_pid(port, pid)
		end
		local sums <const> = loops:stop()
		assert.equal(0, sums.refused)
		assert.equal(0, sums.timeout)
		assert.equal(0, sums.other)
		-- Each loop has one connection at a time: that is the most a killed worker had of it.
		local lost <const> = sums.reset + sums.eof
		assert.is_true(lost <= loops_count * kills, "lost " .. lost)
		assert.is_true(sums.answered > 10 * kills, "answered " .. sums.answered)
		assert.equal(tostring(kills), d:state().restarts)
		assert.equal("serving", d:state().state)
		wait.until_true(function () return d:fd_counts()[d.keeper_pid] <= keeper_fds end, 2,
			"the keeper's descriptors")
		assert.equal(1, #d:children())
	end)

	it("lose nothing that waits in the accept queue", function ()
		local d <const>, port <const> = start("worker_timeout = 60")
		for _ = 1, 5 do
			local pid <const> = accept.pid(port)
			process.kill(pid, "STOP")
			local waiting <const> = {}
			for number = 1, 100 do
				waiting[number] = assert(client.tcp("127.0.0.1", port, 10))
				assert(waiting[number]:send("number " .. number .. "\n"))
			end
			process.kill(pid, "KILL")
			for number, c in ipairs(waiting) do
				assert.equal("number " .. number, c:line())
				c:close()
			end
		end
		assert.equal("5", d:state().restarts)
	end)

	it("do not touch the keeper's PID, PID file and lock", function ()
		local d <const>, port <const> = start()
		local before <const> = process.read_file(d.dir .. "/run/gadwall.pid")
		local pid <const> = accept.pid(port)
		process.kill(pid, "KILL")
		accept.next_pid(port, pid)
		assert.equal(before, process.read_file(d.dir .. "/run/gadwall.pid"))
		assert.equal(d.keeper_pid, tonumber((before:gsub("%s", ""))))
		wait.until_true(function () return d:state().restarts == "1" end, 5, "the state file")
		-- A death of that kind is said in words that a person can use.
		assert.matches("worker g1%.1 ended: signal 9 %(SIGKILL%)", d:log())
	end)
end)
