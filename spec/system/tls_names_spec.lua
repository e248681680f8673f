-- Names, protocols, certificates of clients, sessions, new certificates: TL-06, TL-08, TL-12.

local host_tls <const> = require "host.tls"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local tls <const> = require "spec.support.tls"
local turns <const> = require "spec.support.turns"

local run_until <const> = turns.run_until

local dir, files, client_ctx

local function listen(ctx, extra)
	local record = turns.recorder(extra)
	record.server = assert(server.listen("127.0.0.1", 0, record.listeners,
		{ tls_ctx = ctx, tls_direct = true }))
	record.port = record.server:serverport()
	return record
end

-- The common name that a client sees, or why it sees none.
local function seen(port, name, ctx)
	local c = turns.recorder()
	local result
	function c.listeners.onconnect(conn)
		result = conn:ssl_peercertificate():subject()[1].value
		conn:close()
	end
	function c.listeners.ondisconnect(_, why) result = result or why end
	assert(server.addclient("127.0.0.1", port, c.listeners, nil, ctx or client_ctx, nil,
		{ servername = name }))
	run_until(function () return result end)
	return result
end

describe("TLS", function ()
	setup(function ()
		dir = process.temp_dir()
		files = {}
		for _, name in ipairs { "localhost", "a.example", "wild.example", "ca", "other-ca" } do
			files[name] = tls.make(dir, name, { is_ca = name:find("ca$") ~= nil })
		end
		files.user = tls.make(dir, "user", { ca = "ca" })
		files.stranger = tls.make(dir, "stranger", { ca = "other-ca" })
		client_ctx = tls.context("client", {})
	end)
	teardown(function () process.remove_tree(dir) end)
	after_each(function ()
		turns.close_all()
		assert.equal(0, host_tls.queue())
	end)

	it("picks the certificate by name, with wildcards, and refuses names it does not know", function ()
		local ctx = tls.context("server", files.localhost)
		assert.is_true(ctx:set_sni_host("a.example", files["a.example"].certificate,
			files["a.example"].key))
		assert.is_true(ctx:set_sni_host("*.example", files["wild.example"].certificate,
			files["wild.example"].key))
		local port = listen(ctx).port
		assert.equal("a.example", seen(port, "a.example"))
		assert.equal("a.example", seen(port, "A.Example"))
		assert.equal("wild.example", seen(port, "b.example"))
		assert.equal("localhost", seen(port, nil))
		assert.equal("localhost", seen(port, "127.0.0.1"))
		assert.matches("unrecognized name", seen(port, "x.b.example"))
		assert.matches("unrecognized name", seen(port, ("x"):rep(240) .. ".org"))
		ctx:remove_sni_host("a.example")
		assert.equal("wild.example", seen(port, "a.example"))
		local ok, err = ctx:set_sni_host("a.example", files["a.example"].certificate, files.ca.key)
		assert.is_false(ok)
		assert.matches("key values mismatch", err)
	end)

	it("speaks the first of its own protocols, and none that is not shared", function ()
		local s = listen(tls.context("server", files.localhost, { alpn = { "h2", "http/1.1" } }))
		local function picked(...)
			local c = turns.recorder()
			assert(server.addclient("127.0.0.1", s.port, c.listeners, nil,
				tls.context("client", { alpn = { ... } })))
			run_until(function () return c.count.onconnect or c.count.ondisconnect end)
			return c.why or c.conn:socket():getalpn()
		end
		assert.equal("h2", picked("http/1.1", "h2"))
		assert.equal("http/1.1", picked("http/1.1"))
		assert.matches("no application protocol", picked("smtp"))
		assert.is_nil(picked())
	end)

	describe("with alpn as a function", function ()
		local heard, answer

		local function asked(offered)
			heard = table.concat(offered, " ")
			return answer()
		end

		-- What the handshake picks, or why it fails.
		local function picked(...)
			local s = listen(tls.context("server", files.localhost, { alpn = asked }))
			local c = turns.recorder()
			heard = nil
			assert(server.addclient("127.0.0.1", s.port, c.listeners, nil,
				tls.context("client", select("#", ...) > 0 and { alpn = { ... } } or {})))
			run_until(function () return c.count.onconnect or c.count.ondisconnect end)
			return c.why or c.conn:socket():getalpn()
		end

		it("speaks the first that it wants of those that the peer offers", function ()
			answer = function () return { "h2", "echo/1" } end
			assert.equal("echo/1", picked("x", "echo/1"))
			assert.equal("x echo/1", heard)
			assert.equal("h2", picked("echo/1", "h2"))
			answer = function () return "x" end
			assert.equal("x", picked("x", "echo/1"))
		end)

		it("goes on without a protocol where it wants none, or none of these", function ()
			for _, value in ipairs { false, 5, {}, { "other" }, { "" }, { {} }, "other",
				{ ("x"):rep(256) } } do
				answer = function () return value end
				assert.is_nil(picked("x"))
				assert.equal("x", heard)
			end
			assert.is_nil(picked())
			assert.is_nil(heard)
		end)

		it("takes as many protocols as fit", function ()
			local many = {}
			for i = 1, 3000 do many[i] = "protocol" .. i end
			many[2] = "x"
			answer = function () return many end
			assert.equal("x", picked("x"))
		end)

		it("fails the handshake with an error of the function, which is logged", function ()
			answer = function () error "no idea" end
			assert.matches("no application protocol", picked("x"))
		end)

		it("is asked for the context of the name that the peer gave", function ()
			local outer <const> = tls.context("server", files.localhost, { alpn = { "outer" } })
			local inner <const> = tls.context("server", files["a.example"],
				{ alpn = function () return { "inner" } end })
			outer._inner:sni("a.example", inner._inner)
			local s = listen(outer)
			local c = turns.recorder()
			assert(server.addclient("127.0.0.1", s.port, c.listeners, nil,
				tls.context("client", { alpn = { "outer", "inner" } }), nil,
				{ servername = "a.example" }))
			run_until(function () return c.count.onconnect end)
			assert.equal("inner", c.conn:socket():getalpn())
		end)

		it("survives the end of the connection, and of all others, in the function", function ()
			for _, how in ipairs { "destroy", "close" } do
				local s = listen(tls.context("server", files.localhost, { alpn = function ()
					heard = how
					for _, conn in ipairs(server.handles()) do conn[how](conn) end
					collectgarbage()
					return "x"
				end }))
				assert(server.addclient("127.0.0.1", s.port, {}, nil,
					tls.context("client", { alpn = { "x" } })))
				run_until(function ()
					return heard == how and require "host.net".stats().connections == 0
				end)
				assert.equal(0, require "host.net".stats().handshakes)
			end
		end)

		it("lets go of the function with the context", function ()
			local weak = setmetatable({}, { __mode = "k" })
			do
				local fn = function () return weak end
				weak[fn] = true
				tls.context("server", files.localhost, { alpn = fn })
			end
			for _ = 1, 3 do collectgarbage() end
			assert.is_nil(next(weak))
		end)

		it("is none of a client's", function ()
			local ctx, err = server.tls_builder():apply { mode = "client", alpn = print }:build()
			assert.is_nil(ctx)
			assert.matches("alpn", err)
		end)
	end)

	describe("with certificates of clients", function ()
		local function try(settings, client)
			local ctx = tls.context("server", files.localhost, { cafile = files.ca.certificate },
				settings)
			local s = listen(ctx)
			local c = turns.recorder()
			assert(server.addclient("127.0.0.1", s.port, c.listeners, nil,
				tls.context("client", client or {})))
			run_until(function () return s.count.onconnect or s.count.ondisconnect end)
			return s, c
		end

		it("lets in who has one that verifies", function ()
			local s = try({ verify = { "peer", "fail_if_no_peer_cert" } }, files.user)
			assert.same({ true }, { s.conn:ssl_peerverification() })
			assert.equal("user", s.conn:ssl_peercertificate():subject()[1].value)
		end)

		it("turns away who has a stranger's, or none", function ()
			local need = { verify = { "peer", "fail_if_no_peer_cert" } }
			assert.equal("certificate verify failed", (try(need, files.stranger)).why)
			assert.equal("peer did not return a certificate", (try(need)).why)
		end)

		it("tells what is wrong where verification goes on", function ()
			local s = try({ verify = "peer", verifyext = { "lsec_continue" } }, files.stranger)
			local ok, errors = s.conn:ssl_peerverification()
			assert.is_false(ok)
			assert.same({ "unable to get local issuer certificate",
				"unable to verify the first certificate" }, errors[1])
		end)
	end)

	local function chain_of(settings)
		local s = listen(tls.context("server", settings))
		local c = turns.recorder()
		assert(server.addclient("127.0.0.1", s.port, c.listeners, nil, client_ctx))
		run_until(function () return c.count.onconnect end)
		local names, i = {}, 1
		local cert = c.conn:ssl_peercertificate()
		while cert do
			names[i], i = cert:subject()[1].value, i + 1
			cert = c.conn:ssl_peercertificate(i)
		end
		return table.concat(names, " ")
	end

	it("sends the CAs that follow the certificate in its file", function ()
		local chain = dir .. "/chain.pem"
		process.write_file(chain, process.read_file(files.user.certificate)
			.. process.read_file(files.ca.certificate))
		assert.equal("user ca", chain_of { certificate = chain, key = files.user.key })
		assert.equal("user ca", chain_of { certificate = chain, key = files.user.key,
			cafile = files["other-ca"].certificate })
	end)

	it("sends the CAs of the trust where the certificate's file has none", function ()
		local settings = { certificate = files.user.certificate, key = files.user.key }
		assert.equal("user", chain_of(settings))
		settings.cafile = files.ca.certificate
		assert.equal("user ca", chain_of(settings))
		settings.cafile = files["other-ca"].certificate
		assert.equal("user", chain_of(settings))
	end)

	describe("sessions", function ()
		local script <const> = [[
s.sendall(b'x')
try:
	s.recv(1)
except OSError:
	pass
session = s.session
s.close()
def again(name, port):
	r = socket.create_connection(("127.0.0.1", port), 10)
	try:
		t = c.wrap_socket(r, server_hostname=name, session=session)
		print(t.session_reused)
		t.close()
	except ssl.SSLError as e:
		print(e.reason)
]]
		local function serve(label)
			local ctx = tls.context("server", files.localhost, { label = label })
			for _, name in ipairs { "a.example", "wild.example" } do
				ctx:set_sni_host(name, files[name].certificate, files[name].key)
			end
			return listen(ctx, { onincoming = function (conn) conn:write("y") end })
		end

		it("are resumed by ticket, under the name and the service that made them only", function ()
			local first, second, alike = serve "one port 1", serve "two port 2", serve "one port 1"
			local code, out = tls.python(first.port, "a.example", script .. ([[
again("a.example", %d)
again("wild.example", %d)
again("a.example", %d)
again("a.example", %d)
]]):format(first.port, first.port, second.port, alike.port))
			assert.equal(0, code, out)
			assert.equal("True\nFalse\nFalse\nTrue\n", out)
		end)

		it("outlive two new ticket keys, not three", function ()
			local s = serve "one port 1"
			for rotations, want in pairs { [0] = "True\n", [2] = "True\n", [3] = "False\n" } do
				local rotated
				function s.listeners.onconnect()
					if not rotated then
						rotated = true
						server.add_task(0.2, function ()
							for _ = 1, rotations do host_tls.rotate_tickets() end
						end)
					end
				end
				local code, out = tls.python(s.port, "a.example", script .. ([[
time.sleep(0.5)
again("a.example", %d)
]]):format(s.port))
				assert.equal(0, code, out)
				assert.equal(want, out, rotations .. " rotations")
			end
		end)
	end)

	it("serves 500 handshakes without a failure while certificates change", function ()
		local ctxs = { tls.context("server", files.localhost),
			tls.context("server", files["a.example"]) }
		local s = listen(ctxs[1])
		local done, failed, reloads, names = 0, 0, 0, {}
		local function one()
			local c = {}
			function c.onconnect(conn)
				names[conn:ssl_peercertificate():subject()[1].value] = true
				conn:close()
			end
			function c.ondisconnect(_, why)
				done = done + 1
				if why then failed = failed + 1 end
			end
			assert(server.addclient("127.0.0.1", s.port, c, nil, client_ctx))
		end
		for i = 1, 500 do server.add_task(i * 0.002, one) end
		server.add_task(0, function ()
			reloads = reloads + 1
			-- not one and the other in turn: newcomers may come in every second turn of the loop
			s.server:set_sslctx(tls.context("server", reloads // 3 % 2 == 0 and files.localhost
				or files["a.example"]))
			return done < 500 and 0.001 or nil
		end)
		run_until(function () return done == 500 end, 30)
		assert.equal(0, failed)
		assert.is_true(reloads > 5, reloads .. " reloads")
		assert.is_true(names.localhost and names["a.example"])
	end)

	it("says in LuaSec's words what is wrong with settings", function ()
		local function err(settings)
			return select(2, server.tls_builder():apply { mode = "server" }:apply(settings):build())
		end
		assert.matches("^error loading certificate %(No such file",
			err { certificate = dir .. "/none" })
		assert.equal("error loading private key (key values mismatch)",
			err { certificate = files.ca.certificate, key = files.user.key })
		assert.equal("error setting cipher list (no cipher match)", err { ciphers = "nonsense" })
		assert.equal("invalid protocol (unsupported protocol)", err { protocol = "tlsv1" })
		assert.matches("alpn", err { alpn = { "" } })
	end)
end)
