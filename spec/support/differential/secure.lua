-- TLS: direct and begun later. Needs LuaSec on Prosody's side, so
-- these probes run only when boot.lua is given a certificate.

local function direct(t, on_server, on_client)
	local port <const> = t.free_port()
	local listeners, accepted = t.listeners("server", on_server)
	t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
		{ tls_direct = true, tls_ctx = t.tls("server") })))
	local client_listeners, record = t.listeners("client", on_client)
	local client <const> = t.keep(assert(t.server.addclient(
		"127.0.0.1", port, client_listeners, nil, t.tls("client"))))
	return client, record, accepted, port
end

local function secured(t, on_server, on_client)
	local client, record, accepted = direct(t, on_server, on_client)
	t.wait(function () return record.count.connect and accepted.count.connect end)
	return accepted.conn, accepted, client, record
end

return {
	{ "TLS from the begin", function (t)
		local conn, accepted, client, record = secured(t, { quiet = true }, { quiet = true })
		t.values("status", accepted.count.status, record.count.status)
		t.values("ssl", conn:ssl() and true, client:ssl() and true)
		client:write("secret")
		t.wait(function () return accepted.data == "secret" end)
		conn:write("answer")
		t.wait(function () return record.data == "answer" end)
		t.values("socket", type(conn:socket():info()), conn:socket():getfd() == conn:getfd())
	end },
	{ "callbacks of an accepted TLS connection", function (t)
		local conn <const> = secured(t, { also = { "starttls" } }, { quiet = true })
		conn:close()
	end },
	{ "callbacks of a TLS client", function (t)
		local _, _, client = secured(t, { quiet = true }, { also = { "starttls" } })
		client:close()
	end },
	{ "starttls after a write", function (t)
		local _, port, accepted = t.serve("server", { also = { "starttls" },
			onincoming = function (conn, data)
				if data == "begin" then
					conn:write("go")
					conn:starttls(t.tls("server"))
					t.values("field", conn.starttls)
				end
			end })
		local client, record = t.client("client", port, { quiet = true,
			onincoming = function (conn, data)
				if data == "go" then
					conn:starttls(t.tls("client"))
				end
			end })
		client:write("begin")
		t.wait(function () return accepted.count.status and record.count.status end)
		client:write("secret")
		t.wait(function () return accepted.data == "beginsecret" end)
		t.values("ssl", client:ssl() and true, record.count.connect, accepted.count.connect)
	end },
	{ "close with output over TLS", function (t)
		local conn, _, _, record = secured(t, nil, { quiet = true })
		conn:write("last words")
		conn:close()
		t.wait(function () return record.count.disconnect end)
		t.values("client", record.data)
	end },
	{ "data and the end together over TLS", function (t)
		local _, accepted, client = secured(t, nil, { quiet = true })
		client:write("last words")
		client:close()
		t.wait(function () return accepted.count.disconnect end)
	end },
	{ "addserver with a context is TLS from the begin", function (t)
		local port <const> = t.free_port()
		local listeners, accepted = t.listeners("server")
		t.keep(assert(t.server.addserver("127.0.0.1", port, listeners, 3, t.tls("server"))))
		local client_listeners, record = t.listeners("client", { quiet = true })
		local client <const> = t.keep(assert(t.server.addclient(
			"127.0.0.1", port, client_listeners, nil, t.tls("client"))))
		t.wait(function () return record.count.connect and accepted.count.connect end)
		client:write("secret")
		t.wait(function () return accepted.data == "secret" end)
	end },
	{ "a context without tls_direct is for starttls", function (t)
		local port <const> = t.free_port()
		local listeners, accepted = t.listeners("server", { also = { "starttls" },
			onincoming = function (conn, data)
				if data == "begin" then
					conn:write("go")
					conn:starttls()
				end
			end })
		t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
			{ tls_ctx = t.tls("server") })))
		local client, record = t.client("client", port, { quiet = true,
			onincoming = function (conn, data)
				if data == "go" then conn:starttls(t.tls("client")) end
			end })
		client:write("begin")
		t.wait(function () return record.count.status and accepted.count.status end)
		t.values("ssl", accepted.conn:ssl() and true)
	end },
	{ "the socket of a TLS connection", function (t)
		local conn, _, client = secured(t, { quiet = true }, { quiet = true })
		for _, handle in ipairs { conn, client } do
			local object <const> = handle:socket()
			local info <const> = object:info()
			t.values("info", type(info.protocol), type(info.cipher), object:info("protocol"))
			t.values("alpn", object.getalpn and (object:getalpn()))
			t.values("peer", object:getpeercertificate() ~= nil)
			t.values("fields", handle.starttls, handle.servername)
		end
	end },
	{ "an error in onstatus is logged", function (t)
		local _, accepted, client = secured(t, { onstatus = function () error("of the probe") end },
			{ quiet = true })
		client:write("goes on")
		t.wait(function () return accepted.data == "goes on" end)
	end },
	{ "destroy over TLS", function (t)
		local conn, accepted, _, record = secured(t, { quiet = true }, { quiet = true })
		conn:destroy()
		t.wait(function () return record.count.disconnect end)
		t.values("heard", accepted.count.disconnect, conn:getfd())
	end },
	{ "setlistener over TLS", function (t)
		local conn, _, client = secured(t, nil, { quiet = true })
		local listeners, record = t.listeners("new")
		conn:setlistener(listeners, 1)
		client:write("for the new one")
		t.wait(function () return record.data == "for the new one" end)
	end },
	{ "lines over TLS", function (t)
		local conn, accepted, client = secured(t, nil, { quiet = true })
		conn:set_mode("*l")
		client:write("one\ntwo\n")
		t.wait(function () return accepted.data == "onetwo" end)
	end },
	{ "much over TLS", function (t)
		local bytes <const> = ("0123456789abcdef"):rep(20000)
		local conn, _, _, record = secured(t, { quiet = true }, { quiet = true })
		conn:write(bytes)
		t.wait(function () return #record.data == #bytes end)
		t.values("the same", record.data == bytes)
	end },
	{ "a peer that speaks no TLS", function (t)
		local listeners, record = t.listeners("server", { quiet = true })
		local port <const> = t.free_port()
		t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
			{ tls_direct = true, tls_ctx = t.tls("server") })))
		t.peer(port):send("GET / HTTP/1.0\r\n\r\n")
		t.wait(function () return record.count.disconnect end)
		t.values("heard", record.count.connect, record.count.status, record.data)
	end },
	{ "a server that speaks no TLS", function (t)
		local _, port = t.serve("server", { quiet = true, onincoming = function (conn)
			conn:write("220 no TLS here, ever and ever\r\n")
		end })
		local listeners, record = t.listeners("client")
		t.keep(assert(t.server.addclient("127.0.0.1", port, listeners, nil, t.tls("client"))))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a client that finds no trust", function (t)
		local port <const> = t.free_port()
		local listeners, accepted = t.listeners("server")
		t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
			{ tls_direct = true, tls_ctx = t.tls("server") })))
		local client_listeners, record = t.listeners("client")
		t.keep(assert(t.server.addclient("127.0.0.1", port, client_listeners, nil,
			t.tls("client", { verify = "peer" }))))
		t.wait(function () return record.count.disconnect and accepted.count.disconnect end)
	end },
	{ "a peer that goes during the handshake", function (t)
		local listeners, record = t.listeners("server")
		local port <const> = t.free_port()
		t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
			{ tls_direct = true, tls_ctx = t.tls("server") })))
		local peer <const> = t.peer(port)
		t.idle(0.02)
		peer:close()
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a handshake that never ends", function (t)
		t.config { ssl_handshake_timeout = 0.15 }
		local listeners, record = t.listeners("server")
		local port <const> = t.free_port()
		t.keep(assert(t.server.listen("127.0.0.1", port, listeners,
			{ tls_direct = true, tls_ctx = t.tls("server") })))
		t.peer(port)
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a pause over TLS", function (t)
		local conn, accepted, client = secured(t, nil, { quiet = true })
		conn:pause()
		client:write("held")
		t.idle(0.03)
		t.values("paused", accepted.data)
		conn:resume()
		t.wait(function () return accepted.data == "held" end)
	end },
}
