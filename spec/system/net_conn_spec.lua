local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local run_until <const>, recorder <const> = turns.run_until, turns.recorder

local function echo()
	return recorder { onincoming = function (conn, data) conn:write(data) end }
end

local function pair(server_extra, client_extra, config)
	local s, c = recorder(server_extra), recorder(client_extra)
	local listening = assert(server.listen("127.0.0.1", 0, s.listeners, config))
	local conn = assert(server.addclient("127.0.0.1", listening:serverport(), c.listeners))
	run_until(function () return s.count.onconnect and c.count.onconnect end, 2, "both to connect")
	return s, c, conn, listening
end

describe("a connection", function ()
	after_each(function ()
		server.set_config {}
		turns.close_all()
		client.close_all()
	end)

	local dir <const> = process.temp_dir()
	teardown(function () process.remove_tree(dir) end)

	for name, address in pairs { IPv4 = "127.0.0.1", IPv6 = "::1", ["a Unix path"] = dir .. "/s",
		["an abstract name"] = "@gw-spec-" .. dir:match("[^/]+$") } do
		it("echoes over " .. name, function ()
			local s, c = echo(), recorder()
			local listening = assert(server.listen(address, 0, s.listeners))
			local conn = assert(server.addclient(address, listening:serverport(), c.listeners))
			assert.equal(5, conn:write("hello"))
			run_until(function () return c.data == "hello" end, 2, "the echo")
			conn:close()
			run_until(function () return s.count.ondisconnect end, 2, "the end")
			assert.equal("closed", s.why)
			assert.is_nil(c.why)
			assert.equal(1, s.count.ondisconnect)
			assert.equal(1, c.count.ondisconnect)
		end)
	end

	it("lets * and :: stand beside each other on one port", function ()
		local first = assert(server.listen("*", 0, {}))
		local second = assert(server.listen("::", first:serverport(), {}))
		assert.equal(first:serverport(), second:serverport())
	end)

	it("keeps what is written before it is connected, in order", function ()
		local s = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		local conn = assert(server.addclient("127.0.0.1", listening:serverport(), {
			onconnect = function (c) c:write("c") end,
		}))
		conn:write("a")
		conn:write("b")
		run_until(function () return #s.data == 3 end, 2, "the bytes")
		assert.equal("abc", s.data)
	end)

	it("drains once after connecting, as Prosody's does", function ()
		local _, c = pair()
		run_until(function () return c.count.ondrain end, 1, "the drain")
		assert.equal("onconnect ondrain", c.names())
	end)

	it("tells a refused connect by ondisconnect alone", function ()
		local c = recorder()
		assert(server.addclient("127.0.0.1", client.free_port(), c.listeners))
		run_until(function () return c.count.ondisconnect end, 2, "the refusal")
		assert.equal("connection refused", c.why)
		assert.equal("ondisconnect", c.names())
	end)

	it("answers Prosody's words to bad addresses", function ()
		assert.same({ nil, "invalid-ip" }, { server.addclient("example.org", 80, {}) })
		assert.same({ nil, "invalid socket type" },
			{ server.addclient("127.0.0.1", 80, {}, nil, nil, "sctp") })
		local listening = assert(server.listen("127.0.0.1", 0, {}))
		local again, err = server.listen("127.0.0.1", listening:serverport(), {})
		assert.is_nil(again)
		assert.equal("address already in use", err)
	end)

	it("sends all writes of one callback in one piece", function ()
		local s, c, conn = pair({ onincoming = function (other)
			for i = 1, 20 do other:write(tostring(i % 10)) end
		end })
		conn:write("x")
		run_until(function () return #c.data == 20 end, 2, "the answer")
		assert.equal(1, c.count.onincoming)
		assert.equal(1, s.count.ondrain)
	end)

	it("sends one piece to each of two connections that are written to by turns", function ()
		local a, b = recorder(), recorder()
		local conns = {}
		local listening = assert(server.listen("127.0.0.1", 0, {
			onconnect = function (conn) conns[#conns + 1] = conn end,
			onincoming = function ()
				for _ = 1, 50 do
					conns[1]:write("one")
					conns[2]:write("two")
				end
			end,
		}))
		local first = assert(server.addclient("127.0.0.1", listening:serverport(), a.listeners))
		run_until(function () return #conns == 1 end)
		assert(server.addclient("127.0.0.1", listening:serverport(), b.listeners))
		run_until(function () return #conns == 2 end)
		first:write("go")
		run_until(function () return #a.data == 150 and #b.data == 150 end, 2, "both")
		assert.equal(("one"):rep(50), a.data)
		assert.equal(("two"):rep(50), b.data)
		assert.equal(1, a.count.onincoming)
		assert.equal(1, b.count.onincoming)
	end)

	it("sends what is queued before it closes, however much", function ()
		local size <const> = 8 * 1024 * 1024
		local s, c = recorder({ onconnect = function (conn)
			conn:write(("x"):rep(size))
			conn:close()
			assert.is_nil(conn:write("too late"))
		end }), { bytes = 0 }
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		assert(server.addclient("127.0.0.1", listening:serverport(), {
			onincoming = function (_, data) c.bytes = c.bytes + #data end,
			ondisconnect = function (_, why) c.why = why end,
		}))
		run_until(function () return c.why end, 10, "the end")
		assert.equal(size, c.bytes)
		assert.equal("closed", c.why)
		assert.equal(1, s.count.ondisconnect)
		assert.is_nil(s.why)
	end)

	it("still answers a peer that has finished sending", function ()
		local s = echo()
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		peer:send("last words")
		peer:shutdown()
		run_until(function () return s.count.ondisconnect end, 2, "the end")
		assert.equal("last words", peer:read_all())
	end)

	it("tells a reset as closed", function ()
		local s = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return s.count.onconnect end)
		peer:reset()
		run_until(function () return s.count.ondisconnect end, 2, "the reset")
		assert.equal("closed", s.why)
		assert.equal(1, s.count.ondisconnect)
	end)

	it("delivers what the peer sent before it went, though our write failed", function ()
		local s = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return s.count.onconnect end)
		peer:send("bye")
		peer:close()
		s.conn:write("1")
		run_until(function () s.conn:write("2") return s.count.ondisconnect end, 2, "the end")
		assert.equal("bye", s.data)
		assert.equal("closed", s.why)
	end)

	it("ends a silent connection after read_timeout, unless its listener says no", function ()
		server.set_config { read_timeout = 0.2 }
		local stays = 2
		local _, c = pair({}, { onreadtimeout = function ()
			stays = stays - 1
			return stays > 0
		end }, { read_timeout = 60 })
		local started = require "host.loop".monotonic()
		run_until(function () return c.count.ondisconnect end, 8, "the timeout")
		local took = require "host.loop".monotonic() - started
		assert.equal(2, c.count.onreadtimeout)
		assert.equal("read timeout", c.why)
		assert.is_true(took > 0.35 and took < 5, "took " .. took)
	end)

	it("says read timeout where nobody asks for more time", function ()
		local s = pair({}, {}, { read_timeout = 0.1 })
		run_until(function () return s.count.ondisconnect end, 2, "the timeout")
		assert.equal("read timeout", s.why)
		assert.equal(1, s.count.onreadtimeout)
	end)

	it("counts silence from the last read", function ()
		local s, _, conn = pair({}, {}, { read_timeout = 0.2 })
		local beats = 0
		server.add_task(0.1, function ()
			beats = beats + 1
			conn:write(".")
			return beats < 5 and 0.1 or nil
		end)
		run_until(function () return s.count.ondisconnect end, 3, "the timeout")
		assert.equal(5, #s.data)
	end)

	it("ends a peer that does not read after send_timeout", function ()
		server.set_config { send_timeout = 0.2 }
		local s = recorder { onconnect = function (conn) conn:write(("x"):rep(16 << 20)) end }
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return s.count.ondisconnect end, 20, "the timeout")
		assert.equal("write timeout", s.why)
	end)

	it("bounds the queue and ends who does not read", function ()
		server.set_config { max_send_buffer_size = 100000 }
		local results = {}
		local s = recorder()
		local listening = assert(server.listen("127.0.0.1", 0, s.listeners))
		assert(client.tcp("127.0.0.1", listening:serverport()))
		run_until(function () return s.count.onconnect end)
		for i = 1, 1000 do
			results[i] = s.conn:write(("x"):rep(65536))
			if results[i] == false then break end
		end
		assert.is_false(results[#results])
		assert.equal("no space left in buffer", s.why)
		assert.equal(1, s.count.ondisconnect)
		assert.equal(-1, s.conn:getfd())
	end)

	it("refuses without ending it while writes are held back", function ()
		server.set_config { max_send_buffer_size = 1000 }
		local s, _, conn = pair()
		s.conn:pause_writes()
		assert.equal(900, s.conn:write(("x"):rep(900)))
		assert.is_false(s.conn:write(("x"):rep(900)))
		assert.is_nil(s.count.ondisconnect)
		assert.equal(900, s.conn:queued())
		s.conn:resume_writes()
		run_until(function () return s.conn:queued() == 0 end, 2, "the queue to empty")
		assert.equal("open", conn:state())
	end)

	it("pauses and resumes reading", function ()
		local s, _, conn = pair()
		s.conn:pause()
		conn:write("x")
		conn:write("y")
		turns.run_for(0.05)
		assert.equal("", s.data)
		s.conn:resume()
		run_until(function () return s.data == "xy" end, 2, "the bytes")
	end)

	it("pauses for a time", function ()
		local s, _, conn = pair()
		s.conn:pausefor(0.1)
		conn:write("x")
		turns.run_for(0.05)
		assert.equal("", s.data)
		run_until(function () return s.data == "x" end, 1, "the byte")
	end)

	it("keeps to a rate limit", function ()
		local s, _, conn = pair({ onconnect = function (c) c:setlimit(10000) end }, {},
			{ read_size = 1000 })
		local started = require "host.loop".monotonic()
		conn:write(("x"):rep(4000))
		run_until(function () return #s.data == 4000 end, 8, "the bytes")
		local took = require "host.loop".monotonic() - started
		assert.is_true(took > 0.25 and took < 3, "took " .. took)
	end)

	it("keeps to a rate limit when bytes come one by one", function ()
		local s, _, conn = pair({ onconnect = function (c) c:setlimit(1000) end }, {},
			{ read_size = 1 })
		local started = require "host.loop".monotonic()
		conn:write(("x"):rep(300))
		run_until(function () return #s.data == 300 end, 5, "the bytes")
		local took = require "host.loop".monotonic() - started
		assert.is_true(took > 0.2, "took " .. took)
	end)

	it("gives at most read_size bytes at a time and says timeout for less", function ()
		local s, _, conn = pair({}, {}, { read_size = 4 })
		conn:write("123456")
		run_until(function () return #s.data == 6 end)
		assert.same({ "onincoming", "1234" }, s.events[2])
		assert.same({ "onincoming", "56", "timeout" }, s.events[3])
	end)
end)

describe("line mode", function ()
	after_each(function ()
		turns.close_all()
		client.close_all()
	end)

	local function lines_of(extra, send, config)
		local lines = {}
		extra = extra or {}
		local ended
		local listening = assert(server.listen("127.0.0.1", 0, {
			onincoming = function (conn, line, err)
				lines[#lines + 1] = err and line .. "!" .. err or line
				if extra.onincoming then extra.onincoming(conn, line) end
			end,
			onlinetoolong = extra.onlinetoolong,
			onconnect = extra.onconnect,
			ondisconnect = function (_, why) ended = why or "us" end,
		}, config or { read_size = "*l" }))
		local peer = assert(client.tcp("127.0.0.1", listening:serverport()))
		send(peer, listening)
		run_until(function () return ended end, 3, "the end")
		return lines, ended
	end

	it("delivers lines without their ends, and an unended one at the end", function ()
		local lines = lines_of(nil, function (peer)
			peer:send("one\r\ntwo\n\nthr")
			turns.run_for(0.02)
			peer:send("ee\nfour")
			peer:shutdown()
		end)
		assert.same({ "one", "two", "", "three", "four!closed" }, lines)
	end)

	it("ends a connection whose line is too long", function ()
		local lines, why = lines_of(nil, function (peer)
			peer:send("fine\n" .. ("x"):rep(9000))
		end)
		assert.same({ "fine" }, lines)
		assert.equal("line too long", why)
	end)

	it("skips the rest of a long line if the listener wants to go on", function ()
		local told = 0
		local lines = lines_of({ onlinetoolong = function () told = told + 1 return true end },
			function (peer)
				peer:send("a\n" .. ("x"):rep(9000))
				turns.run_for(0.02)
				peer:send(("x"):rep(9000) .. "\nb\n" .. ("y"):rep(8193) .. "\nc\n")
				peer:shutdown()
			end)
		assert.same({ "a", "b", "c" }, lines)
		assert.equal(2, told)
	end)

	it("keeps the lines of one read that come after a pause for later", function ()
		local lines = lines_of({ onincoming = function (conn, line)
			if line == "1" then
				conn:pause()
				server.add_task(0.02, function () conn:resume() end)
			end
		end }, function (peer)
			peer:send("1\n2\n3\n")
			turns.run_for(0.01)
			peer:shutdown()
		end)
		assert.same({ "1", "2", "3" }, lines)
	end)

	it("gives the rest of a read in the new mode when the mode changes in between", function ()
		local lines = lines_of({ onincoming = function (conn, line)
			if line == "raw" then conn:set_mode(4) end
		end }, function (peer)
			peer:send("line\nraw\n12345678x")
			peer:shutdown()
		end)
		assert.same({ "line", "raw", "1234", "5678", "x!timeout" }, lines)
	end)

	it("stops delivering when a line closes the connection", function ()
		local lines = lines_of({ onincoming = function (conn, line)
			if line == "quit" then conn:close() end
		end }, function (peer) peer:send("a\nquit\nb\n") end)
		assert.same({ "a", "quit" }, lines)
	end)
end)
