-- Listener callbacks.

local all <const> = { "predrain", "drain" }

return {
	{ "order of accepting and connecting", function (t)
		local _, port, accepted = t.serve("server", { also = all })
		local _, record = t.client("client", port, { also = all })
		t.wait(function () return accepted.count.connect and record.count.connect end)
		t.idle(0.02)
	end },
	{ "order of one answer", function (t)
		local _, peer = t.accept("server", { also = all, onincoming = function (conn, data)
			conn:write(data:upper())
			t.trace("written")
		end })
		peer:send("hello")
		t.values("peer", t.read(peer, 5))
		t.idle(0.02)
	end },
	{ "what is written in onpredrain goes with the rest", function (t)
		local first = true
		local conn, peer = t.accept("server", { also = all, onpredrain = function (conn)
			if first and conn.writebuffer then
				first = false
				conn:write(" and more")
			end
		end })
		conn:write("some")
		t.values("peer", t.read(peer, 13))
		t.idle(0.02)
	end },
	{ "what is written in ondrain goes next", function (t)
		local left = 2
		local conn, peer = t.accept("server", { also = { "drain" }, ondrain = function (conn)
			left = left - 1
			if left >= 0 then
				conn:write("more")
			end
		end })
		conn:write("some")
		t.values("peer", t.read(peer, 12))
		t.idle(0.02)
	end },
	{ "setlistener tells the old and the new", function (t)
		local conn, peer, record = t.accept("old")
		local listeners, next_record = t.listeners("new")
		t.values("setlistener", conn:setlistener(listeners, "data"))
		t.values("listeners", conn.listeners == listeners)
		peer:send("x")
		t.wait(function () return next_record.data == "x" end)
		t.values("old heard", record.data)
		conn:close()
	end },
	{ "setlistener inside onconnect", function (t)
		local listeners, record = t.listeners("new")
		local _, peer = t.accept("old", { onconnect = function (conn)
			conn:setlistener(listeners)
		end })
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "setlistener inside onincoming", function (t)
		local listeners, record = t.listeners("new")
		local _, peer = t.accept("old", { onincoming = function (conn)
			conn:setlistener(listeners, { 1 })
		end })
		peer:send("x")
		t.wait(function () return record.count.attach end)
		peer:send("y")
		t.wait(function () return record.data == "y" end)
	end },
	{ "an error in onincoming is logged and the connection stays", function (t)
		local _, peer, record = t.accept("server", { onincoming = function (_, data)
			if data == "bad" then error("of the probe") end
		end })
		peer:send("bad")
		t.wait(function () return record.data == "bad" end)
		peer:send("good")
		t.wait(function () return record.data == "badgood" end)
	end },
	{ "an error in onconnect is logged and the connection stays", function (t)
		local _, peer, record = t.accept("server", { onconnect = function ()
			error("of the probe")
		end })
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "an error in ondisconnect is logged", function (t)
		local conn <const> = t.accept("server", { ondisconnect = function ()
			error("of the probe")
		end })
		conn:close()
		t.values("fd", conn:getfd())
	end },
	{ "an error that is a table is logged", function (t)
		local _, peer, record = t.accept("server", { onincoming = function ()
			error({ code = 1 })
		end })
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "an error in onattach and ondetach is logged", function (t)
		local conn, peer = t.accept("old", { ondetach = function () error("detaching") end })
		local listeners, record = t.listeners("new", { onattach = function ()
			error("attaching")
		end })
		conn:setlistener(listeners)
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "an error in onpredrain and ondrain is logged", function (t)
		local conn, peer, record = t.accept("server", {
			onpredrain = function () error("before") end,
			ondrain = function () error("after") end,
		})
		t.idle(0.02)
		conn:write("all the same")
		t.values("peer", t.read(peer, 12))
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "onerror makes the message", function (t)
		local _, peer, record = t.accept("server", {
			onincoming = function () error("of the probe") end,
			onerror = function () return "made by onerror" end,
		})
		peer:send("x")
		t.wait(function () return record.data == "x" end)
	end },
	{ "fatal_errors ends the connection", function (t)
		t.config { fatal_errors = true }
		local conn, peer, record = t.accept("server", { onincoming = function ()
			error("of the probe")
		end })
		peer:send("x")
		t.wait(function () return record.data == "x" end)
		t.values("fd", conn:getfd(), record.count.disconnect)
	end },
	{ "destroy in onconnect", function (t)
		local _, port, record = t.serve("server", { onconnect = function (conn)
			conn:destroy()
		end })
		local peer <const> = t.peer(port)
		peer:send("never read")
		t.wait(function () return record.count.connect end)
		t.wait(function () return select(2, peer:receive(1)) ~= "timeout" end)
	end },
	{ "close in onconnect", function (t)
		local _, port, record = t.serve("server", { onconnect = function (conn)
			conn:write("bye")
			conn:close()
		end })
		local peer <const> = t.peer(port)
		t.values("peer", t.read(peer, 4))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "close in a client's onconnect", function (t)
		local _, port = t.serve("server", { quiet = true })
		local _, record = t.client("client", port, { onconnect = function (conn)
			conn:close()
		end })
		t.wait(function () return record.count.disconnect end)
	end },
	{ "close in onincoming", function (t)
		local _, peer, record = t.accept("server", { onincoming = function (conn)
			conn:close()
		end })
		peer:send("x")
		t.wait(function () return record.count.disconnect end)
		t.values("peer", t.read(peer, 1))
	end },
	{ "close in ondisconnect", function (t)
		local conn, _, record = t.accept("server", { ondisconnect = function (conn)
			t.values("write", conn:write("late"))
			t.values("close", conn:close())
		end })
		conn:close()
		t.idle(0.01)
		t.values("count", record.count.disconnect)
	end },
	{ "destroy in ondisconnect", function (t)
		local conn, _, record = t.accept("server", { ondisconnect = function (conn)
			conn:destroy()
		end })
		conn:close()
		t.idle(0.01)
		t.values("count", record.count.disconnect, conn:getfd())
	end },
	{ "the handle in ondisconnect", function (t)
		local conn <const>, peer, record = t.accept("server", { ondisconnect = function (conn)
			t.values("still there", conn:getfd() >= 0, conn:ip(), conn.conn ~= nil)
		end })
		peer:close()
		t.wait(function () return record.count.disconnect end)
		t.values("gone", conn:getfd())
	end },
	{ "callbacks of the handle win", function (t)
		local conn, peer, record = t.accept("server")
		local mine
		function conn:onincoming(data)
			t.values("mine", data, self == conn)
			mine, self.onincoming = data, nil
		end
		peer:send("x")
		t.wait(function () return mine end)
		peer:send("y")
		t.wait(function () return record.data == "y" end)
	end },
	{ "a listener table that changes is looked up again", function (t)
		local _, peer, record = t.accept("server")
		local listeners <const> = record.conn.listeners
		local got
		listeners.onincoming = function (_, data) got = data end
		if t.server.refresh then t.server.refresh(listeners) end
		peer:send("x")
		t.wait(function () return got end)
		t.values("got", got)
	end },
	{ "a listener table without callbacks", function (t)
		local port <const> = t.free_port()
		t.keep(t.server.listen("127.0.0.1", port, {}))
		local peer <const> = t.peer(port)
		peer:send("x")
		t.idle(0.02)
		t.values("peer", select(2, peer:receive(1)))
		peer:close()
		t.idle(0.01)
	end },
	{ "an ondrain of the handle wins", function (t)
		local conn, peer = t.accept("server", { also = { "drain" } })
		local drained
		function conn:ondrain() drained = self == conn end
		conn:write("x")
		t.values("peer", t.read(peer, 1))
		t.wait(function () return drained end)
		t.values("mine", drained)
	end },
	{ "a method of the handle is replaced", function (t)
		local conn, peer = t.accept("server")
		local write <const> = conn.write
		function conn:write(data) return write(self, data:upper()) end
		t.values("write", conn:write("loud"))
		t.values("send", conn:send("quiet"))
		t.values("peer", t.read(peer, 9))
	end },
	{ "a listener over IPv6", function (t)
		local port <const> = t.free_port()
		local listeners, record = t.listeners("server")
		local listening <const> = t.server.listen("::1", port, listeners)
		if not listening then
			return
		end
		t.keep(listening)
		local client_listeners, client_record = t.listeners("client")
		local client <const> = t.keep(t.server.addclient("::1", port, client_listeners))
		t.wait(function () return client_record.count.connect and record.count.connect end)
		t.values("ip", client:ip(), record.conn:ip())
		client:write("six")
		t.wait(function () return record.data == "six" end)
	end },
	{ "an unprotected callback raises out of the loop", function (t)
		t.config { protect_listeners = false }
		local _, peer, record = t.accept("server", { onincoming = function ()
			error("of the probe")
		end })
		peer:send("x")
		t.try("loop", t.wait, function () return record.data == "x" end)
	end },
}
