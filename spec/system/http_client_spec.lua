-- net.http, the client: against scripted servers in this process.

local http <const> = require "net.http"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local tls <const> = require "spec.support.tls"
local turns <const> = require "spec.support.turns"

-- A server that answers each request (its text is kept in `seen`) with what `answer` returns: a
-- string, or a list of strings that are written 10 ms apart; `close` ends the connection after it.
local function serve(answer, close)
	local seen = {}
	local handle = assert(server.listen("127.0.0.1", 0, {
		onincoming = function (conn, data)
			conn.text = (conn.text or "") .. data
			local length = tonumber(conn.text:match("Content%-Length: (%d+)")) or 0
			local body = conn.text:match("\r\n\r\n(.*)$")
			if not body or #body < length then return end
			seen[#seen + 1] = conn.text
			conn.text = ""
			local parts = type(answer) == "function" and answer(conn, seen[#seen]) or answer
			parts = type(parts) == "table" and parts or { parts }
			local function write(i)
				if parts[i] then
					conn:write(parts[i])
					return server.add_task(0.01, function () write(i + 1) end)
				elseif close then
					conn:close()
				end
			end
			write(1)
		end,
		ondisconnect = function () seen.closed = (seen.closed or 0) + 1 end,
	}, {}))
	return ("http://127.0.0.1:%d"):format(handle:serverport()), seen
end

-- The same over TLS, with a certificate of "localhost".
local function serve_tls(certificate)
	local handle = assert(server.listen("127.0.0.1", 0, {
		onincoming = function (conn) conn:write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") end,
	}, { tls_ctx = tls.context("server", certificate), tls_direct = true }))
	return handle:serverport()
end

-- Asks and waits for the callback: body, code, response, request.
local function ask(url, options, client)
	local got
	local request, why = (client or http.default):request(url, options or {}, function (...)
		got = table.pack(...)
	end)
	if not got then
		turns.run_until(function () return got end, 5, "an answer")
	end
	return got[1], got[2], got[3], got[4], request, why
end

local ok <const> = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: yes\r\n\r\nhello"

describe("net.http", function ()
	after_each(turns.close_all)

	it("gives the callback body, code, response and request, and closes the connection", function ()
		local base, seen = serve(ok)
		local body, code, response, request = ask(base .. "/a/b?c=d#e")
		assert.same({ "hello", 200, "yes" }, { body, code, response.headers["x-thing"] })
		assert.equal(base .. "/a/b?c=d#e", request.url)
		assert.is_truthy(seen[1]:find("^GET /a/b%?c=d HTTP/1.1\r\n"))
		assert.is_truthy(seen[1]:find("\r\nHost: 127.0.0.1:%d+\r\n"))
		assert.is_truthy(seen[1]:find("\r\nUser%-Agent: gadwall/"))
		turns.run_until(function () return seen.closed end, 2, "the connection to close")
	end)

	it("posts a body as a form unless it is told otherwise", function ()
		local base, seen = serve(ok)
		ask(base, { body = http.formencode { a = "b c" } })
		assert.is_truthy(seen[1]:find("^POST / HTTP/1.1\r\n"))
		assert.is_truthy(seen[1]:find("Content-Type: application/x-www-form-urlencoded", 1, true))
		assert.equal("a=b+c", seen[1]:match("\r\n\r\n(.*)$"))
		ask(base, { body = "{}", method = "PUT", headers = { ["content-type"] = "application/json" } })
		assert.is_truthy(seen[2]:find("^PUT / "))
		assert.is_truthy(seen[2]:find("\r\ncontent%-type: application/json\r\n"))
		assert.is_nil(seen[2]:find("form-urlencoded", 1, true))
	end)

	it("sends name and password of the URL", function ()
		local base, seen = serve(ok)
		ask((base:gsub("//", "//me:p%%40ss@")))
		assert.equal("me:p@ss", require "util.encodings".base64.decode(
			seen[1]:match("Authorization: Basic (%S+)")))
	end)

	it("resolves names", function ()
		local base, seen = serve(ok)
		local _, code = ask((base:gsub("127.0.0.1", "localhost")))
		assert.equal(200, code)
		assert.is_truthy(seen[1]:find("Host: localhost:", 1, true))
	end)

	it("puts chunks together, and bodies that end with the connection", function ()
		local base = serve { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
			"c\r\n2;x=y\r\nde\r\n0\r\nTr: a\r\n\r\n" }
		assert.equal("abcde", (ask(base)))
		base = serve({ "HTTP/1.0 200 OK\r\n\r\nsome", " text" }, true)
		assert.equal("some text", (ask(base)))
	end)

	it("passes over 100 Continue, and reads no body of HEAD, 204 and 304", function ()
		local base = serve("HTTP/1.1 100 Continue\r\n\r\n" .. ok)
		assert.equal("hello", (ask(base)))
		base = serve("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
		local body, code = ask(base, { method = "HEAD" })
		assert.same({ "", 200 }, { body, code })
		base = serve("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")
		body, code = ask(base)
		assert.same({ "", 304 }, { body, code })
	end)

	it("asks over TLS, and tells a server with a wrong certificate nothing", function ()
		local dir = process.temp_dir()
		finally(function () process.remove_tree(dir) end)
		tls.make(dir, "ca", { is_ca = true })
		local port = serve_tls(tls.make(dir, "localhost", { ca = "ca" }))
		local trusting = http.new { sslctx = tls.context("client", { cafile = dir .. "/ca.crt",
			verify = "peer", verifyext = { "lsec_continue" } }) }
		local url = ("https://localhost:%d/"):format(port)
		local body, code = ask(url, {}, trusting)
		assert.same({ "ok", 200 }, { body, code })
		assert.equal("certificate-chain-invalid", (ask(url)))
		local other = url:gsub("localhost", "127.0.0.1")
		assert.equal("certificate-verify-failed", (ask(other, {}, trusting)))
		assert.equal("ok", (ask(url, { insecure = true })))
		local plain = serve(ok)
		assert.equal("timeout", (ask((plain:gsub("http:", "https:")), { timeout = 0.2 }, trusting)))
	end)

	it("follows no redirect", function ()
		local base, seen = serve("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
		local _, code, response = ask(base)
		assert.same({ 302, "/x", 1 }, { code, response.headers.location, #seen })
	end)

	it("hands a long or endless body to a streaming handler as it comes", function ()
		local base = serve { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
			"3\r\ndef\r\n0\r\n\r\n" }
		local pieces, finalized = {}, nil
		local sink = {}
		function sink.write(_, data)
			pieces[#pieces + 1] = data
			return true
		end
		local body, code = ask(base, { streaming_handler = function (response)
			assert.equal(200, response.code)
			return sink, function () finalized = true end
		end })
		assert.same({ "abcdef", 200, true, false },
			{ table.concat(pieces), code, finalized, body })
		assert.is_true(#pieces >= 2)
		pieces = {}
		ask(base, { body_sink = sink })
		assert.equal("abcdef", table.concat(pieces))
	end)

	it("reports each failure as a reason and 0", function ()
		local function reason(url, options)
			local body, code = ask(url, options)
			assert.equal(0, code)
			return body
		end
		local closed = serve("", true)
		local half = serve("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true)
		local garbage = serve("SSH-2.0-OpenSSH\r\n\r\n")
		local silent = serve("HTTP/1.1 200 OK\r\n")
		local long = serve("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" .. ("x"):rep(500))
		assert.equal("connection refused", reason "http://127.0.0.1:1/")
		assert.is_truthy(reason(closed))
		assert.is_truthy(reason(half))
		assert.is_truthy(reason(garbage))
		assert.equal("timeout", reason(silent, { timeout = 0.05 }))
		assert.equal("content-length-limit-exceeded", reason(long, { body_size_limit = 100 }))
	end)

	it("asks nothing for a URL or a header that would be another request", function ()
		for _, url in ipairs { "http://127.0.0.1/ HTTP/1.1", "http://a b/", "ftp://x/", "x",
			"http://h:0/", "http://h:99999/", "http:///x", "http://127.0.0.1/\r\nX: y" } do
			local body, code, _, _, request, why = ask(url)
			assert.same({ "invalid-url", 0, nil, "invalid-url" }, { body, code, request, why }, url)
		end
		local body = ask("http://127.0.0.1:1/", { headers = { X = "a\r\nB: c" } })
		assert.equal("invalid-header", body)
		assert.equal("invalid-method", (ask("http://127.0.0.1:1/", { method = "GET /x" })))
	end)

	it("can be cancelled, before and after the connection is there", function ()
		local base, seen = serve("HTTP/1.1 200 OK\r\n")
		local got = {}
		local function note(body, code) got[#got + 1] = body .. " " .. code end
		http.request(base, nil, note):cancel()
		local request = http.request(base, nil, note)
		turns.run_until(function () return seen[1] end, 2, "the request")
		request:cancel("enough")
		turns.run_until(function () return seen.closed end, 2, "the connection to close")
		assert.same({ "cancelled 0", "enough 0" }, got)
	end)

	it("gives a promise where there is no callback", function ()
		local base = serve(ok)
		local response, err
		http.default:request(base):next(function (r) response = r end)
		http.default:request("http://127.0.0.1:1/"):catch(function (e) err = e end)
		turns.run_until(function () return response and err end, 5, "both promises")
		assert.same({ "hello", 200, base }, { response.body, response.code, response.request.url })
		assert.is_true(require "util.error".is_error(err))
	end)

	it("fires its events, whose handlers may change things or answer themselves", function ()
		local base, seen = serve(ok)
		local client = http.new {}
		local names = {}
		for _, name in ipairs { "pre-request", "request", "response", "request-connection-error" } do
			client.events.add_handler(name, function (event)
				assert.equal(client, event.http)
				names[#names + 1] = name
				if name == "pre-request" then event.options = { headers = { X = "added" } } end
				if name == "response" then event.content = event.content .. "!" end
			end)
		end
		assert.equal("hello!", (ask(base, nil, client)))
		assert.is_truthy(seen[1]:find("\r\nX: added\r\n"))
		ask("http://127.0.0.1:1/", nil, client)
		assert.equal("pre-request request response pre-request request request-connection-error",
			table.concat(names, " "))
		client.events.add_handler("pre-request", function () return "mine" end, 10)
		assert.equal("mine", client:request(base, nil, print))
	end)

	it("outlives an error in a callback", function ()
		local base, seen = serve(ok)
		local called
		http.request(base, nil, function ()
			called = true
			error("in the callback")
		end)
		turns.run_until(function () return called and seen.closed end, 2, "the end")
	end)

	it("hands the connection of a 101 over", function ()
		local base = serve("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
			.. "Connection: Upgrade\r\n\r\n")
		local conn
		local code = select(2, ask(base, { headers = { Upgrade = "x", Connection = "Upgrade" } }))
		http.request(base, nil, function (_, _, _, request)
			conn, request.conn = request.conn, nil
		end)
		turns.run_until(function () return conn end, 2, "the connection")
		assert.equal(101, code)
		assert.is_true(conn:getfd() >= 0)
	end)
end)
