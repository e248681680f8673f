-- Workers share long-lived connections: judged by counts, not by time.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local teller <const> = [[
	module:set_global()
	module:hook("tell-shares", function (event)
		for _, server in ipairs(require "net.server".servers()) do
			if server:service() == "echo" then
				local s = server:stats()
				module:log("info", "shares %s: worker %d has %d, accepted %d, woken %d", event.round,
					prosody.worker, s.connections, s.accepted, s.wakeups)
			end
		end
	end)
	module:add_item("shell-command", { name = "tell", desc = "for a spec",
		args = { { name = "round" } }, handler = function (_, round)
			module:fire_event_all("tell-shares", { round = round })
			return true, "told"
		end })
]]

local function start(workers)
	local d <const> = daemon.start { fds = false, modules = { teller = teller }, config = [[
		modules_enabled = { "admin_shell", "echo", "teller" }
		echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
		max_connections_per_ip = 100000; max_connection_rate_per_ip = 1000000
	]] .. ("workers = %d\n"):format(workers) }
	wait.until_true(function ()
		local ready = 0
		for _ in d:log():gmatch("worker g1%.%d is ready") do ready = ready + 1 end
		return ready == workers
	end, 20, "all workers to be ready")
	return d
end

-- worker → { has, accepted, woken }
local function shares(d, workers, round)
	d:console("tell " .. round)
	local found
	wait.until_true(function ()
		found = {}
		for worker, has, accepted, woken in d:log():gmatch("shares " .. round
			.. ": worker (%d) has (%d+), accepted (%d+), woken (%d+)") do
			found[tonumber(worker)] = { has = tonumber(has), accepted = tonumber(accepted),
				woken = tonumber(woken) }
		end
		return #found == workers
	end, 20, "the shares of all workers")
	return found
end

local function worker_pids(d)
	local pids <const> = {}
	for _, info in ipairs(d:children()) do
		if info.parent == d.keeper_pid then pids[#pids + 1] = info.pid end
	end
	return pids
end

-- Opens so many, one after the other, each proven to be served.
local function open(d, count)
	local list <const>, port <const> = {}, d:port "echo"
	for i = 1, count do
		list[i] = assert(client.tcp("127.0.0.1", port, 20))
		assert(list[i]:send "x\n")
		assert.equal("x", list[i]:line())
	end
	return list
end

local function close(list)
	for _, c in ipairs(list) do c:close() end
end

-- Each has at least so many of a hundred.
local function assert_shared(found, least, total)
	for worker, share in ipairs(found) do
		assert.is_true(share.has * 100 >= least * total,
			("worker %d has %d of %d"):format(worker, share.has, total))
	end
end

describe("workers that share listeners", function ()
	after_each(daemon.finish_all)

	it("hold 40 : 60 or better of long-lived connections, at most 1.5 wake-ups an accept", function ()
		local d <const>, count <const> = start(2), 2000
		local list <const> = open(d, count)
		local found <const> = shares(d, 2, "a")
		assert.equal(count, found[1].has + found[2].has)
		assert_shared(found, 40, count)
		local woken <const> = found[1].woken + found[2].woken
		assert.is_true(woken <= 1.5 * count, ("%d wake-ups for %d accepts"):format(woken, count))
		close(list)
		d:stop()
	end)

	it("give those that come to who has lost his", function ()
		local d <const>, count <const> = start(2), 600
		close(open(d, count))
		local list <const> = open(d, count)
		wait.until_true(function ()
			local found <const> = shares(d, 2, "b" .. math.random(1e9))
			return found[1].has + found[2].has == count and found[1].has * 10 >= count * 4
				and found[2].has * 10 >= count * 4
		end, 30, "the shares to be even")
		close(list)
		d:stop()
	end)

	it("share three ways", function ()
		local d <const>, count <const> = start(3), 900
		local list <const> = open(d, count)
		assert_shared(shares(d, 3, "c"), 24, count)
		close(list)
		d:stop()
	end)

	it("share what comes at one time, too", function ()
		local d <const>, count <const> = start(2), 64
		local port <const> = d:port "echo"
		-- Both find all of them in the queue. One that is late by the load of the machine finds
		-- less, but not always nothing.
		local most = 0
		for round = 1, 5 do
			local list <const> = {}
			for _, pid in ipairs(worker_pids(d)) do process.kill(pid, "STOP") end
			for i = 1, count do list[i] = assert(client.tcp("127.0.0.1", port, 20)) end
			for _, pid in ipairs(worker_pids(d)) do process.kill(pid, "CONT") end
			for _, c in ipairs(list) do
				assert(c:send "x\n")
				assert.equal("x", c:line())
			end
			local found <const> = shares(d, 2, "burst" .. round)
			most = math.max(most, math.min(found[1].has, found[2].has))
			close(list)
		end
		assert.is_true(most >= count / 8, ("at most %d of %d in the second worker"):format(most, count))
		d:stop()
	end)

	it("let everybody in when the others do not answer", function ()
		local d <const> = start(2)
		local list <const> = open(d, 200)
		local pids <const> = worker_pids(d)
		process.kill(pids[2], "STOP")
		-- Over and over too many, and each is served all the same.
		local more <const> = open(d, 300)
		process.kill(pids[2], "CONT")
		close(list)
		close(more)
		d:stop()
	end)

	it("leave no file behind in the runtime folder", function ()
		local d <const> = start(2)
		assert.is_string(process.read_file(d.dir .. "/run/share.g1"))
		d:stop()
		assert.is_nil(process.read_file(d.dir .. "/run/share.g1"))
	end)

	it("are not counted when one is alone", function ()
		local d <const> = start(1)
		assert.is_nil(process.read_file(d.dir .. "/run/share.g1"))
		d:stop()
	end)
end)
