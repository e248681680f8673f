local client <const> = require "spec.support.client"
local host_net <const> = require "host.net"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"
local unistd <const> = require "posix.unistd"

local run_until <const> = turns.run_until

local function hits(name)
	for _, limit in ipairs(host_net.stats().limits) do
		if limit.limit == name then return limit.hits end
	end
end

local function accepting(listeners, config, address)
	local r = turns.recorder()
	for name, fn in pairs(listeners or {}) do r.listeners[name] = fn end
	local listening = assert(server.listen(address or "127.0.0.1", 0, r.listeners, config))
	return listening, r
end

describe("a listener", function ()
	local dir <const> = process.temp_dir()
	teardown(function () process.remove_tree(dir) end)

	after_each(function ()
		host_net.limits {}
		server.set_config {}
		server.gate(true)
		turns.close_all()
		client.close_all()
	end)

	it("counts who was accepted, refused and is there", function ()
		local listening = accepting()
		local peers = {}
		for i = 1, 5 do peers[i] = assert(client.tcp("127.0.0.1", listening:serverport())) end
		run_until(function () return listening:stats().accepted == 5 end)
		peers[1]:close()
		run_until(function () return listening:stats().connections == 4 end)
		local stats = listening:stats()
		assert.is_true(stats.wakeups >= 1 and stats.wakeups <= 5)
		stats.wakeups = nil
		assert.same({ accepted = 5, refused = 0, connections = 4 }, stats)
	end)

	it("shuts its gate and opens it, and newcomers wait meanwhile", function ()
		local listening, r = accepting()
		assert.is_false(listening:gate(false))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		turns.run_for(0.03)
		assert.is_nil(r.count.onconnect)
		assert.is_true(listening:gate(true))
		run_until(function () return r.count.onconnect end)
		assert.equal("open", listening:state())
		server.gate(false)
		assert.equal("shut", listening:state())
		assert.equal("shut", accepting():state())
		peer:close()
	end)

	it("turns newcomers away at max_connections, but not those of class admin", function ()
		assert(host_net.limits { max_connections = 3 })
		local listening = accepting()
		local admin = accepting(nil, { class = "admin" })
		for _ = 1, 5 do assert(client.tcp("127.0.0.1", listening:serverport())) end
		run_until(function () return listening:stats().refused == 2 end)
		assert.equal(3, listening:stats().connections)
		assert.is_true(hits("max_connections") >= 2)
		assert(client.tcp("127.0.0.1", admin:serverport()))
		run_until(function () return admin:stats().connections == 1 end)
		server.handles { class = "client" }[1]:destroy()
		assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return listening:stats().accepted == 4 end)
	end)

	it("does not limit loopback by address", function ()
		assert(host_net.limits { max_connections_per_ip = 1, max_connection_rate_per_ip = 1 })
		local listening = accepting()
		for _ = 1, 10 do assert(client.tcp("127.0.0.1", listening:serverport())) end
		run_until(function () return listening:stats().accepted == 10 end)
	end)

	it("refuses what is no network in limits_exempt", function ()
		for _, bad in ipairs { "192.0.2.0/33", "2001:db8::/129", "example.org", "1.2.3.4/", "/8",
			"192.0.2.0/4294967300", "2001:db8::/4294967300" } do
			local ok, err = host_net.limits { limits_exempt = { "10.0.0.0/8", bad } }
			assert.is_nil(ok, bad)
			assert.matches(bad, err, 1, true)
		end
		assert(host_net.limits { limits_exempt = { "192.0.2.1", "10.0.0.0/8", "2001:db8::/32" } })
	end)

	it("tells the counts of client connections to core.sessions", function ()
		local sessions = require "core.sessions"
		local before = sessions.total()
		local listening = accepting(nil, { service = "chat", module = "chat" })
		local admin = accepting(nil, { class = "admin", service = "console" })
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		assert(client.tcp("127.0.0.1", admin:serverport()))
		run_until(function () return sessions.total() == before + 1 and
			admin:stats().connections == 1 end)
		assert.equal(1, sessions.total("chat"))
		peer:close()
		run_until(function () return sessions.total() == before end)
	end)

	it("takes class and service to its connections", function ()
		local listening = accepting(nil, { class = "admin", service = "console" })
		local other = accepting()
		assert(client.tcp("127.0.0.1", listening:serverport()))
		assert(client.tcp("127.0.0.1", other:serverport()))
		run_until(function () return #server.handles() == 2 end)
		assert.equal(1, #server.handles { class = "admin" })
		assert.equal(1, #server.handles { service = "console" })
		assert.equal(1, #server.handles { class = "client" })
		assert.equal(0, #server.handles { class = "client", service = "console" })
		local n = 0
		for conn in server.connections { class = "admin" } do
			n = n + 1
			assert.equal("console", conn:service())
		end
		assert.equal(1, n)
	end)

	it("sets TCP_NODELAY unless nagle is asked for", function ()
		local socket = require "posix.sys.socket"
		local listening = accepting()
		assert(client.tcp("127.0.0.1", listening:serverport()))
		local conn = run_until(function () return server.handles()[1] end)
		assert.equal(1, socket.getsockopt(conn:getfd(), 6, 1))
		server.set_config { nagle = true }
		assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return #server.handles() == 2 end)
		assert.equal(0, socket.getsockopt(server.handles()[1]:getfd(), 6, 1))
	end)

	it("fires ondisconnect with itself when it closes, and frees its port", function ()
		local heard
		local listening = accepting { ondisconnect = function (conn) heard = conn end }
		local port = listening:serverport()
		listening:close()
		local again = assert(server.listen("127.0.0.1", port, {}))
		assert.equal(listening, heard)
		assert.equal(port, again:serverport())
		assert.equal("closed", listening:state())
	end)

	it("serves those who were in its queue when it closes", function ()
		local listening, r = accepting({ onconnect = function (conn)
			conn:write("welcome\n")
		end }, { gate = false })
		local peers, closed = {}, nil
		for i = 1, 20 do peers[i] = assert(client.tcp("127.0.0.1", listening:serverport())) end
		assert.is_true(listening:close_gracefully(function (s) closed = s end))
		assert.equal("closing", listening:state())
		run_until(function () return closed end)
		assert.equal(listening, closed)
		assert.equal(20, #server.handles())
		turns.run_for(0.01)
		for i = 1, 20 do assert.equal("welcome", peers[i]:line()) end
		assert.is_not_nil(r)
	end)

	it("takes a close back until it is done", function ()
		local listening, r = accepting()
		local port = listening:serverport()
		listening:close_gracefully(function () error("closed though aborted") end)
		assert.is_true(listening:abort_close())
		assert.equal("open", listening:state())
		turns.run_for(0.02)
		assert(client.tcp("127.0.0.1", port))
		run_until(function () return r.count.onconnect end)
		listening:close_now()
		assert.is_false(listening:abort_close())
	end)

	it("removes its Unix path, but nobody else's", function ()
		local path = dir .. "/mine"
		local listening = assert(server.listen(path, 0, {}))
		listening:close_now()
		assert.is_nil(process.read_file(path))
		assert.is_nil(unistd.access(path))
		local second = assert(server.listen(path, 0, {}))
		os.remove(path)
		process.write_file(path, "somebody's file")
		second:close_now()
		assert.equal("somebody's file", process.read_file(path))
		os.remove(path)
	end)

	it("keeps its Unix path when the close is taken back", function ()
		local path = dir .. "/kept"
		local listening, r = accepting(nil, nil, path)
		listening:close()
		assert.is_nil(client.unix(path))
		assert.is_true(listening:abort_close())
		assert(client.unix(path))
		run_until(function () return r.count.onconnect end)
	end)

	it("replaces a stale Unix path and respects a live one", function ()
		local path = dir .. "/stale"
		local socket = require "posix.sys.socket"
		local fd = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
		assert(socket.bind(fd, { family = socket.AF_UNIX, path = path }))
		unistd.close(fd)
		assert(server.listen(path, 0, {}))
		local _, err = server.listen(path, 0, {})
		assert.equal("address already in use", err)
		process.write_file(dir .. "/file", "text")
		_, err = server.listen(dir .. "/file", 0, {})
		assert.equal("address already in use", err)
		assert.equal("text", process.read_file(dir .. "/file"))
	end)

	it("says what is wrong with an address", function ()
		local _, err = server.listen("192.0.2.1", 0, {})
		assert.matches("assign requested address", err)
		_, err = server.listen(dir .. "/" .. ("x"):rep(200), 0, {})
		assert.equal("file name too long", err:lower())
		_, err = server.listen("127.0.0.1", 70000, {})
		assert.equal("invalid argument", err)
		_, err = server.listen(dir .. "/none/such", 0, {})
		assert.equal("no such file or directory", err)
		assert.same({ nil, "tls context missing" },
			{ server.listen("127.0.0.1", 0, {}, { tls_direct = true }) })
	end)

	it("gives names that hold no colon and never two alike", function ()
		local server_listen = require "net.server_listen"
		assert.equal("net/%3a%3a/80/1", server_listen.make_name("::", 80))
		assert.equal("net/%2frun%2fx/0/1", server_listen.make_name("/run/x", 0))
		assert.is_true(#server_listen.make_name(("x"):rep(500), 0) <= 255)
		local first, second = accepting(), accepting()
		assert.not_equal(first:name(), second:name())
		assert.matches("^net/127%.0%.0%.1/0/%d+$", first:name())
	end)

	it("destroyed, leaves the socket to others who hold it", function ()
		local sys = require "host.sys"
		local listening = accepting()
		local port = listening:serverport()
		local held = sys.dup(listening:getfd())
		listening:destroy()
		assert.equal("closed", listening:state())
		assert(client.tcp("127.0.0.1", port))
		local again = assert(server.wrapserver(held, "127.0.0.1", port, {}))
		run_until(function () return again:stats().accepted == 1 end)
	end)

	it("wraps a socket of LuaSocket's shape", function ()
		local fd = assert(host_net.bind("127.0.0.1", 0))
		assert(host_net.listen(fd, 10))
		local r = turns.recorder()
		local s = assert(server.wrapserver({ getfd = function () return fd end, close = function ()
			unistd.close(fd)
		end }, "127.0.0.1", 0, r.listeners))
		assert(client.tcp("127.0.0.1", s:serverport()))
		run_until(function () return r.count.onconnect end)
		assert.is_nil((server.wrapserver(assert(host_net.bind("127.0.0.1", 0)), "x", 0, {})))
	end)
end)
