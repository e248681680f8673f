local client <const> = require "spec.support.client"
local logger <const> = require "util.logger"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local run_until <const>, recorder <const> = turns.run_until, turns.recorder

local function accept(listeners, config)
	local r = recorder()
	for name, fn in pairs(listeners or {}) do r.listeners[name] = fn end
	local listening = assert(server.listen("127.0.0.1", 0, r.listeners, config))
	local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
	local conn = run_until(function () return server.handles()[1] end, 2, "the connection")
	return conn, peer, r, listening
end

describe("a handle", function ()
	after_each(function ()
		turns.close_all()
		client.close_all()
		collectgarbage()
	end)

	it("is a table key and itself in every callback", function ()
		local seen = {}
		local function note(conn) seen[conn] = (seen[conn] or 0) + 1 end
		local _, peer = accept { onconnect = note, onincoming = note, ondisconnect = note }
		peer:send("x")
		run_until(function () local _, n = next(seen) return n == 2 end)
		peer:close()
		run_until(function () local _, n = next(seen) return n == 3 end)
		local conn = next(seen)
		assert.is_nil(next(seen, conn))
	end)

	it("takes any field, false and nil among them, and hides a method with it", function ()
		local conn = accept()
		assert.is_nil(conn._mine)
		conn._mine = { 1 }
		assert.same({ 1 }, conn._mine)
		conn.starttls = false
		assert.is_false(conn.starttls)
		conn.starttls = nil
		assert.is_function(conn.starttls)
		conn.ip = function () return "192.0.2.1" end
		assert.equal("192.0.2.1", conn:ip())
		assert.equal("127.0.0.1", require "host.net".conn_methods.ip(conn))
		conn[1] = "number keys are ours too"
		assert.equal("number keys are ours too", conn[1])
	end)

	it("lets its own callbacks win over the listener table's", function ()
		local conn, peer, r = accept()
		local got
		conn.onincoming = function (_, data) got = data end
		peer:send("x")
		run_until(function () return got end)
		assert.equal("x", got)
		assert.equal("", r.data)
		conn.onincoming = nil
		peer:send("y")
		run_until(function () return r.data == "y" end)
	end)

	it("works through methods that were taken from it before", function ()
		local conn, peer = accept()
		local write, close = conn.write, conn.close
		write(conn, "hello\n")
		run_until(function () return conn:queued() == 0 end)
		assert.equal("hello", peer:line())
		close(conn)
		assert.is_true(peer:closed())
	end)

	it("knows its names, numbers and times", function ()
		local conn, _, r, listening = accept(nil, { service = "chat", class = "admin" })
		assert.equal("127.0.0.1", conn:ip())
		assert.equal(listening:serverport(), conn:serverport())
		assert.equal(conn:port(), conn:clientport())
		assert.equal(listening, conn:server())
		assert.equal(listening, listening:server())
		assert.equal("admin", conn:class())
		assert.equal("chat", conn:service())
		assert.matches("^conn%x+$", conn.id)
		assert.equal(conn.id, conn.id)
		assert.is_true(math.abs(conn.created - os.time()) < 3)
		assert.equal(r.listeners, conn.listeners)
		assert.equal(conn:getfd(), conn:socket():getfd())
		assert.is_function(conn.log)
		assert.is_nil(conn.writebuffer)
		assert.is_nil(conn:ssl())
		assert.equal(("FD %d (127.0.0.1, %d, 127.0.0.1, %d)"):format(conn:getfd(),
			conn:clientport(), conn:serverport()), tostring(conn))
	end)

	it("is harmless after its end", function ()
		local conn = accept()
		conn:destroy()
		assert.equal(-1, conn:getfd())
		assert.is_nil(conn:write("x"))
		assert.equal(0, select("#", conn:write("x")))
		conn:close()
		conn:destroy()
		conn:pause()
		conn:resume()
		conn:pausefor(1)
		conn:setlistener({})
		conn:set_mode("*l")
		conn:setreadtimeout(1)
		conn:setwritetimeout(1)
		conn:pause_writes()
		conn:resume_writes()
		assert.is_false((conn:setoption("keepalive", true)))
		assert.matches("^FD %-1", tostring(conn))
		assert.equal("closed", conn:state())
	end)

	it("refuses a receiver that is no connection", function ()
		local conn = accept()
		assert.error_matches(function () conn.write(io.stdout, "x") end, "connection expected")
		assert.error_matches(function () conn.write({}, "x") end, "connection expected")
		assert.error_matches(function () conn.write(server.servers()[1], "x") end,
			"connection expected")
	end)

	it("changes its listeners with ondetach and onattach, without onconnect", function ()
		local conn, peer, first = accept()
		local second = recorder()
		conn:setlistener(second.listeners, "data")
		assert.equal("onconnect ondetach", first.names())
		assert.same({ { "onattach", "data" } }, second.events)
		peer:send("x")
		run_until(function () return second.data == "x" end)
		assert.equal(second.listeners, conn.listeners)
	end)

	it("is served by functions that were put into the listener table after listen", function ()
		local listeners, got = {}, nil
		local listening = assert(server.listen("127.0.0.1", 0, listeners))
		function listeners.onincoming(_, data) got = data end
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		peer:send("x")
		run_until(function () return got end)
		function listeners.onincoming(_, data) got = "second " .. data end
		server.refresh(listeners)
		peer:send("y")
		run_until(function () return got == "second y" end)
	end)

	it("is served by functions that changed between two newcomers of one batch", function ()
		local listeners, got = {}, {}
		function listeners.onconnect()
			listeners.onconnect = nil
			function listeners.onincoming(_, data) got[#got + 1] = data end
		end
		local listening = assert(server.listen("127.0.0.1", 0, listeners))
		for i = 1, 3 do -- all in the queue before the loop runs
			assert(client.tcp("127.0.0.1", listening:serverport())):send(tostring(i))
		end
		run_until(function () return #got == 3 end)
		-- nothing but the loop's own work has run since the last one came
		function listeners.onincoming(_, data) got[#got + 1] = "new " .. data end
		assert(client.tcp("127.0.0.1", listening:serverport())):send("4")
		run_until(function () return #got == 4 end)
		table.sort(got)
		assert.same({ "1", "2", "3", "new 4" }, got)
	end)

	it("logs an error of a callback with its line and goes on", function ()
		local lines = {}
		local sink = logger.add_simple_sink(function (_, level, message)
			if level == "error" then lines[#lines + 1] = message end
		end, { "error" })
		local conn, peer = accept { onincoming = function (c, data)
			c:write("got " .. data .. "\n")
			error("broken")
		end }
		peer:send("x")
		run_until(function () return lines[1] end)
		logger.remove_sink(sink)
		assert.matches("^Error calling onincoming: .*net_handle_spec.lua:%d+: broken", lines[1])
		assert.matches("stack traceback", lines[1])
		assert.equal("got x", peer:line())
		assert.equal("open", conn:state())
	end)

	it("ends with fatal_errors when a callback raises", function ()
		server.set_config { fatal_errors = true }
		finally(function () server.set_config {} end)
		local _, peer = accept { onincoming = function () error("broken", 0) end }
		peer:send("x")
		run_until(function () return #server.handles() == 0 end)
		assert.is_true(peer:closed())
	end)

	it("gives an error to the listener's onerror for the words to log", function ()
		local given
		local conn, peer = accept {
			onincoming = function () error("broken", 0) end,
			onerror = function (err) given = err return "words" end,
		}
		peer:send("x")
		run_until(function () return given end)
		assert.matches("^broken", given)
		assert.equal("open", conn:state())
	end)

	it("tells the pid and user of a Unix peer", function ()
		local name = "@gw-cred-" .. os.time() .. math.random(1 << 30)
		assert(server.listen(name, 0, {}))
		local conn = assert(server.addclient(name, 0, {}))
		local pid, uid = conn:peercred()
		assert.equal(require "posix.unistd".getpid(), pid)
		assert.equal(require "posix.unistd".geteuid(), uid)
	end)

	it("is collected with all that hangs on it when it has gone", function ()
		local weak = setmetatable({}, { __mode = "k" })
		local conn, peer = accept()
		weak[conn] = true
		conn.cycle = { conn }
		conn.onincoming = function () return conn end
		peer:close()
		run_until(function () return conn:state() == "closed" end)
		conn = nil -- luacheck: ignore 311
		turns.close_all()
		collectgarbage()
		collectgarbage()
		assert.is_nil(next(weak))
	end)

	it("can be adopted from a descriptor and from an object", function ()
		local socket = require "posix.sys.socket"
		local a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0)
		local r = recorder()
		assert(server.wrapclient(a, "peer", 7, r.listeners))
		local closed = false
		local object = { getfd = function () return b end, close = function ()
			closed = true
			require "posix.unistd".close(b)
		end }
		local other = assert(server.wrapclient(object, "peer", 7, {}))
		assert.is_true(closed)
		other:write("over the pair")
		run_until(function () return r.data ~= "" end)
		assert.equal("over the pair", r.data)
		assert.equal("peer", other:ip())
		assert.equal("onconnect", r.events[1][1])
	end)
end)

describe("watchfd", function ()
	it("tells of a descriptor that somebody else owns", function ()
		local unistd = require "posix.unistd"
		local r, w = unistd.pipe()
		local got
		local watch = assert(server.watchfd({ getfd = function () return r end }, function (self)
			got = unistd.read(self:getfd(), 10)
			self:close()
		end))
		unistd.write(w, "x")
		run_until(function () return got end)
		assert.equal("x", got)
		assert.equal(-1, watch:getfd())
		watch:close()
		unistd.close(r)
		unistd.close(w)
	end)

	it("can be switched off and on", function ()
		local unistd = require "posix.unistd"
		local r, w = unistd.pipe()
		local calls = 0
		local watch = assert(server.watchfd(r, function (self)
			calls = calls + 1
			self:setflags(false)
		end))
		unistd.write(w, "x")
		turns.run_for(0.02)
		assert.equal(1, calls)
		watch:setflags(true)
		turns.run_for(0.02)
		assert.equal(2, calls)
		watch:close()
		unistd.close(r)
		unistd.close(w)
	end)
end)
