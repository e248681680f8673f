-- What a handle is, knows and takes.

return {
	{ "fields of a connection", function (t)
		local conn <const> = t.accept("server", { quiet = true })
		t.values("id", conn.id:match("^conn[%w_-]+$") ~= nil, conn.log, conn.created ~= nil)
		t.values("created", math.abs(conn.created - os.time()) < 5)
		t.values("conn and extra", conn.conn ~= nil, conn.extra, conn.servername)
		t.values("listeners", conn.listeners.onconnect ~= nil, conn.writebuffer)
		t.values("unknown", conn.no_such_field)
		t.try("log", conn.log, "debug", "a line of %s", "the probe")
	end },
	{ "fields of a listener", function (t)
		local handle <const> = t.serve("server", nil, { sni_hosts = { a = 1 } })
		t.values("hosts", handle.hosts.a, type(handle.log), handle.created ~= nil)
		t.values("listeners", type(handle.listeners), handle.conn ~= nil)
		handle._mine = 1
		t.values("mine", handle._mine)
	end },
	{ "a handle takes any field, and a method gives way to it", function (t)
		local conn, _, record = t.accept("server")
		conn._mine, conn.starttls, conn[1] = { 1 }, false, "one"
		t.values("fields", conn._mine[1], conn.starttls, conn[1])
		conn.ip = function () return "192.0.2.1" end
		t.values("ip", conn:ip())
		conn.ip = nil
		t.values("ip", conn:ip(), conn == record.conn)
	end },
	{ "a handle is a key", function (t)
		local seen <const> = {}
		local function note(conn) seen[conn] = (seen[conn] or 0) + 1 end
		local conn, peer = t.accept("server",
			{ onconnect = note, onincoming = note, ondisconnect = note })
		peer:send("x")
		t.wait(function () return seen[conn] == 2 end)
		conn:close()
		t.values("seen", seen[conn])
	end },
	{ "methods captured before work later", function (t)
		local conn, peer = t.accept("server")
		local write <const>, close <const> = conn.write, conn.close
		t.values("write", write(conn, "hello"))
		t.values("peer", t.read(peer, 5))
		t.values("close", close(conn))
	end },
	{ "tostring of a connection", function (t)
		local conn, _, record, listening = t.accept("server", { quiet = true })
		t.trace(tostring(conn), record.count.connect)
		t.trace(tostring(listening))
		conn:destroy()
		t.trace(tostring(conn))
	end },
	{ "tostring of a client", function (t)
		local _, _, client = t.pair({ quiet = true }, { quiet = true })
		t.trace(tostring(client))
	end },
	{ "addresses of an accepted connection", function (t)
		local conn <const>, peer <const>, _, listening <const> = t.accept("server")
		local ip, port = peer:getsockname()
		t.values("ip", conn:ip(), conn:ip() == ip)
		t.values("port", math.type(conn:port()), conn:port() == tonumber(port))
		t.values("clientport", conn:clientport() == conn:port())
		t.values("serverport", type(conn:serverport()))
		t.values("number", tonumber(conn:serverport()) == tonumber((select(2, peer:getpeername()))))
		t.values("listening", listening:ip(), type(listening:port()))
		t.values("listening", type(listening:serverport()), type(listening:clientport()))
	end },
	{ "addresses of a client", function (t)
		local accepted, _, client = t.pair({ quiet = true }, { quiet = true })
		t.values("ip", client:ip(), client:port() == tonumber(accepted:serverport()))
		t.values("serverport", tonumber(client:serverport()) == tonumber(accepted:serverport()))
		t.values("clientport", tonumber(client:clientport()) == tonumber(accepted:clientport()))
		t.values("server", client:server() == client)
	end },
	{ "addresses of a client that connects", function (t)
		local _, port = t.serve("server", { quiet = true })
		local client <const> = t.client("client", port, { quiet = true })
		t.values("ip", client:ip(), client:port() == port, client:getfd() >= 0)
	end },
	{ "addresses after the end", function (t)
		local conn <const> = t.accept("server", { quiet = true })
		t.values("before", conn:ip())
		conn:destroy()
		t.values("after", conn:ip(), conn:getfd(), type(conn:port()))
	end },
	{ "the end hides everything", function (t)
		local conn <const> = t.accept("server")
		conn:destroy()
		t.try("close", conn.close, conn)
		t.try("destroy", conn.destroy, conn)
		t.try("write", conn.write, conn, "x")
		t.try("resume", function () conn:resume() end)
		t.try("pause", function () conn:pause() end)
		t.try("setreadtimeout", conn.setreadtimeout, conn, false)
		t.try("setlimit", conn.setlimit, conn, 0)
		t.values("fd", conn:getfd(), conn.conn)
	end },
	{ "the socket of a connection", function (t)
		local conn, peer = t.accept("server")
		local object <const> = conn:socket()
		t.values("socket", object, object:getfd() == conn:getfd())
		local ip, port = object:getpeername()
		t.values("peer", ip, tonumber(port) == tonumber((select(2, peer:getsockname()))))
		ip, port = object:getsockname()
		t.values("own", ip, tonumber(port) == tonumber((select(2, peer:getpeername()))))
		for _, name in ipairs { "getalpn", "info", "getpeercertificate" } do
			t.values(name, object[name] and object[name](object))
		end
		t.values("setoption", object:setoption("keepalive", true) and true)
		t.values("dirty", object:dirty())
	end },
	{ "the socket of a listener", function (t)
		local handle, port = t.serve("server")
		local object <const> = handle:socket()
		local ip, number = object:getsockname()
		t.values("own", ip, tonumber(number) == port, object:getfd() == handle:getfd())
	end },
	{ "the socket of a connection that has ended", function (t)
		local conn <const> = t.accept("server")
		conn:destroy()
		local object <const> = conn:socket()
		t.values("socket", object ~= nil)
		if object then
			for _, name in ipairs { "getfd", "getalpn", "info", "getpeercertificate" } do
				t.values(name, object[name](object))
			end
		end
	end },
	{ "a plain connection has no TLS", function (t)
		local conn <const> = t.accept("server")
		t.values("ssl", (conn:ssl()))
		t.values("starttls", conn.starttls and true)
	end },
	{ "what 13.0 asks a plain connection about TLS", function (t)
		local conn <const> = t.accept("server")
		local function ask(name, ...)
			t.values(name, conn[name] and true, (conn[name] or tostring)(conn, ...) == nil)
		end
		for _, name in ipairs { "sslctx", "ssl_info", "ssl_peercertificate",
			"ssl_peerverification", "ssl_peerfinished" } do
			ask(name)
		end
		ask("ssl_exportkeyingmaterial", "label", 32)
	end },
	{ "socket options", function (t)
		local conn <const> = t.accept("server")
		t.values("keepalive", conn:setoption("keepalive", true) and true)
		t.values("nodelay", conn:setoption("tcp-nodelay", true) and true)
		t.values("keepidle", conn:setoption("tcp-keepidle", 100) and true)
		t.values("linger", conn:setoption("linger", { on = false, timeout = 0 }) and true)
		t.values("unknown", (conn:setoption("no-such-option", true)))
		t.values("not an option", (conn:setoption("keepalive")))
	end },
	{ "flags of the poller", function (t)
		local conn, peer, record = t.accept("server")
		t.values("set", conn:set(false, nil))
		peer:send("held")
		t.idle(0.02)
		t.values("data", record.data)
		t.values("set", conn:set(true, nil))
		t.wait(function () return record.data == "held" end)
		t.values("setflags", conn:setflags(true, false))
		t.values("set_send", conn:set_send(function () end))
	end },
	{ "flags of the poller after the end", function (t)
		local conn <const> = t.accept("server")
		conn:destroy()
		t.values("set", conn:set(true))
		t.values("add", conn:add(true))
		t.values("del", conn:del())
	end },
	{ "a handle taken out of the poller and put back", function (t)
		local conn, peer, record = t.accept("server")
		t.values("del", conn:del())
		peer:send("x")
		t.idle(0.02)
		t.values("data", record.data)
		t.values("add", conn:add(true, false))
		t.wait(function () return record.data == "x" end)
	end },
	{ "what the methods answer", function (t)
		local conn <const> = t.accept("server")
		t.values("pause", conn:pause())
		t.values("resume", conn:resume())
		t.values("pausefor", conn:pausefor(false))
		t.values("setlimit", conn:setlimit(0))
		t.values("set_mode", conn:set_mode(100))
		t.values("setreadtimeout", conn:setreadtimeout())
		t.values("setwritetimeout", conn:setwritetimeout(false))
		t.values("pause_writes", conn:pause_writes())
		t.values("resume_writes", conn:resume_writes())
		t.values("setlistener", conn:setlistener({}))
		t.values("set_sslctx", conn:set_sslctx(nil))
		t.values("close", conn:close())
		t.values("close", conn:close())
		t.values("destroy", conn:destroy())
	end },
	{ "a listener that is paused accepts nobody", function (t)
		local handle, port, record = t.serve("server")
		handle:pause()
		t.peer(port)
		t.idle(0.03)
		t.values("connected", record.count.connect)
		handle:resume()
		t.wait(function () return record.count.connect end)
	end },
	{ "a listener that is paused for a while", function (t)
		local handle, port, record = t.serve("server")
		handle:pausefor(0.05)
		t.peer(port)
		t.idle(0.02)
		t.values("connected", record.count.connect)
		t.wait(function () return record.count.connect end)
	end },
	{ "a listener that is closed", function (t)
		local handle, port, record = t.serve("server", { quiet = true })
		t.values("close", handle:close())
		t.wait(function () return record.count.disconnect end)
		t.values("heard", record.conn == handle, record.count.disconnect)
		t.values("fd", handle:getfd())
		t.values("port is free", t.keep(t.server.listen("127.0.0.1", port, {})) ~= nil)
	end },
	{ "a listener that is destroyed", function (t)
		local handle, _, record = t.serve("server")
		t.values("destroy", handle:destroy())
		t.idle(0.01)
		t.values("heard", record.count.disconnect, handle:getfd())
	end },
}
