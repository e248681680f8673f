-- Writing: queues, holds, timeouts, closing with output.

local socket <const> = require "socket"

-- Fills a connection's way out, so that output waits in the process.
local function jam(t, conn)
	local bytes <const> = ("x"):rep(1000000)
	for _ = 1, 8 do conn:write(bytes) end
	t.idle(0.02)
	return #bytes * 8
end

local function drain_peer(peer, n)
	local got, ended = 0, nil
	return function ()
		local data, err, part = peer:receive(65536)
		got = got + #(data or part or "")
		ended = err == "closed" or ended
		return got >= n or ended
	end, function () return got, ended end
end

return {
	{ "write before connect", function (t)
		local _, port, accepted = t.serve("server")
		local client <const> = t.client("client", port)
		t.values("write", client:write("early"))
		t.wait(function () return accepted.data == "early" end)
	end },
	{ "write answers with the length", function (t)
		local conn, peer = t.accept("server")
		t.values("write", conn:write("hello"), conn:send(" there"))
		t.values("empty", conn:write(""))
		t.values("peer", t.read(peer, 11))
	end },
	{ "writebuffer is what waits", function (t)
		local conn, peer = t.accept("server")
		t.values("before", conn.writebuffer)
		conn:write("x")
		t.values("waiting", conn.writebuffer ~= nil)
		t.values("peer", t.read(peer, 1))
		t.idle(0.01)
		local left <const> = conn.writebuffer
		t.values("after", left == nil or #left == 0)
	end },
	{ "write of any bytes", function (t)
		local all <const> = {}
		for i = 0, 255 do all[#all + 1] = string.char(i) end
		local conn, peer = t.accept("server")
		conn:write(table.concat(all))
		t.values("the same", (t.read(peer, 256)) == table.concat(all))
	end },
	{ "write of something else", function (t)
		local conn <const> = t.accept("server")
		t.try("nil", conn.write, conn, nil)
		t.try("table", function () conn:write({}) end)
		conn:destroy()
	end },
	{ "write after close", function (t)
		local conn, peer = t.accept("server")
		conn:write("first")
		conn:close()
		t.values("write", conn:write("second"))
		t.values("send", conn:send("third"))
		t.values("peer", t.read(peer, 20))
	end },
	{ "close with pending data", function (t)
		local conn, peer, record = t.accept("server", { also = { "drain" } })
		conn:write("pending")
		t.values("close", conn:close())
		t.values("told at once", record.count.disconnect)
		t.values("peer", t.read(peer, 8))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "close without pending data", function (t)
		local conn, peer, record = t.accept("server")
		t.values("close", conn:close())
		t.values("told at once", record.count.disconnect, conn:getfd())
		t.values("peer", t.read(peer, 1))
	end },
	{ "close twice", function (t)
		local conn, peer, record = t.accept("server")
		conn:write("x")
		conn:close()
		t.idle(0.02)
		conn:close()
		t.values("peer", t.read(peer, 2))
		t.values("count", record.count.disconnect)
	end },
	{ "close twice to a peer that does not read", function (t)
		local conn, peer, record = t.accept("server", { quiet = true })
		local n <const> = jam(t, conn)
		conn:close()
		t.idle(0.02)
		conn:close()
		t.values("told", record.count.disconnect)
		local done, sum = drain_peer(peer, n + 1)
		t.wait(done, 5)
		t.values("all", sum() == n)
		t.values("told", record.count.disconnect)
	end },
	{ "close before connect", function (t)
		local _, port = t.serve("server", { quiet = true })
		local client, record = t.client("client", port)
		client:close()
		t.values("told at once", record.count.disconnect, client:getfd())
	end },
	{ "close before connect with pending data", function (t)
		local _, port, accepted = t.serve("server", { quiet = true })
		local client, record = t.client("client", port)
		client:write("pending")
		client:close()
		t.wait(function () return record.count.disconnect end)
		t.wait(function () return accepted.count.disconnect end)
		t.values("arrived", accepted.data)
	end },
	{ "destroy before connect", function (t)
		local _, port = t.serve("server", { quiet = true })
		local client, record = t.client("client", port)
		client:destroy()
		t.idle(0.02)
		t.values("heard", record.count.connect, record.count.disconnect, client:getfd())
	end },
	{ "destroy with pending data", function (t)
		local conn, peer, record = t.accept("server")
		conn:write("lost")
		conn:destroy()
		t.values("peer", select(2, t.read(peer, 5)))
		t.values("heard", record.count.disconnect)
	end },
	{ "a peer that does not read", function (t)
		local conn, peer, record = t.accept("server", { quiet = true, also = { "drain" } })
		local n <const> = jam(t, conn)
		t.values("waits", conn.writebuffer ~= nil, record.count.drain)
		local done, sum = drain_peer(peer, n)
		t.wait(done, 5)
		t.idle(0.02)
		t.values("all", sum() == n, record.count.drain)
	end },
	{ "close to a peer that does not read", function (t)
		local conn, peer, record = t.accept("server", { quiet = true })
		local n <const> = jam(t, conn)
		conn:close()
		t.idle(0.02)
		t.values("waits", record.count.disconnect)
		local done, sum = drain_peer(peer, n + 1)
		t.wait(done, 5)
		t.values("all", sum())
		t.values("told", record.count.disconnect)
	end },
	{ "close to a peer that goes on sending", function (t)
		local conn, peer, record = t.accept("server")
		jam(t, conn)
		conn:close()
		peer:send("not read any more")
		t.idle(0.02)
		t.values("data", record.data)
	end },
	{ "a peer that never reads", function (t)
		t.config { send_timeout = 0.15 }
		local conn, _, record = t.accept("server")
		jam(t, conn)
		t.wait(function () return record.count.disconnect end)
		t.values("fd", conn:getfd())
	end },
	{ "a peer that never reads and a close", function (t)
		t.config { send_timeout = 0.15 }
		local conn, _, record = t.accept("server")
		jam(t, conn)
		conn:close()
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a peer that goes while output waits", function (t)
		local conn, peer, record = t.accept("server")
		jam(t, conn)
		peer:close()
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a connect that never ends", function (t)
		t.config { connect_timeout = 0.15 }
		-- A listener whose queue is full answers nobody.
		local full <const> = t.keep_socket(assert(socket.tcp4()))
		full:bind("127.0.0.1", 0)
		full:listen(0)
		local _, port = full:getsockname()
		for _ = 1, 4 do
			local filler <const> = t.keep_socket(socket.tcp4())
			filler:settimeout(0)
			filler:connect("127.0.0.1", tonumber(port))
		end
		t.idle(0.02)
		local _, record = t.client("client", tonumber(port))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "pause_writes holds and resume_writes lets go", function (t)
		local conn, peer = t.accept("server")
		conn:pause_writes()
		t.values("write", conn:write("one "), conn:write("two"))
		t.idle(0.02)
		t.values("peer", (select(2, peer:receive(1))))
		conn:resume_writes()
		t.values("peer", t.read(peer, 7))
	end },
	{ "pause_writes before a close", function (t)
		local conn, peer, record = t.accept("server")
		conn:pause_writes()
		conn:write("held")
		conn:close()
		t.values("peer", t.read(peer, 5))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "pause_writes stops the write timeout", function (t)
		t.config { send_timeout = 0.1 }
		local conn, _, record = t.accept("server")
		conn:write("x")
		conn:pause_writes()
		t.idle(0.25)
		t.values("ended", record.count.disconnect)
	end },
	{ "opportunistic writes", function (t)
		t.config { opportunistic_writes = true }
		local _, peer = t.accept("server", { onincoming = function (conn, data)
			t.values("write", conn:write(data))
		end })
		peer:send("now")
		t.values("peer", t.read(peer, 3))
	end },
	{ "many writes arrive in order", function (t)
		local conn, peer = t.accept("server")
		local words <const> = {}
		for i = 1, 500 do
			words[i] = i .. ","
			conn:write(words[i])
		end
		local all <const> = table.concat(words)
		t.values("the same", (t.read(peer, #all)) == all)
	end },
	{ "setwritetimeout ends it", function (t)
		local conn, _, record = t.accept("server")
		conn:setwritetimeout(0.12)
		t.wait(function () return record.count.disconnect end)
	end },
	{ "setwritetimeout false waits for ever", function (t)
		t.config { send_timeout = 0.1 }
		local conn, _, record = t.accept("server")
		jam(t, conn)
		conn:setwritetimeout(false)
		t.idle(0.3)
		t.values("ended", record.count.disconnect)
	end },
	{ "a queue that is full", function (t)
		t.config { max_send_buffer_size = 100000 }
		local conn, _, record = t.accept("server")
		conn:pause_writes()
		t.values("held", conn:write(("x"):rep(60000)))
		t.values("too much", conn:write(("x"):rep(60000)))
		t.values("ended", record.count.disconnect)
		conn:resume_writes()
		t.idle(0.02)
		for _ = 1, 200 do
			if not conn:write(("x"):rep(90000)) then break end
		end
		t.idle(0.02)
		t.values("ended", record.count.disconnect)
	end },
	{ "write in a client's onconnect", function (t)
		local _, port, accepted = t.serve("server")
		t.client("client", port, { onconnect = function (conn) conn:write("first") end })
		t.wait(function () return accepted.data == "first" end)
	end },
	{ "write to another connection in a callback", function (t)
		local a, peer_a = t.accept("a")
		local _, peer_b = t.accept("b", { onincoming = function (_, data) a:write(data) end })
		peer_b:send("across")
		t.values("peer", t.read(peer_a, 6))
	end },
	{ "writes between two connections in turn", function (t)
		local a, peer_a = t.accept("a")
		local b, peer_b = t.accept("b")
		for i = 1, 50 do
			a:write(i .. ",")
			b:write(-i .. ",")
		end
		local first <const>, second <const> = t.read(peer_a, 141), t.read(peer_b, 191)
		t.values("ends", first:sub(-6), second:sub(-8))
	end },
}
