local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"
local process <const> = require "spec.support.process"

local start <const>, get <const>, answer <const> = http_app.start, http_app.get, http_app.answer

-- AddressSanitizer keeps freed memory for a while: what is resident says nothing there.
local sanitized <const> = os.getenv "GADWALL_SLOW"

-- Bytes of memory of the worker.
local function resident(d)
	local text <const> = process.read_file(("/proc/%d/status"):format(d:worker_pid()))
	return tonumber(text:match("VmRSS:%s+(%d+)")) * 1024
end

describe("an HTTP server", function ()
	local d, port
	setup(function ()
		d = start()
		port = d:port("http")
	end)
	teardown(function ()
		client.close_all()
		daemon.finish_all()
	end)
	after_each(client.close_all)

	local function connect()
		return assert(client.tcp("127.0.0.1", port))
	end

	local function ask(path, more)
		local c = connect()
		c:send(get(path, more))
		return answer(c)
	end

	it("answers with what a handler returns", function ()
		for path, expected in pairs {
			["/nil"] = { 404 }, ["/number"] = { 418 }, ["/string"] = { 200, "text" },
			["/table"] = { 201, "made" }, ["/error"] = { 410 }, ["/promise"] = { 200, "kept" },
			["/broken"] = { 409 }, ["/sleep"] = { 200, "slept" }, ["/later"] = { 200, "later" },
			["/raise"] = { 500 }, ["/data"] = { 200, "a constant" }, ["/none"] = { 404 },
			["/dir/a/b"] = { 200, "rest a/b" }, ["/dir"] = { 301 }, ["/no-content"] = { 204, "" },
		} do
			local status, body = ask(path)
			assert.equal(expected[1], status, path)
			assert.equal(expected[2] or body, body, path)
		end
	end)

	it("gives handlers Prosody's request", function ()
		local _, body = ask("/info?x", "X-A: b\r\n")
		assert.equal("GET /info 1.1 127.0.0.1 false b localhost string function true", body)
	end)

	it("believes trusted proxies", function ()
		local _, body = ask("/info",
			"X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\nX-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\n")
		assert.matches("^GET /info 1.1 192.0.2.7 true", body)
	end)

	it("keeps the connection, and closes it when it is asked to or for 1.0", function ()
		local c = connect()
		for _ = 1, 3 do
			c:send(get "/string")
			assert.equal(200, (answer(c)))
		end
		c:send(get("/string", "Connection: close\r\n"))
		local status, _, headers = answer(c)
		assert.equal("200 close", status .. " " .. headers.connection)
		assert.is_true(c:closed(1))
		c = connect()
		c:send("GET /string HTTP/1.0\r\n\r\n")
		assert.matches("\r\n\r\ntext$", (c:read_all(1)))
		c = connect()
		c:send("GET /string HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
		assert.equal("keep-alive", select(3, answer(c)).connection)
		c:send(get "/string")
		assert.equal(200, (answer(c)))
	end)

	it("answers HEAD like GET, without the body", function ()
		local c = connect()
		c:send("HEAD /string HTTP/1.1\r\nHost: localhost\r\n\r\n" .. get "/data")
		local status, _, headers = answer(c, true)
		assert.same({ 200, "4" }, { status, headers["content-length"] })
		assert.equal("a constant", select(2, answer(c)))
	end)

	it("answers 1,000 pipelined requests in their order", function ()
		local c, list <const> = connect(), {}
		local paths <const> = { "/string", "/sleep", "/later", "/data", "/promise" }
		local bodies <const> = { "text", "slept", "later", "a constant", "kept" }
		for i = 1, 1000 do
			list[i] = get(i % 20 == 0 and paths[i // 20 % 5 + 1] or "/dir/" .. i)
		end
		c:send(table.concat(list))
		for i = 1, 1000 do
			local _, body = answer(c)
			assert.equal(i % 20 == 0 and bodies[i // 20 % 5 + 1] or "rest " .. i, body)
		end
	end)

	it("sends chunks to 1.1 and up to the end to 1.0", function ()
		local _, body, headers = ask "/chunks"
		assert.same({ 100000, "chunked" }, { #body, headers["transfer-encoding"] })
		local c = connect()
		c:send("GET /chunks HTTP/1.0\r\n\r\n")
		local text = c:read_all(2)
		assert.equal(100000, #text:match("\r\n\r\n(.*)$"))
	end)

	it("takes chunks and lengths, in pieces or whole", function ()
		local c = connect()
		local head <const> = "POST %s HTTP/1.1\r\nHost: localhost\r\n"
		for path, expected in pairs { ["/up"] = "11 stream", ["/plain/"] = "11" } do
			c:send(head:format(path) .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			c:send("6\r\n world\r\n0\r\n\r\n")
			assert.equal(expected, select(2, answer(c)))
		end
		c:send(head:format("/up") .. "Content-Length: 5\r\n\r\nhello")
		assert.equal("5 whole", select(2, answer(c)))
	end)

	it("invites a body that is awaited, and refuses one that is too large", function ()
		local c = connect()
		local head <const> = "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
		c:send(head:format("/plain/") .. "Content-Length: 5\r\n\r\n")
		assert.equal("HTTP/1.1 100 Continue", c:line())
		assert.equal("", c:line())
		c:send("hello")
		assert.equal("5", select(2, answer(c)))
		c:send(head:format("/plain/") .. "Content-Length: 99999999\r\n\r\n")
		assert.equal(413, (answer(c)))
		assert.is_true(c:closed(1))
	end)

	it("streams 50 MiB up and down through curl in little memory", function ()
		local file <const> = d.dir .. "/big"
		assert.equal(0, (process.run { argv = { "truncate", "-s", "50M", file } }))
		local before <const> = resident(d)
		local url <const> = "http://127.0.0.1:" .. port
		local _, out = process.run { timeout = 30, argv = { "curl", "-sS", "-m", "20", "-X", "POST",
			"-T", file, url .. "/up" } }
		assert.equal("52428800 stream", out)
		_, out = process.run { timeout = 30, argv = { "curl", "-sS", "-m", "20", "-o", "/dev/null",
			"-w", "%{size_download}", url .. "/big" } }
		assert.equal("52428800", out)
		assert.is_true(sanitized ~= nil or resident(d) - before < 16 * 1024 * 1024)
	end)

	it("writes nothing of an answer whose header has a line end", function ()
		for _, path in ipairs { "/inject?a%0d%0aX-Evil:%201", "/inject?a%0ab", "/inject?a%0db",
			"/inject?%00", "/inject-name" } do
			local status, body, headers = ask(path)
			assert.equal(500, status, path)
			assert.is_nil(headers["x-evil"])
			assert.is_nil(body:find("injected", 1, true))
		end
		assert.equal(200, (ask "/inject?good"))
	end)

	it("finds the host without its port and whatever its case", function ()
		local c = connect()
		c:send("GET /string HTTP/1.1\r\nHost: LOCALHOST:8080\r\n\r\n")
		assert.equal(200, (answer(c)))
		c:send("GET http://localhost/string HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
		assert.equal(200, (answer(c)))
	end)
end)
