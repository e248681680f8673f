-- Two hosts on one machine, from two configs, and two generations of one host.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local SIGRTMIN_1 <const> = 35

local greet <const> = [[
	module:provides("net", { name = "greet", listener = {
		onconnect = function (conn) conn:write(("%d %s\n"):format(prosody.generation,
			module:get_option_string("greeting", "none"))) end,
	} })
]]

local function start(greeting, more)
	return daemon.start { fds = false, modules = { greet = greet }, config = ([[
		modules_enabled = { "greet", "admin_socket", "admin_shell", "lameduck", "graceful_shutdown" }
		greet_ports = { 0 }; greet_interface = "127.0.0.1"; greeting = %q; lameduck_period = 0.1
		%s ]]):format(greeting, more or "") }
end

local function greeting_of(d)
	local c <close> = assert(client.tcp("127.0.0.1", d:port("greet"), 5))
	return c:line()
end

local function command(d, ...)
	return process.run { argv = { daemon.binary(), ..., "-c", d.config_file }, env = {
		GADWALL_SOCKET = false, GADWALL_CONFIG = false } }
end

describe("two hosts on one machine", function ()
	after_each(daemon.finish_all)

	it("do not meet: each answers for itself, and the end of one is not the other's", function ()
		local a <const>, b <const> = start("first"), start("second")
		assert.equal("1 first", greeting_of(a))
		assert.equal("1 second", greeting_of(b))
		for _, d in ipairs { a, b } do
			local code, out = command(d, "status")
			assert.equal(0, code)
			assert.matches("pid " .. d.keeper_pid, out)
			assert.equal(d.keeper_pid, d:status().pid)
		end
		assert.equal(0, (command(a, "reload", "greet")))
		assert.equal(1, #a:log_lines("greet.*[Rr]eloaded") + 1 - #b:log_lines("greet.*[Rr]eloaded"))
		assert.equal(0, (command(a, "stop")))
		assert.equal(0, a:wait_exit())
		assert.equal("1 second", greeting_of(b))
		assert.equal("serving", b:state().state)
		assert.equal(3, (command(a, "status")))
		assert.equal(0, (command(b, "status")))
	end)

	it("do not feel each other's signals, killed workers and killed keepers", function ()
		-- a worker whose keeper is killed lives on for so long
		local a <const>, b <const> = start("first", "orphan_timeout = 0.2"), start("second")
		a.spec.exit = false
		local worker <const> = b:worker_pid()
		process.kill(a:worker_pid(), "KILL")
		wait.until_true(function () return a:state().restarts == "1" end, 5, "a restart")
		a:signal("HUP")
		a:signal("KILL")
		a:wait_exit()
		assert.equal("1 second", greeting_of(b))
		assert.equal(worker, b:worker_pid())
		assert.equal("0", b:state().restarts)
	end)

	it("with one port between them: the second says which, and what to do", function ()
		local port <const> = client.free_port()
		local a <const> = start("first", ("greet_ports = { %d }"):format(port))
		local b <const> = daemon.start { modules = { greet = greet }, expect_exit = true,
			config = ([[ modules_enabled = { "greet" }; greet_ports = { %d };
			greet_interface = "127.0.0.1" ]]):format(port) }
		assert.equal(69, b:wait_exit())
		assert.matches("127%.0%.0%.1.-" .. port, b:log())
		assert.matches("in use", b:log())
		assert.matches("greet_ports", b:log())
		assert.equal("1 first", greeting_of(a))
	end)
end)

describe("a second generation", function ()
	after_each(daemon.finish_all)

	-- Inode of the socket that listens on a port.
	local function listener_inode(port)
		for line in io.lines("/proc/net/tcp") do
			local hex, inode = line:match("^%s*%d+: %x+:(%x+) %x+:%x+ 0A .- %x+%s+%d+%s+%d+ (%d+)")
			if hex and tonumber(hex, 16) == port then return ("socket:[%s]"):format(inode) end
		end
	end

	it("started by the test verb shares the first one's listener: one socket, both accept", function ()
		local d <const> = start("shared")
		local port <const>, first <const> = d:port("greet"), d:worker_pid()
		local inode <const> = assert(listener_inode(port))
		d:signal(SIGRTMIN_1)
		d:wait_log("worker g2%.1 is ready")
		local seen <const> = {}
		wait.until_true(function ()
			local c <close> = assert(client.tcp("127.0.0.1", port, 5))
			seen[assert(c:line())] = true
			return seen["1 shared"] and seen["2 shared"]
		end, 10, "both generations to accept")
		assert.equal(inode, listener_inode(port))
		local holders = 0
		for _, pid in ipairs { d.keeper_pid, first, d:worker_pid() } do
			for _, target in pairs((process.fds(pid))) do
				if target == inode then holders = holders + 1 end
			end
		end
		assert.equal(3, holders)
		assert.not_equal(first, d:worker_pid())
		d:stop()
		assert.same({}, d:log_lines("accept: "))
	end)

	it("loses no connect when either is killed", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { fds = false, modules = { probe = accept.probe },
			config = accept.probe_config(port) }
		d:signal(SIGRTMIN_1)
		d:wait_log("worker g2%.1 is ready")
		local loops <const> = accept.connect_loops(d.dir, port, 2)
		for _ = 1, 6 do
			local pid <const> = accept.pid(port)
			process.kill(pid, "KILL")
			wait.until_true(function () return not process.alive(pid) end)
			accept.pid(port)
		end
		local sums <const> = loops:stop()
		assert.equal(0, sums.refused + sums.timeout + sums.other)
		assert.is_true(sums.reset + sums.eof <= 12)
	end)
end)
