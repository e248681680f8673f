-- sd_notify: what a service manager hears, in which order.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local poll <const> = require "posix.poll"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local manager

local function listen()
	local dir = process.temp_dir()
	local fd = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0))
	assert(socket.bind(fd, { family = socket.AF_UNIX, path = dir .. "/notify" }))
	manager = { fd = fd, dir = dir, path = dir .. "/notify", heard = {} }
	return manager
end

local function drain()
	while poll.rpoll(manager.fd, 0) == 1 do
		manager.heard[#manager.heard + 1] = socket.recv(manager.fd, 4096)
	end
	return manager.heard
end

-- What was heard, without STATUS and WATCHDOG, one word each.
local function words()
	local list = {}
	for _, text in ipairs(drain()) do
		local word = text:match("^(%u+)=1")
		if word and word ~= "WATCHDOG" then list[#list + 1] = word end
	end
	return table.concat(list, " ")
end

local function count(prefix)
	local n = 0
	for _, text in ipairs(drain()) do
		if text:sub(1, #prefix) == prefix then n = n + 1 end
	end
	return n
end

describe("the service manager", function ()
	before_each(listen)
	after_each(function ()
		daemon.finish_all()
		unistd.close(manager.fd)
		process.remove_tree(manager.dir)
	end)

	it("hears READY, RELOADING with its time, READY and STOPPING, in this order", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path } }
		wait.until_true(function () return words() == "READY" end, 5, "READY")
		d:signal("HUP")
		wait.until_true(function () return words() == "READY RELOADING READY" end, 5, "a reload")
		assert.equal(1, count("RELOADING=1\nMONOTONIC_USEC="))
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
		assert.equal("READY RELOADING READY STOPPING", words())
		assert.is_true(count("STATUS=serving, generation 1, 1 worker") >= 1)
	end)

	it("hears READY after a reload when the workers have applied it, not before", function ()
		local d = daemon.start {
			env = { NOTIFY_SOCKET = manager.path }, config = 'modules_enabled = { "slow" }',
			allow = { "A callback took" }, modules = { slow = [[
				module:hook_global("config-reloaded", function ()
					local time = require "util.time"
					local till = time.monotonic() + 0.5
					while time.monotonic() < till do end
					module:log("info", "applied at last")
				end)
			]] },
		}
		d:signal("HUP")
		wait.until_true(function () return words() == "READY RELOADING READY" end, 10, "a reload")
		assert.equal(1, #d:log_lines("applied at last"))
	end)

	it("hears READY again after a reload that was refused", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path } }
		d:write_config("x = = 1")
		d:signal("HUP")
		wait.until_true(function () return words() == "READY RELOADING READY" end, 5, "a reload")
	end)

	it("hears WATCHDOG every half period, also while a worker is being restarted", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path, WATCHDOG_USEC = "200000" } }
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return count("WATCHDOG=1") >= 5 end, 3, "beats")
		d:signal("STOP")
		wait.sleep(0.1)
		local before = count("WATCHDOG=1")
		wait.sleep(0.5)
		assert.equal(before, count("WATCHDOG=1"))
		d:signal("CONT")
	end)

	it("is asked to keep each listener, and to drop it when it is closed", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path }, config =
			'modules_enabled = { "echo" }; echo_ports = { 0 }; interfaces = { "127.0.0.1" }' }
		local name <const> = "echo/127%.0%.0%.1/0/1"
		local function heard(pattern)
			for _, text in ipairs(drain()) do
				if text:find(pattern) then return true end
			end
		end
		wait.until_true(function () return heard("^FDSTORE=1\nFDPOLL=0\nFDNAME=" .. name .. "$") end,
			5, "FDSTORE")
		assert.is_nil(heard("^FDSTOREREMOVE"))
		d:write_config("modules_enabled = {}")
		d:signal("HUP")
		wait.until_true(function () return heard("^FDSTOREREMOVE=1\nFDNAME=" .. name .. "$") end, 10,
			"FDSTOREREMOVE")
	end)

	it("hears that a finish goes on while sessions fall", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path }, config =
			[[ modules_enabled = { "echo" }; echo_ports = { 0 }; interfaces = { "127.0.0.1" };
			worker_timeout = 4; worker_heartbeat = 0.1 ]] }
		local a, b <const> = d:connect("echo"), d:connect("echo")
		for _, c in ipairs { a, b } do
			c:send("x\n")
			c:line()
		end
		wait.until_true(function () return count("STATUS=serving, generation 1, 1 worker, 2") > 0 end,
			10, "two sessions")
		d:signal("USR1")
		wait.until_true(function () return words():find("STOPPING") end, 10, "the finish")
		a:close()
		wait.until_true(function () return count("EXTEND_TIMEOUT_USEC=") > 0 end, 10, "an extension")
		b:close()
		assert.equal(0, d:wait_exit(20))
	end)

	it("is not inherited by workers", function ()
		local d = daemon.start { env = { NOTIFY_SOCKET = manager.path, WATCHDOG_USEC = "9000000" } }
		local env = process.read_file(("/proc/%d/environ"):format(d:worker_pid())) or ""
		assert.is_nil(env:find("NOTIFY_SOCKET", 1, true))
		assert.is_nil(env:find("WATCHDOG_USEC", 1, true))
	end)
end)
