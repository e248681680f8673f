-- Sockets and descriptors of others: wrapclient, wrapserver, watchfd.

local socket <const> = require "socket"
local has_unix <const>, unix <const> = pcall(require, "socket.unix")

local function unix_path()
	return assert(os.tmpname()) .. ".sock"
end

local function datagrams(t)
	local a <const> = t.keep_socket(assert(socket.udp()))
	a:setsockname("127.0.0.1", 0)
	a:settimeout(0)
	return a, function (text)
		a:sendto(text, "127.0.0.1", (select(2, a:getsockname())))
	end
end

return {
	{ "wrapclient takes a LuaSocket object that connects", function (t)
		local _, port, accepted = t.serve("server")
		local object <const> = socket.tcp4()
		object:settimeout(0)
		object:connect("127.0.0.1", port)
		local listeners, record = t.listeners("client")
		local handle <const> = t.keep(assert(t.server.wrapclient(
			object, "127.0.0.1", port, listeners, "*a")))
		t.values("ip", handle:ip(), handle:port() == port)
		t.wait(function () return record.count.connect end)
		handle:write("hello")
		t.wait(function () return accepted.data == "hello" end)
		handle:close()
	end },
	{ "wrapclient takes a LuaSocket object that is connected", function (t)
		local _, port, accepted = t.serve("server", { quiet = true })
		local object <const> = assert(socket.connect("127.0.0.1", port))
		local listeners, record = t.listeners("client")
		local handle <const> = t.keep(assert(t.server.wrapclient(
			object, "192.0.2.9", 9, listeners)))
		t.wait(function () return record.count.connect and accepted.count.connect end)
		t.values("ip", handle:ip(), handle:port() == port)
	end },
	{ "wrapclient to nobody", function (t)
		local object <const> = socket.tcp4()
		object:settimeout(0)
		object:connect("127.0.0.1", t.free_port())
		local listeners, record = t.listeners("client")
		t.keep(t.server.wrapclient(object, "127.0.0.1", 9, listeners))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "wrapserver takes a LuaSocket object that listens", function (t)
		local object <const> = assert(socket.bind("127.0.0.1", 0))
		object:settimeout(0)
		local _, port = object:getsockname()
		local listeners, record = t.listeners("server")
		local handle <const> = t.keep(assert(t.server.wrapserver(
			object, "127.0.0.1", tonumber(port), listeners)))
		local peer <const> = t.peer(tonumber(port))
		peer:send("x")
		t.wait(function () return record.data == "x" end)
		t.values("server", record.conn:server() == handle)
	end },
	{ "wrapserver with a read size", function (t)
		local object <const> = assert(socket.bind("127.0.0.1", 0))
		object:settimeout(0)
		local _, port = object:getsockname()
		local listeners, record = t.listeners("server")
		t.keep(t.server.wrapserver(object, "127.0.0.1", tonumber(port), listeners,
			{ read_size = "*l" }))
		t.peer(tonumber(port)):send("a\nb\n")
		t.wait(function () return record.data == "ab" end)
	end },
	{ "a listener made with socket.unix and wrapserver", function (t)
		t.values("socket.unix", has_unix)
		local path <const> = unix_path()
		local object <const> = assert((unix.stream or unix)())
		assert(object:bind(path))
		assert(object:listen())
		object:settimeout(0)
		local listeners, record = t.listeners("server", { onincoming = function (conn, data)
			conn:write(data:upper())
		end })
		local handle <const> = t.keep(assert(t.server.wrapserver(object, path, 0, listeners)))
		local peer <const> = t.keep_socket(assert((unix.stream or unix)()))
		assert(peer:connect(path))
		peer:settimeout(0)
		peer:send("by unix")
		t.values("peer", t.read(peer, 7))
		t.values("server", record.conn:server() == handle)
		os.remove(path)
	end },
	{ "wrapclient takes a Unix socket", function (t)
		local path <const> = unix_path()
		local listening <const> = t.keep_socket(assert((unix.stream or unix)()))
		assert(listening:bind(path))
		assert(listening:listen())
		listening:settimeout(0)
		local object <const> = assert((unix.stream or unix)())
		assert(object:connect(path))
		local listeners, record = t.listeners("client")
		local handle <const> = t.keep(assert(t.server.wrapclient(object, path, 0, listeners)))
		t.wait(function () return record.count.connect end)
		local peer <const> = t.keep_socket(assert(listening:accept()))
		handle:write("by unix")
		peer:settimeout(0)
		t.values("peer", t.read(peer, 7))
		os.remove(path)
	end },
	{ "watchfd with an object", function (t)
		local a, send = datagrams(t)
		local watch, seen
		watch = t.server.watchfd(a, function (handle)
			seen = a:receive()
			t.values("readable", seen, handle == watch)
		end)
		t.values("handle", watch, watch:getfd() == a:getfd())
		send("ping")
		t.wait(function () return seen end)
		t.values("close", watch:close())
		send("pong")
		t.idle(0.02)
		t.values("seen", seen)
	end },
	{ "watchfd with a number", function (t)
		local a, send = datagrams(t)
		local seen
		local watch <const> = t.server.watchfd(a:getfd(), function () seen = a:receive() end)
		send("ping")
		t.wait(function () return seen end)
		t.values("seen", seen, watch:getfd() == a:getfd())
		watch:close()
		t.try("close again", watch.close, watch)
	end },
	{ "watchfd flags", function (t)
		local a, send = datagrams(t)
		local reads, writes = 0, 0
		local watch
		watch = t.server.watchfd(a, function ()
			a:receive()
			reads = reads + 1
		end, function ()
			writes = writes + 1
			watch:setflags(nil, false)
		end)
		t.wait(function () return writes == 1 end)
		t.idle(0.01)
		t.values("once", writes)
		t.values("setflags", watch:setflags(false, false))
		send("ping")
		t.idle(0.02)
		t.values("reads", reads)
		t.values("setflags", watch:setflags(true, false))
		t.wait(function () return reads == 1 end)
		t.values("setflags", watch:setflags(false, true))
		t.wait(function () return writes == 2 end)
		watch:close()
	end },
	{ "watchfd that watches nothing yet", function (t)
		local a, send = datagrams(t)
		local reads = 0
		local watch <const> = t.server.watchfd(a:getfd())
		watch.onreadable = function ()
			a:receive()
			reads = reads + 1
		end
		send("ping")
		t.idle(0.01)
		t.values("reads", reads)
		watch:setflags(true, false)
		t.wait(function () return reads == 1 end)
		watch:close()
	end },
	{ "watchfd closed in its callback", function (t)
		local a, send = datagrams(t)
		local calls = 0
		t.server.watchfd(a, function (watch)
			calls = calls + 1
			watch:close()
		end)
		send("one")
		send("two")
		t.wait(function () return calls > 0 end)
		t.idle(0.02)
		t.values("calls", calls)
	end },
	{ "watchfd takes any field", function (t)
		local a <const> = datagrams(t)
		local watch <const> = t.server.watchfd(a, function () end)
		watch.mine = 1
		t.values("field", watch.mine, watch.conn == a, type(watch.log))
		watch:close()
	end },
	{ "a socket that is closed by its owner", function (t)
		local a <const> = assert(socket.udp())
		a:setsockname("127.0.0.1", 0)
		local watch <const> = t.server.watchfd(a, function () end)
		watch:close()
		a:close()
		t.idle(0.01)
		t.values("closed", true)
	end },
	{ "wrapclient takes a UDP socket", function (t)
		local far <const> = t.keep_socket(assert(socket.udp()))
		far:setsockname("127.0.0.1", 0)
		far:settimeout(0)
		local _, port = far:getsockname()
		local object <const> = assert(socket.udp())
		object:settimeout(0)
		object:setpeername("127.0.0.1", port)
		local listeners, record = t.listeners("client")
		local handle <const> = t.keep(assert(t.server.wrapclient(
			object, "127.0.0.1", tonumber(port), listeners)))
		t.wait(function () return record.count.connect end)
		handle:write("question")
		local data, ip, from
		t.wait(function ()
			data, ip, from = far:receivefrom()
			return data and data ~= "" -- 0.12 sends an empty packet at connect
		end)
		t.values("far", data, ip)
		far:sendto("answer", ip, from)
		t.wait(function () return record.data == "answer" end)
		t.values("object", object:send("by the object"))
		t.wait(function ()
			data = far:receive()
			return data
		end)
		t.values("far", data)
		handle:close()
		t.values("told", record.count.disconnect)
	end },
	{ "the object of wrapclient afterwards", function (t)
		local _, port = t.serve("server", { quiet = true })
		local object <const> = assert(socket.connect("127.0.0.1", port))
		local handle, second = t.server.wrapclient(object, "127.0.0.1", port, {})
		t.keep(handle)
		t.values("second", second ~= nil)
		t.values("ip", handle:socket():getpeername())
		t.values("open", object:getfd() >= 0)
		handle:destroy()
		t.values("open", object:getfd() >= 0)
	end },
	{ "the object of wrapserver afterwards", function (t)
		local object <const> = assert(socket.bind("127.0.0.1", 0))
		local _, port = object:getsockname()
		local handle <const> = t.keep(t.server.wrapserver(
			object, "127.0.0.1", tonumber(port), {}))
		t.values("open", object:getfd() >= 0)
		handle:close()
		t.idle(0.01)
		t.values("open", object:getfd() >= 0)
		t.values("free", t.keep(t.server.listen("127.0.0.1", tonumber(port), {})) ~= nil)
	end },
}
