-- Ten thousand idle connections are held, and cost a struct and a descriptor each.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local resource <const> = require "posix.sys.resource"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local wanted <const> = 10000

-- Raises our own soft limit of descriptors; false where the machine does not allow enough.
local function enough_files()
	local limits <const> = resource.getrlimit(resource.RLIMIT_NOFILE)
	limits.rlim_cur = limits.rlim_max
	resource.setrlimit(resource.RLIMIT_NOFILE, limits)
	return limits.rlim_max < 0 or limits.rlim_max >= wanted + 600
end

local function open_many(port, count)
	local fds <const> = {}
	local address <const> = { family = socket.AF_INET, addr = "127.0.0.1", port = port }
	for number = 1, count do
		local fd <const> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
		fds[number] = fd
		assert(socket.connect(fd, address))
	end
	return fds
end

describe("ten thousand idle connections", function ()
	after_each(daemon.finish_all)

	it("are held while others are served, and leave no descriptor when they go", function ()
		if not enough_files() then
			pending("needs a file limit above " .. wanted + 600)
			return
		end
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe }, config =
			accept.probe_config(port, "", '"admin_socket", "admin_shell"') }
		local before <const> = accept.sizes(port)
		local fds <const> = open_many(port, wanted)
		wait.until_true(function ()
			return accept.sizes(port).fds >= before.fds + wanted - 2 -- those that ask come and go
		end, 20, "all to be accepted")
		local held <const> = accept.sizes(port)
		assert.equal(before.pid, held.pid)
		for number = 1, wanted, 997 do -- any of them still works
			assert(socket.send(fds[number], "still there\n"))
			assert.equal("still there\n", socket.recv(fds[number], 100))
		end
		for _, entry in ipairs(d:status().services) do
			if entry.service == "probe" then assert.is_true(entry.connections >= wanted) end
		end
		for _, fd in ipairs(fds) do unistd.close(fd) end
		wait.until_true(function () return accept.sizes(port).fds <= before.fds + 1 end, 20,
			"the descriptors to go")
		local after <const> = accept.sizes(port)
		local each <const> = (held.rss - before.rss) * 1024 / wanted
		print(("%d idle connections: %.0f bytes RSS each; RSS %d, %d, %d KiB; Lua %d, %d, %d KiB"):format(
			wanted, each, before.rss, held.rss, after.rss, before.lua, held.lua, after.lua))
		assert.is_true(each <= 4096 or not accept.resident_counts, ("%.0f bytes each"):format(each))
		assert.equal(before.refs, after.refs)
		assert.is_true(after.lua < before.lua + 512, "Lua keeps " .. after.lua - before.lua .. " KiB")
	end)

	it("do not keep a stop waiting", function ()
		if not enough_files() then
			pending("needs a file limit above " .. wanted + 600)
			return
		end
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe }, fds = false, config =
			accept.probe_config(port, "close_spread = 0.5; slow_callback = 5",
				'"lameduck", "graceful_shutdown"') }
		local fds <const> = open_many(port, wanted)
		wait.until_true(function ()
			return select(2, process.fds(d:worker_pid())) > wanted
		end, 20, "all to be accepted")
		d:signal("TERM")
		for _, fd in ipairs(fds) do -- all hear of the end
			assert.equal("", socket.recv(fd, 100))
			unistd.close(fd)
		end
		assert.equal(0, d:wait_exit(20))
	end)
end)
