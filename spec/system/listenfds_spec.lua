local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local fcntl <const> = require "posix.fcntl"
local posix_socket <const> = require "posix.sys.socket"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

describe("LISTEN_FDS", function ()
	local fds, dir

	before_each(function ()
		fds, dir = {}, process.temp_dir()
	end)

	after_each(function ()
		daemon.finish_all()
		client.close_all()
		for _, fd in ipairs(fds) do unistd.close(fd) end
		process.remove_tree(dir)
	end)

	-- Out of the way of what process.spawn closes.
	local function keep(fd)
		fds[#fds + 1] = assert(fcntl.fcntl(fd, fcntl.F_DUPFD, 300))
		unistd.close(fd)
		return fds[#fds]
	end

	-- As systemd has it before anybody is started: bound, listening, and kept.
	local function give(address)
		local fd = assert(posix_socket.socket(address.family, posix_socket.SOCK_STREAM, 0))
		assert(posix_socket.bind(fd, address))
		assert(posix_socket.listen(fd, 16))
		return posix_socket.getsockname(keep(fd)).port
	end

	local function give_tcp()
		return give { family = posix_socket.AF_INET, addr = "127.0.0.1", port = 0 }
	end

	local function give_unix(name)
		local path = dir .. "/" .. name
		give { family = posix_socket.AF_UNIX, path = path }
		return path
	end

	local function start(names, config, modules)
		local wrap = { "lua5.4", "spec/support/listen_fds.lua", names }
		for i, fd in ipairs(fds) do wrap[3 + i] = tostring(fd) end
		wrap[#wrap + 1] = "--"
		return daemon.start { config = config, wrap = wrap, modules = modules, fds = false }
	end

	local function echoes(c)
		c:send("hello\n")
		return c:line() == "hello"
	end

	it("is adopted by address, and the socket lives on in the giver's hands", function ()
		local port = give_tcp()
		local early = client.tcp("127.0.0.1", port)
		local d = start("", ([[modules_enabled = { "echo" }; echo_interfaces = { "127.0.0.1" };
			echo_ports = { %d }]]):format(port))
		assert.is_true(echoes(early), "who came before the start is served")
		d:stop()
		local late = client.tcp("127.0.0.1", port)
		local again = start("", ([[modules_enabled = { "echo" }; echo_interfaces = { "127.0.0.1" };
			echo_ports = { %d }]]):format(port))
		assert.is_true(echoes(late), "who came between two runs is served")
		again:stop()
	end)

	it("is adopted by name, whatever the address", function ()
		local port = give_tcp()
		local d = start("echo", [[modules_enabled = { "echo" }; echo_interfaces = { "127.0.0.1" };
			echo_ports = { 0 }]])
		assert.is_true(echoes(client.tcp("127.0.0.1", port)))
		d:stop()
	end)

	it("keeps several sockets of one name apart", function ()
		local first, second = give_tcp(), give_tcp()
		local d = start("gw.socket:gw.socket", ([[modules_enabled = { "echo" };
			echo_interfaces = { "127.0.0.1" }; echo_ports = { %d, %d }]]):format(first, second))
		assert.is_true(echoes(client.tcp("127.0.0.1", first)))
		assert.is_true(echoes(client.tcp("127.0.0.1", second)))
		d:stop()
	end)

	it("never removes a passed Unix path, and serves it", function ()
		local path = give_unix("echo.sock")
		local before = stat.stat(path)
		local d = start("", ([[modules_enabled = { "echo" }; echo_interfaces = { %q };
			echo_ports = { 0 }]]):format(path))
		assert.is_true(echoes(client.unix(path)))
		d:stop()
		local after = assert(stat.stat(path), "the path is still there")
		assert.equal(before.st_ino, after.st_ino)
	end)

	it("is served again by a worker that comes after a crash", function ()
		local port = give_tcp()
		local d = start("", ([[modules_enabled = { "echo" }; echo_interfaces = { "127.0.0.1" };
			echo_ports = { %d }]]):format(port))
		assert.is_true(echoes(client.tcp("127.0.0.1", port)))
		process.kill(d:worker_pid(), 9)
		assert.is_true(echoes(client.tcp("127.0.0.1", port)))
		d:stop()
	end)

	it("warns of a passed descriptor that is no bound socket, and starts", function ()
		local read_end, write_end = unistd.pipe()
		keep(read_end)
		keep(write_end)
		local d = start("", [[modules_enabled = { "echo" }; echo_ports = { 0 }]])
		assert.matches("passed descriptor 0 %(unknown%) refused: not a bound socket", d:log())
		d:stop()
	end)
end)
