-- A worker that dies or hangs is restarted; the listener lives on in the keeper.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- "hang" loops in Lua, "stop" stops the process, "die" exits without a word.
local victim <const> = [[
	local unistd = require "posix.unistd"
	module:provides("net", { name = "victim", listener = {
		onincoming = function (conn, data)
			if data:find("^hang") then while true do end end
			if data:find("^die") then unistd._exit(3) end
			conn:write(unistd.getpid() .. "\n")
		end,
	} })
]]

local function start(more, spec)
	spec = spec or {}
	spec.modules = { victim = victim }
	spec.port = client.free_port()
	spec.config = ([[ modules_enabled = { "victim" }; victim_ports = { %d };
		victim_interface = "127.0.0.1"; %s ]]):format(spec.port, more or "")
	spec.fds = false
	local d = daemon.start(spec)
	d.port_number = spec.port
	return d
end

local function connect(d)
	return assert(client.tcp("127.0.0.1", d.port_number, 10))
end

local function ask_pid(d)
	local c = connect(d)
	assert(c:send("who\n"))
	return tonumber((c:line()))
end

describe("a worker", function ()
	after_each(daemon.finish_all)

	it("that is killed ten times refuses no connect, and the next one accepts soon", function ()
		local d = start("restart_limit = { 16, 1 }; restart_backoff = { 0.01, 0.02 }")
		local refused, slowest = 0, 0
		for _ = 1, 10 do
			local pid = ask_pid(d)
			process.kill(pid, "KILL")
			local began = wait.now()
			wait.until_true(function ()
				local c = client.tcp("127.0.0.1", d.port_number, 5)
				if not c then
					refused = refused + 1
					return false
				end
				c:send("who\n")
				local answer = c:line(5)
				c:close()
				return answer and tonumber(answer) ~= pid
			end, 10, "a new worker")
			slowest = math.max(slowest, wait.now() - began)
		end
		assert.equal(0, refused)
		assert.is_true(slowest < 8, "slowest restart: " .. slowest)
		assert.equal("10", d:state().restarts)
	end)

	it("that dies again and again is restarted ever later, then the host has failed", function ()
		local d = start("restart_limit = { 3, 30 }; restart_backoff = { 0.05, 1.5 }")
		for _ = 1, 3 do
			local pid = ask_pid(d)
			process.kill(pid, "KILL")
			wait.until_true(function () return not process.alive(pid) end)
		end
		d:wait_log("ended: signal 9 %(SIGKILL%), restarting at once")
		d:wait_log("restarting in 0%.1 s")
		d:wait_log("too many deaths: failed, restarting in 1%.5 s")
		wait.until_true(function () return d:state().state == "failed" end, 2, "failed")
		wait.until_true(function () return d:state().state == "serving" end, 5, "a slow retry")
	end)

	it("that failed is started at once by a reload, and a stop of a failed host is 70", function ()
		local d = start("restart_limit = { 1, 30 }; restart_backoff = { 20, 20 }", { exit = 70 })
		process.kill(ask_pid(d), "KILL")
		wait.until_true(function () return d:state().state == "failed" end, 5, "failed")
		d:signal("HUP")
		wait.until_true(function () return d:state().state == "serving" end, 10, "serving")
		process.kill(ask_pid(d), "KILL")
		wait.until_true(function () return d:state().state == "failed" end, 5, "failed again")
		d:signal("TERM")
		assert.equal(70, d:wait_exit())
	end)

	it("that exits without the word before it is a crash", function ()
		local d = start()
		local c = connect(d)
		c:send("die\n")
		d:wait_log("worker g1%.1 ended: exit status 3, restarting at once")
		assert.is_number(ask_pid(d))
	end)

	it("that is stopped misses its beats and is killed", function ()
		local d = start("worker_timeout = 0.6")
		local pid = ask_pid(d)
		process.kill(pid, "STOP")
		d:wait_log("no beat for 0%.6 s: SIGABRT", 5)
		d:wait_log("ended: signal 9", 5)
		assert.not_equal(pid, ask_pid(d))
	end)

	it("that loops for ever is ended by SIGABRT", function ()
		local d = start('worker_timeout = 0.6; callback_timeout = 600')
		connect(d):send("hang\n")
		d:wait_log("ended: signal 6 %(SIGABRT%), restarting at once", 5)
		assert.is_number(ask_pid(d))
	end)

	it("is not judged by time in which the keeper itself was stopped", function ()
		local d = start("worker_timeout = 0.6")
		local pid = ask_pid(d)
		d:signal("STOP")
		assert.equal(pid, ask_pid(d))
		wait.sleep(2)
		d:signal("CONT")
		wait.sleep(0.5)
		assert.equal(pid, ask_pid(d))
		assert.equal("0", d:state().restarts)
	end)

	it("whose keeper is killed drains, and ends within orphan_timeout", function ()
		local d = start("orphan_timeout = 1", { exit = false })
		local pid = ask_pid(d)
		d:signal("KILL")
		d:wait_log("has died: this worker")
		wait.until_true(function () return not process.alive(pid) end, 8, "the orphan's end")
	end)
end)
