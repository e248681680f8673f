-- STARTTLS on both sides, and what is dropped with it (TL-07, facts 1.3).

local host_tls <const> = require "host.tls"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local tls <const> = require "spec.support.tls"
local turns <const> = require "spec.support.turns"

local run_until <const> = turns.run_until

local dir, ctx, client_ctx

-- A server of lines that answers "STARTTLS" with "go" and begins; all else is said back.
local function line_server(extra)
	local record = turns.recorder()
	function record.listeners.onincoming(conn, line)
		record.data = record.data .. line .. ";"
		if line == "STARTTLS" then
			conn:write("go\n")
			record.ok, record.err = conn:starttls()
		else
			conn:write(line .. "\n")
		end
	end
	function record.listeners.onstarttls() record.events[#record.events + 1] = { "onstarttls" } end
	function record.listeners.onstatus(conn, what)
		record.conn = conn
		record.events[#record.events + 1] = { what }
	end
	for name, fn in pairs(extra or {}) do record.listeners[name] = fn end
	record.server = assert(server.listen("127.0.0.1", 0, record.listeners,
		{ tls_ctx = ctx, read_size = "*l" }))
	record.port = record.server:serverport()
	return record
end

describe("STARTTLS", function ()
	setup(function ()
		dir = process.temp_dir()
		ctx = tls.context("server", tls.make(dir, "localhost"))
		client_ctx = tls.context("client", {})
	end)
	teardown(function () process.remove_tree(dir) end)
	after_each(function ()
		turns.close_all()
		assert.equal(0, host_tls.queue())
	end)

	it("begins after what was written before it, on both sides", function ()
		local s = line_server()
		local answers = {}
		local c = turns.recorder()
		function c.listeners.onconnect(conn) conn:write("STARTTLS\n") end
		function c.listeners.onincoming(conn, line)
			answers[#answers + 1] = line
			if line == "go" then
				assert(conn:starttls(client_ctx))
				c.field = conn.starttls
			end
		end
		function c.listeners.onstatus(conn, what)
			c.status = what
			conn:write("secret\n")
		end
		assert(server.addclient("127.0.0.1", s.port, c.listeners, "*l"))
		run_until(function () return #answers == 2 end)
		assert.same({ "go", "secret" }, answers)
		assert.equal("ssl-handshake-complete", c.status)
		assert.is_false(c.field)
		assert.is_true(s.ok)
		assert.is_true(s.conn:ssl())
		assert.is_false(s.conn.starttls)
		assert.equal(1, s.count.onconnect)
		assert.matches("onconnect onstarttls ssl%-handshake%-complete", s.names())
	end)

	it("works with Python's ssl", function ()
		local s = line_server()
		local code, out = tls.python(s.port, "localhost",
			"s.sendall(b'inside\\n'); print(s.recv(100), s.version())",
			"raw.sendall(b'STARTTLS\\n'); assert raw.recv(3) == b'go\\n'")
		assert.equal(0, code, out)
		assert.equal("b'inside\\n' TLSv1.3\n", out)
		assert.equal("STARTTLS;inside;", s.data)
	end)

	it("drops plaintext behind it together with the connection", function ()
		local s = line_server()
		local c = turns.recorder { onconnect = function (conn)
			conn:write("STARTTLS\nINJECTED\n")
		end }
		assert(server.addclient("127.0.0.1", s.port, c.listeners))
		run_until(function () return c.count.ondisconnect and s.count.ondisconnect end)
		assert.equal("STARTTLS;", s.data)
		assert.equal("plaintext behind starttls", s.why)
	end)

	it("drops plaintext that was read ahead while the connection was paused", function ()
		local s = line_server { onincoming = function (conn)
			conn:pause()
			server.add_task(0.05, function () conn:starttls() end)
		end }
		local c = turns.recorder { onconnect = function (conn) conn:write("one\ntwo\n") end }
		assert(server.addclient("127.0.0.1", s.port, c.listeners))
		run_until(function () return s.count.ondisconnect end)
		assert.equal("plaintext behind starttls", s.why)
	end)

	it("takes what comes later in the clear for a broken handshake", function ()
		local s = line_server()
		local c = turns.recorder { onincoming = function (conn) conn:write("INJECTED\n") end }
		function c.listeners.onconnect(conn) conn:write("STARTTLS\n") end
		assert(server.addclient("127.0.0.1", s.port, c.listeners))
		run_until(function () return s.count.ondisconnect end)
		assert.equal("STARTTLS;", s.data)
		assert.equal("wrong version number", s.why)
	end)

	it("drops an answer of the server that comes before its handshake too", function ()
		local evil = assert(server.listen("127.0.0.1", 0, { onincoming = function (conn)
			conn:write("go\nand here is more\n")
		end }))
		local c = turns.recorder { onconnect = function (conn) conn:write("STARTTLS\n") end }
		function c.listeners.onincoming(conn, line)
			c.data = c.data .. line .. ";"
			conn:starttls(client_ctx)
		end
		assert(server.addclient("127.0.0.1", evil:serverport(), c.listeners, "*l"))
		run_until(function () return c.count.ondisconnect end)
		assert.equal("go;", c.data)
		assert.equal("plaintext behind starttls", c.why)
	end)

	it("never sends in the clear what is written after it", function ()
		local s = line_server()
		local c = turns.recorder()
		local got = ""
		local port = assert(server.listen("127.0.0.1", 0, {
			onincoming = function (_, data) got = got .. data end,
		})):serverport()
		function c.listeners.onconnect(conn)
			conn:write("hello\n")
			conn:starttls(client_ctx)
			conn:write("secret\n")
		end
		assert(server.addclient("127.0.0.1", port, c.listeners))
		turns.run_for(0.1)
		assert.matches("^hello\n\22\3\1", got)
		assert.is_nil(got:find("secret", 1, true))
		assert.is_nil(s.why)
	end)

	it("says so when it is asked for twice or after the end", function ()
		local s = line_server { onincoming = function (conn)
			conn:write("go\n")
			conn:starttls()
		end }
		local c = turns.recorder { onconnect = function (conn) conn:write("x\n") end }
		local again
		function c.listeners.onincoming(conn)
			local starttls <const> = conn.starttls
			starttls(conn, client_ctx)
			again = { starttls(conn, client_ctx) }
			assert.is_false(conn.starttls)
			conn.starttls = nil
			assert.is_false(conn.starttls)
		end
		assert(server.addclient("127.0.0.1", s.port, c.listeners, "*l"))
		run_until(function () return s.conn end)
		assert.same({ nil, "ssl already active" }, again)
		local plain = line_server {}
		assert(server.addclient("127.0.0.1", plain.port, {}))
		run_until(function () return plain.conn end)
		local starttls <const> = plain.conn.starttls
		plain.conn:destroy()
		assert.same({ nil, "closed" }, { starttls(plain.conn, client_ctx) })
	end)

	it("survives destroy and close in onstarttls and onstatus", function ()
		for _, name in ipairs { "onstarttls", "onstatus" } do
			for _, how in ipairs { "destroy", "close" } do
				local done
				local s = line_server { [name] = function (conn)
					conn[how](conn)
					done = true
				end }
				local c = turns.recorder { onconnect = function (conn) conn:write("STARTTLS\n") end }
				function c.listeners.onincoming(conn) conn:starttls(client_ctx) end
				assert(server.addclient("127.0.0.1", s.port, c.listeners, "*l"))
				run_until(function () return done and c.count.ondisconnect end)
				turns.close_all()
			end
		end
	end)
end)
