-- Functions of the module.

local socket <const> = require "socket"

return {
	{ "listen accepts at once", function (t)
		local handle, port, record = t.serve("server")
		t.values("handle", handle)
		t.peer(port)
		t.wait(function () return record.count.connect end)
		t.values("server() is the listening handle", record.conn:server() == handle)
		t.values("server() of that is itself", handle:server() == handle)
	end },
	{ "a second listen on one port", function (t)
		local _, port = t.serve("server")
		t.values("listen", t.server.listen("127.0.0.1", port, {}))
	end },
	{ "listen on an address that is not ours", function (t)
		t.values("listen", t.server.listen("192.0.2.1", t.free_port(), {}))
	end },
	{ "listen on every address", function (t)
		for _, addr in ipairs { "*", "::" } do
			local port <const> = t.free_port()
			local listeners, record = t.listeners("server " .. addr)
			local handle <const> = t.keep(assert(t.server.listen(addr, port, listeners)))
			t.trace(tostring(handle):match("%(([^,]*)"))
			local peer, err = socket.connect(addr == "*" and "127.0.0.1" or "::1", port)
			if not peer then
				t.trace(err)
				return
			end
			t.keep_socket(peer)
			t.wait(function () return record.count.connect end)
			t.values("ip", record.conn:ip())
		end
	end },
	{ "addserver takes its arguments in the old order", function (t)
		local port <const> = t.free_port()
		local listeners, record = t.listeners("server")
		t.keep(t.server.addserver("127.0.0.1", port, listeners, 2))
		local peer <const> = t.peer(port)
		peer:send("abcd")
		t.wait(function () return record.data == "abcd" end)
		t.values("second", t.server.addserver("127.0.0.1", port, listeners))
	end },
	{ "addclient wants a literal address", function (t)
		t.values("name", t.server.addclient("localhost", 80, {}))
		t.values("empty", t.server.addclient("", 80, {}))
		t.values("out of range", t.server.addclient("300.0.0.1", 80, {}))
	end },
	{ "addclient wants a type that exists", function (t)
		t.values("type", t.server.addclient("127.0.0.1", 80, {}, nil, nil, "carrier pigeon"))
	end },
	{ "addclient with a type that the address is not of", function (t)
		local _, port = t.serve("server", { quiet = true })
		t.values("tcp6", t.server.addclient("127.0.0.1", port, {}, nil, nil, "tcp6"))
	end },
	{ "addclient over UDP", function (t)
		local far <const> = t.keep_socket(assert(socket.udp()))
		far:setsockname("127.0.0.1", 0)
		far:settimeout(0)
		local port <const> = select(2, far:getsockname())
		local client <const>, record = t.client("client", port, nil, nil, nil, "udp")
		t.wait(function () return record.count.connect end)
		client:write("question")
		local data, ip, from
		t.wait(function ()
			data, ip, from = far:receivefrom()
			return data and data ~= "" -- 0.12 sends an empty packet at connect
		end)
		t.values("far", data)
		far:sendto("answer", ip, from)
		t.wait(function () return record.data == "answer" end)
	end },
	{ "addclient with a type", function (t)
		local _, port, accepted = t.serve("server")
		for i, typ in ipairs { "tcp", "tcp4" } do
			local _, record = t.client("client " .. typ, port, nil, nil, nil, typ)
			t.wait(function () return record.count.connect and accepted.count.connect == i end)
		end
	end },
	{ "addclient answers with the handle and its socket", function (t)
		local _, port = t.serve("server", { quiet = true })
		local handle, object = t.keep(t.server.addclient("127.0.0.1", port, {}))
		t.values("handle and socket", handle, object)
		t.values("the same descriptor", handle:getfd() == object:getfd(), handle:getfd() >= 0)
	end },
	{ "addclient where nobody listens", function (t)
		local _, record = t.client("client", t.free_port())
		t.wait(function () return record.count.disconnect end)
	end },
	{ "addclient keeps extra", function (t)
		local _, port = t.serve("server", { quiet = true })
		local extra <const> = { servername = "example.com", mine = 1 }
		local handle <const> = t.client("client", port, { quiet = true }, nil, nil, nil, extra)
		t.values("servername", handle.servername, handle.extra == extra)
	end },
	{ "addclient with a read size", function (t)
		local accepted, _, handle, record = t.pair({ quiet = true }, nil)
		handle:set_mode(3)
		accepted:write("abcdef")
		t.wait(function () return record.data == "abcdef" end)
	end },
	{ "the backend's name", function (t)
		t.values("get_backend", t.server.get_backend())
	end },
	{ "one turn of the loop", function (t)
		t.server.add_task(0, function () t.trace("timer") end)
		t.wait(function () t.server.loop(true) return true end)
		t.idle(0.01)
	end },
	{ "closeall closes listeners and connections", function (t)
		local _, accepted, _, record = t.pair({ quiet = true }, { quiet = true })
		t.server.closeall()
		t.wait(function () return record.count.disconnect end)
		t.wait(function () return accepted.count.disconnect == 2 end)
		t.values("ended", accepted.count.disconnect, record.count.disconnect)
	end },
	{ "settings that are missing go back to their defaults", function (t)
		t.config { read_size = 2 }
		local _, peer, record = t.accept("server")
		peer:send("abcd")
		t.wait(function () return record.data == "abcd" end)
		t.config {}
		peer:send("abcd")
		t.wait(function () return record.data == "abcdabcd" end)
	end },
	{ "link carries one way", function (t)
		local a, _, b = t.pair({ quiet = true }, { quiet = true })
		local c, _, _, far = t.pair({ quiet = true }, { quiet = true })
		t.server.link(a, c)
		b:write("through the link")
		t.wait(function () return far.data == "through the link" end)
		t.values("far", far.data)
	end },
	{ "link carries both ways", function (t)
		local a, _, b, near = t.pair({ quiet = true }, { quiet = true })
		local c, _, d, far = t.pair({ quiet = true }, { quiet = true })
		t.server.link(a, c)
		t.server.link(c, a)
		b:write(("there"):rep(500))
		d:write(("back"):rep(500))
		t.wait(function () return #far.data == 2500 and #near.data == 2000 end)
		t.values("sums", far.data == ("there"):rep(500), near.data == ("back"):rep(500))
	end },
	{ "link with a small read size", function (t)
		local a, _, b = t.pair({ quiet = true }, { quiet = true })
		local c, _, _, far = t.pair({ quiet = true }, { quiet = true })
		t.server.link(a, c, 4)
		b:write("through the link")
		t.wait(function () return far.data == "through the link" end, 0.1)
		t.values("far", far.data)
	end },
	{ "libevent's words", function (t)
		local event <const> = t.server.event
		t.values("event", event.EV_READ, event.EV_WRITE, event.EV_READWRITE, event.EV_LEAVE)
	end },
	{ "addevent calls until it is told to leave", function (t)
		local unix <const> = t.keep_socket(assert(socket.udp()))
		unix:setsockname("127.0.0.1", 0)
		local calls = 0
		local handle <const> = t.server.addevent(unix:getfd(), "r", function ()
			calls = calls + 1
			return calls == 3 and t.server.event.EV_LEAVE or nil
		end)
		t.values("handle", handle)
		local _, port = unix:getsockname()
		unix:sendto("x", "127.0.0.1", port)
		t.wait(function () return calls == 3 end)
		t.idle(0.02)
		t.values("calls", calls)
		handle:close()
	end },
	{ "what the module has", function (t)
		for _, name in ipairs { "listen", "addserver", "wrapserver", "addclient", "wrapclient",
			"watchfd", "link", "add_task", "timer", "loop", "setquitting", "closeall",
			"hook_signal", "get_backend", "set_config", "tls_builder", "event", "addevent" } do
			t.trace(name, type(t.server[name]))
		end
		for _, name in ipairs { "add_task", "stop", "reschedule", "to_absolute_time" } do
			t.trace("timer", name, type(t.server.timer[name]))
		end
	end },
	{ "hook_signal calls back", function (t)
		local signal <const> = require "util.signal"
		local number <const> = t.server == package.loaded["net.server_epoll"]
			and signal.SIGUSR2 or 12
		local came
		t.server.hook_signal(number, function () came = true end)
		if signal.raise then
			signal.raise(number)
		end
		t.wait(function () return came end)
		t.values("came", came)
	end },
}
