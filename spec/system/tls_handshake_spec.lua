-- TLS on connections: handshakes, data, ends, bad input. Facts 1.3, 1.4, 1.8; TL-02 to TL-07.

local host_net <const> = require "host.net"
local host_tls <const> = require "host.tls"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local tls <const> = require "spec.support.tls"
local turns <const> = require "spec.support.turns"

local run_until <const> = turns.run_until

local dir, files, ctx, client_ctx

local function echo(extra)
	local record = turns.recorder()
	function record.listeners.onincoming(conn, data) conn:write(data) end
	function record.listeners.onstatus(_, what) record.events[#record.events + 1] = { what } end
	function record.listeners.onstarttls(conn)
		record.conn = conn
		record.events[#record.events + 1] = { "onstarttls" }
	end
	for name, fn in pairs(extra or {}) do record.listeners[name] = fn end
	return record
end

local function listen(record, config)
	config = config or { tls_ctx = ctx, tls_direct = true }
	return assert(server.listen("127.0.0.1", 0, record.listeners, config)):serverport()
end

-- A record of a client; its connection is `record.handle`.
local function connect(port, context, extra, more)
	local record = turns.recorder(extra)
	record.handle = assert(server.addclient("127.0.0.1", port, record.listeners, nil, context, nil,
		more))
	return record
end

describe("TLS", function ()
	setup(function ()
		dir = process.temp_dir()
		files = tls.make(dir, "localhost")
		ctx = tls.context("server", files)
		client_ctx = tls.context("client", {})
	end)
	teardown(function () process.remove_tree(dir) end)
	after_each(function ()
		turns.close_all()
		assert.equal(0, host_tls.queue())
		server.set_config {}
	end)

	it("tells onstarttls, the status, then onconnect, and carries data both ways", function ()
		local s = echo()
		local c = connect(listen(s), client_ctx, { onconnect = function (conn) conn:write "hello" end })
		run_until(function () return c.data == "hello" end)
		assert.matches("^onstarttls ssl%-handshake%-complete onconnect", s.names())
		assert.is_true(c.handle:ssl())
		assert.equal("TLSv1.3", c.handle:ssl_info().protocol)
		assert.equal("TLSv1.3", c.handle:socket():info("protocol"))
		assert.equal(client_ctx, c.handle:sslctx())
		assert.matches("localhost", c.handle:ssl_peercertificate():subject()[1].value)
		assert.equal(c.handle:ssl_peerfinished(), s.conn:ssl_finished())
		assert.equal(c.handle:ssl_exportkeyingmaterial("EXPORTER-x", 32),
			s.conn:ssl_exportkeyingmaterial("EXPORTER-x", 32))
		c.handle:close()
		run_until(function () return s.count.ondisconnect end)
		assert.equal("closed", s.why)
	end)

	it("sends what was written before the handshake, after it", function ()
		local s = echo()
		local c = connect(listen(s), client_ctx)
		assert.equal(5, c.handle:write("early"))
		run_until(function () return c.data == "early" end)
	end)

	it("answers words for a connection that has no TLS", function ()
		local s = echo()
		local c = connect(listen(s, {}), nil)
		run_until(function () return c.count.onconnect end)
		assert.is_nil(c.handle:ssl())
		assert.same({ nil, "not-connected" }, { c.handle:ssl_info() })
		assert.same({ nil, "not-connected" }, { c.handle:ssl_peercertificate() })
		assert.same({ nil, "tls context missing" }, { c.handle:starttls() })
	end)

	it("carries 10 MB both ways unharmed", function ()
		local s = echo()
		local piece = string.char(table.unpack((function ()
			local bytes = {}
			for i = 1, 251 do bytes[i] = i end
			return bytes
		end)())):rep(4000)
		local sent, got, wrong = 0, 0, 0
		local function more(conn)
			while sent < 10e6 and conn:queued() < 2e6 do sent = sent + conn:write(piece) end
		end
		local c = connect(listen(s), client_ctx, { onconnect = more, ondrain = more })
		function c.listeners.onincoming(_, data)
			if data:byte() ~= got % 251 + 1 or data:byte(-1) ~= (got + #data - 1) % 251 + 1 then
				wrong = wrong + 1
			end
			got = got + #data
		end
		host_net.refresh(c.listeners)
		run_until(function () return got >= sent and sent >= 10e6 end, 30, "10 MB")
		assert.equal(sent, got)
		assert.equal(0, wrong)
	end)

	it("is whole over a path that moves a byte at a time", function ()
		local s = echo()
		local port = listen(s)
		local function trickle(from, to)
			from:set_mode(1)
			to:setoption("tcp-nodelay", true)
			from.onincoming = function (_, byte) to:write(byte) end
		end
		local path = assert(server.listen("127.0.0.1", 0, { onconnect = function (conn)
			local onward
			onward = assert(server.addclient("127.0.0.1", port, { onconnect = function ()
				trickle(conn, onward)
				trickle(onward, conn)
			end }))
			conn:pause()
			server.add_task(0.05, function () conn:resume() end)
		end }))
		local text = ("fragment "):rep(2000)
		local c = connect(path:serverport(), client_ctx,
			{ onconnect = function (conn) conn:write(text) end })
		run_until(function () return #c.data >= #text end, 20)
		assert.is_true(c.data == text)
	end)

	it("speaks with Python's ssl in both versions and ends clean", function ()
		for _, version in ipairs { "TLSv1_2", "TLSv1_3" } do
			local s = echo()
			local code, out = tls.python(listen(s), "localhost", [[
s.sendall(b"x" * 100000)
n = 0
while n < 100000: n += len(s.recv(65536))
print(s.version(), s.compression())
s.unwrap().close()
]], "c.minimum_version = c.maximum_version = ssl.TLSVersion." .. version)
			assert.equal(0, code, out)
			assert.equal(version:gsub("_", ".") .. " None\n", out)
			assert.equal("closed", s.why)
		end
	end)

	it("refuses versions below 1.2", function ()
		local s = echo()
		local port = listen(s)
		local code, out = tls.python(port, nil, "",
			"c.set_ciphers('ALL:@SECLEVEL=0'); c.minimum_version = ssl.TLSVersion.TLSv1; "
			.. "c.maximum_version = ssl.TLSVersion.TLSv1_1")
		assert.equal(1, code)
		assert.matches("alert protocol version", out)
		assert.is_nil(s.count.onconnect)
		assert.equal("unsupported protocol", s.why)
	end)

	it("refuses to renegotiate", function ()
		local s = echo()
		local port = listen(s)
		local _, out = tls.peer { "sh", "-c", ("(sleep 0.3; echo R; sleep 0.3) | "
			.. "openssl s_client -tls1_2 -connect 127.0.0.1:%d"):format(port) }
		assert.matches("RENEGOTIATING", out)
		assert.matches("no renegotiation", out)
	end)

	it("is whole when the system takes and gives a byte at a time, or nothing for a while", function ()
		if not require "host.info".failpoints then return pending("needs FAILPOINTS=1") end
		process.write_file(dir .. "/echo.lua", ([[
			local server = require "net.server"
			local function context(mode, files)
				return assert(server.tls_builder():apply { mode = mode }:apply(files):build())
			end
			local s = server.listen("127.0.0.1", 0, { onincoming = function (c, d) c:write(d) end }, {
				tls_ctx = context("server", { certificate = "%s", key = "%s" }), tls_direct = true })
			local text, got = ("0123456789abcdef"):rep(2000), ""
			server.addclient("127.0.0.1", s:serverport(), {
				onconnect = function (c) c:write(text) end,
				onincoming = function (c, data)
					got = got .. data
					if #got >= #text then server.setquitting(true) end
				end,
				ondisconnect = function () server.setquitting(true) end,
			}, nil, context("client", {}))
			server.add_task(15, function () server.setquitting(true) end)
			server.loop()
			print(got == text, require "host.tls".queue())
		]]):format(files.certificate, files.key))
		for _, failpoint in ipairs { "net-recv:short", "net-send:short", "net-send:errno=11@3",
			"net-recv:errno=11@4", "net-send:errno=105@2", "net-recv:errno=4@6" } do
			local _, out, err = process.run {
				argv = { require "posix.unistd".readlink("/proc/self/exe"), "lua", dir .. "/echo.lua" },
				env = { GADWALL_FAILPOINT = failpoint },
			}
			assert.equal("true\t0\n", out, failpoint .. err)
		end
	end)

	it("ends with words when the system fails in a handshake or later", function ()
		if not require "host.info".failpoints then return pending("needs FAILPOINTS=1") end
		for _, failpoint in ipairs { "net-recv:errno=104@1", "net-recv:errno=104@5",
			"net-send:errno=32@1", "net-send:errno=104@3", "net-recv:errno=110@6" } do
			local _, out = process.run {
				argv = { require "posix.unistd".readlink("/proc/self/exe"), "lua", dir .. "/echo.lua" },
				env = { GADWALL_FAILPOINT = failpoint },
			}
			assert.matches("^%l+\t0\n$", out, nil, nil, failpoint)
		end
	end)

	it("shows a cut stream as what it is, and a clean end as closed", function ()
		local s = echo()
		local port = listen(s)
		tls.python(port, nil, "s.sendall(b'x'); s.recv(1); raw = socket.socket(fileno=s.detach()); "
			.. "raw.close()", "c.maximum_version = ssl.TLSVersion.TLSv1_2")
		run_until(function () return s.count.ondisconnect end)
		assert.equal("unexpected eof while reading", s.why)
	end)

	it("delivers data that comes together with the end", function ()
		local s = turns.recorder()
		local port = listen(s)
		tls.python(port, nil, "s.sendall(b'last words'); s.unwrap().close()")
		run_until(function () return s.count.ondisconnect end)
		assert.equal("last words", s.data)
		assert.equal("closed", s.why)
	end)

	-- A client that sends its Finished and `data` in one piece, then shows what it reads first, and
	-- whether it got a session's ticket.
	local function eager(port)
		return tls.peer { "python3", "-c", ([[
import ssl, socket
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
s = c.wrap_bio(i, o)
raw = socket.create_connection(("127.0.0.1", %d), 10)
def read(call):
	try:
		return call()
	except ssl.SSLWantReadError:
		return "nothing"
while read(s.do_handshake) == "nothing":
	raw.sendall(o.read())
	i.write(raw.recv(65536))
s.write(b"data")
raw.sendall(o.read())
i.write(raw.recv(65536))
print(read(lambda: s.read(9)), s.session.has_ticket)
]]):format(port) }
	end

	it("answers what comes with the end of the handshake in one piece with its tickets", function ()
		assert.same({ 0, "b'data' True\n" }, { eager(listen(echo())) })
	end)

	it("sends its tickets, and delivers such data, also where nobody answers or reads yet", function ()
		local silent = turns.recorder()
		assert.same({ 0, "nothing True\n" }, { eager(listen(silent)) })
		run_until(function () return silent.data == "data" end)
		local paused = turns.recorder { onconnect = function (conn) conn:pause() end }
		assert.same({ 0, "nothing True\n" }, { eager(listen(paused)) })
		assert.equal("", paused.data)
		paused.conn:resume()
		run_until(function () return paused.data == "data" end)
	end)

	it("delivers what arrived during a pause, end included, when it is over", function ()
		local s = turns.recorder { onconnect = function (conn) conn:pause() end }
		local port = listen(s)
		tls.python(port, nil, "s.sendall(b'a' * 50000); s.unwrap().close()",
			"c.maximum_version = ssl.TLSVersion.TLSv1_2")
		assert.equal("", s.data)
		s.conn:resume()
		run_until(function () return s.count.ondisconnect end)
		assert.equal(50000, #s.data)
	end)

	it("ends garbage, plain HTTP and a half hello with words", function ()
		for input, words in pairs {
			["nonsense nonsense\n"] = "wrong version number",
			["GET / HTTP/1.1\r\n\r\n"] = "http request",
			["\22\3\1\0\5\1\0\0\1\0"] = "length",
			["\22\3\1\255\255" .. ("x"):rep(70000)] = "packet length too long",
		} do
			local s = echo()
			local port = listen(s)
			connect(port, nil, { onconnect = function (conn)
				conn:write(input)
			end })
			run_until(function () return s.count.ondisconnect end, 5, words)
			assert.matches(words, s.why)
			assert.is_nil(s.count.onconnect)
			turns.close_all()
		end
	end)

	it("cuts a handshake that takes longer than ssl_handshake_timeout", function ()
		server.set_config { ssl_handshake_timeout = 0.3 }
		local s = echo()
		local port = listen(s)
		local c = connect(port, nil)
		local started = os.time()
		run_until(function () return c.count.onconnect end)
		local hello = "\22\3\1\2\0\1\0\1\252\3\3" .. ("\0"):rep(200)
		for i = 1, 200 do -- a byte now and then does not prolong it
			server.add_task(i * 0.05, function () c.handle:write(hello:sub(i, i)) end)
		end
		run_until(function () return c.count.ondisconnect end, 20)
		assert.equal("connection timeout", s.why)
		assert.is_true(os.time() - started <= 8)
	end)

	it("does not turn in circles when the peer goes at the end of the handshake", function ()
		for _, how in ipairs { "destroy", "close" } do
			local s = echo()
			assert(server.addclient("127.0.0.1", listen(s), { onstatus = function (conn)
				conn:write("bye")
				conn[how](conn)
			end }, nil, client_ctx))
			run_until(function () return s.count.ondisconnect end, 2)
			assert.is_true(s.count.ondrain == nil or s.count.ondrain < 5)
		end
	end)

	it("reports a reset as the end", function ()
		local s = echo()
		tls.python(listen(s), nil, "s.sendall(b'x'); s.recv(1); "
			.. "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0'); "
			.. "raw = socket.socket(fileno=s.detach()); raw.close()")
		run_until(function () return s.count.ondisconnect end, 2)
		assert.equal("closed", s.why)
	end)

	it("tells a client why: refused, no TLS there, handshake failed", function ()
		local plain = assert(server.listen("127.0.0.1", 0, { onincoming = function (conn)
			conn:write("no TLS here\n")
		end }))
		local c = connect(plain:serverport(), client_ctx)
		run_until(function () return c.count.ondisconnect end)
		assert.equal("wrong version number", c.why)
		assert.is_nil(c.count.onconnect)
		local s = echo()
		local fussy = tls.context("client", { protocol = "tlsv1_3" })
		local old = tls.context("server", files, { protocol = "tlsv1_2" })
		c = connect(listen(s, { tls_ctx = old, tls_direct = true }), fussy)
		run_until(function () return c.count.ondisconnect end)
		assert.matches("protocol version", c.why)
	end)

	it("opens and closes 1,000 connections without keeping a descriptor or much memory", function ()
		local s = echo()
		local port = listen(s)
		local function some(n)
			local begun, left = 0, n
			local function one()
				if begun == n then return end
				begun = begun + 1
				connect(port, client_ctx, {
					onconnect = function (conn) conn:write("x") end,
					onincoming = function (conn) conn:close() end,
					ondisconnect = function ()
						left = left - 1
						one()
					end,
				})
			end
			for _ = 1, 10 do one() end
			run_until(function () return left == 0 and host_net.stats().connections == 0 end, 60)
			collectgarbage()
			collectgarbage()
		end
		some(100)
		local sys = require "host.sys"
		local _, fds = process.fds(require "posix.unistd".getpid())
		local rss = sys.rss()
		some(900)
		local _, after = process.fds(require "posix.unistd".getpid())
		assert.equal(fds, after)
		if not os.getenv "GADWALL_SLOW" then -- sanitizers keep what is freed for a while
			assert.is_true(sys.rss() - rss < 8 << 20, "grew by " .. sys.rss() - rss)
		end
	end)

	it("survives destroy and close inside each callback", function ()
		for _, name in ipairs { "onstarttls", "onstatus", "onconnect", "onincoming", "ondrain",
			"ondisconnect" } do
			for _, how in ipairs { "destroy", "close" } do
				local done
				local s = echo { [name] = function (conn)
					conn:write("bye")
					conn[how](conn)
					done = true
				end }
				local c = connect(listen(s), client_ctx, {
					onconnect = function (conn) conn:write("x") end,
					onincoming = function (conn) conn:close() end,
				})
				run_until(function () return done and c.count.ondisconnect end, 5, name)
				local c2 = turns.recorder()
				c2.listeners[name] = function (conn)
					conn:write("bye")
					conn[how](conn)
					done = 2
				end
				local s2 = echo { onconnect = function (conn) conn:write("x") end }
				function s2.listeners.onincoming(conn) conn:close() end
				assert(server.addclient("127.0.0.1", listen(s2), c2.listeners, nil, client_ctx))
				local over
				server.add_task(0.01, function ()
					if over then return end
					if not c2.count.onincoming and done ~= 2 then return 0.01 end
					for _, conn in ipairs(server.handles()) do conn:close() end
				end)
				run_until(function () return done == 2 and host_net.stats().connections == 0 end,
					5, name .. " of a client")
				over = true
				turns.close_all()
			end
		end
	end)
end)
