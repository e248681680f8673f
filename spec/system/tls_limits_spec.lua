-- How many handshakes may be under way.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local tls_service <const> = require "spec.support.tls_service"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local modules <const> = { secure = tls_service.module("secure"),
	upgrading = tls_service.module("upgrading", "starttls"),
	desk = tls_service.module("desk", "ssl", "admin") }

local quick <const> = "network_settings = { ssl_handshake_timeout = 1 }"

describe("max_handshakes", function ()
	local dir
	before_each(function () dir = process.temp_dir() end)
	after_each(function ()
		client.close_all()
		daemon.finish_all()
		process.remove_tree(dir)
	end)

	local function start(config)
		tls.make(dir, "localhost")
		return daemon.start { modules = modules, fds = false, config = ([[
			modules_enabled = { "admin_socket", "admin_shell", "secure", "upgrading", "desk" }
			interfaces = { "127.0.0.1" }; certificates = "%s"
			ssl = { certificate = "%s/localhost.crt", key = "%s/localhost.key" }
		]]):format(dir, dir, dir) .. config }
	end

	-- What a client of Python's ssl hears to a hello, or why it does not.
	local function says(port)
		local code, out, err = process.run { timeout = 30, argv = { "python3", "-c", ([[
import ssl, socket
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("127.0.0.1", %d), 10))
s.sendall(b"hello\n")
print(s.recv(100))
]]):format(port) } }
		return code == 0 and out or err
	end

	local function hits(d)
		for _, row in ipairs(d:status().limits) do
			if row.limit == "max_handshakes" then return row.hits end
		end
		return 0
	end

	-- Opens a connection on which no handshake ever comes; those that are shed end at once.
	local function stalled(port, count)
		local list <const> = {}
		for i = 1, count do list[i] = assert(client.tcp("127.0.0.1", port)) end
		return list
	end

	local function ended(list, seconds)
		local count = 0
		for _, c in ipairs(list) do
			if c:closed(seconds or 0.01) then count = count + 1 end
		end
		return count
	end

	it("sheds who comes beyond it, says so, and harms nobody else", function ()
		local d <const> = start "max_handshakes = 4"
		local port <const> = d:port("secure")
		local plain <const> = d:connect(d:port("upgrading"))
		local list <const> = stalled(port, 40)
		wait.until_true(function () return ended(list) == 36 end, 10, "36 of 40 are shed")
		assert.equal(36, hits(d))
		assert.is_true(#d:log_lines("max_handshakes reached, newcomers are turned away") >= 1)
		assert.is_true(#d:log_lines("max_handshakes reached") <= 5)
		assert.matches("b'hello", says(d:port("desk"))) -- class admin is not counted
		plain:send("still here\n")
		assert.equal("still here", plain:line())
		for _, c in ipairs(list) do c:close() end
		wait.until_true(function () return says(port):find("b'hello", 1, true) end, 10,
			"room for newcomers")
	end)

	it("leaves an established connection alone, and makes room at ssl_handshake_timeout", function ()
		local d <const> = start("max_handshakes = 2; " .. quick)
		local port <const> = d:port("secure")
		local from <const>, to <const> = unistd.pipe()
		local child <const> = process.spawn { stdout = dir .. "/out", stdin = from,
			argv = { "openssl", "s_client", "-quiet", "-connect", "127.0.0.1:" .. port } }
		local function round(text)
			unistd.write(to, text .. "\n")
			wait.until_true(function ()
				return (process.read_file(dir .. "/out") or ""):find(text, 1, true)
			end, 10, text)
		end
		round "before"
		local list <const> = stalled(port, 10)
		wait.until_true(function () return ended(list) >= 8 end, 10, "8 of 10 are shed")
		round "between"
		wait.until_true(function () return ended(list) == 10 end, 10, "the deadline")
		d:wait_log("ended: connection timeout")
		assert.matches("b'hello", says(port))
		round "after"
		unistd.close(from)
		unistd.close(to)
		child:destroy()
	end)

	it("ends a STARTTLS beyond it with words", function ()
		local d <const> = start "max_handshakes = 2"
		local list <const> = {}
		for i = 1, 3 do
			list[i] = d:connect(d:port("upgrading"))
			list[i]:send("STARTTLS\n")
			assert.equal("go", list[i]:line())
		end
		assert.is_true(list[3]:closed(5))
		d:wait_log("ended: too many handshakes")
		assert.equal(1, hits(d))
		assert.equal(0, ended { list[1], list[2] })
		list[1]:close()
		wait.until_true(function ()
			local c <const> = d:connect(d:port("upgrading"))
			c:send("STARTTLS\n")
			assert.equal("go", c:line())
			return not c:closed(0.1)
		end, 10, "a place that was given back")
	end)

	it("is a quarter of max_connections by default", function ()
		local d <const> = start "max_connections = 32"
		local list <const> = stalled(d:port("secure"), 20)
		wait.until_true(function () return ended(list) == 12 end, 10, "8 of 20 stay")
		assert.equal(12, hits(d))
	end)
end)
