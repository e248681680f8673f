local cases <const> = require "spec.support.http_cases"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local app <const> = [==[
module:depends "http"
local async, promise = require "util.async", require "util.promise"
local errors, timer = require "util.error", require "util.timer"
local hits = 0
local function later(seconds, value)
	return promise.new(function (resolve) timer.add_task(seconds, function () resolve(value) end) end)
end
module:provides("http", { default_path = "/", streaming_uploads = true, route = {
	["GET /"] = function () hits = hits + 1 return "root" end,
	["GET /hits"] = function () return tostring(hits) end,
	["GET /second"] = function () hits = hits + 1000 return "second" end,
	["GET /nil"] = function () end,
	["GET /number"] = function () return 418 end,
	["GET /string"] = function () return "text" end,
	["GET /table"] = function ()
		return { status_code = 201, headers = { x_made_by = "table" }, body = "made" }
	end,
	["GET /error"] = function ()
		return errors.new { type = "cancel", condition = "gone", text = "it is gone", code = 410 }
	end,
	["GET /promise"] = function () return later(0.01, "kept") end,
	["GET /broken"] = function () return promise.reject(errors.new { code = 409 }) end,
	["GET /sleep"] = function () async.sleep(0.01) return "slept" end,
	["GET /long"] = function () async.sleep(0.5) return "long" end,
	["GET /endless"] = function () return true end,
	["GET /later"] = function (event)
		timer.add_task(0.01, function () event.response:send("later") end)
		return true
	end,
	["GET /raise"] = function () error("on purpose") end,
	["GET /inject"] = function (event)
		event.response.headers.x = event.request.url.query:gsub("%%(%x%x)", function (h)
			return string.char(tonumber(h, 16))
		end)
		return "injected"
	end,
	["GET /inject-name"] = function (event)
		event.response.headers["x: y\r\nz"] = "1"
		return "injected"
	end,
	["GET /data"] = "a constant",
	["GET /chunks"] = function (event)
		local left = 100
		return event.response:send_file { read = function (_, n)
			left = left - 1
			return left >= 0 and ("x"):rep(1000) or nil
		end }
	end,
	["GET /big"] = function (event)
		event.response.headers.content_length = tostring(50 * 1024 * 1024)
		return event.response:send_file(io.open("/dev/zero"))
	end,
	["GET /no-content"] = function () return { status_code = 204, body = "never" } end,
	["GET /dir/*"] = function (_, rest) return "rest " .. rest end,
	["GET /info"] = function (event)
		local r = event.request
		return table.concat({ r.method, r.path, r.httpversion, r.ip, tostring(r.secure),
			r.headers.x_a or "-", r.headers.host or "-", type(r.id), type(r.log),
			tostring(r.conn == event.response.conn) }, " ")
	end,
	["POST /up"] = function (event)
		local request = event.request
		if request.partial then
			request.received = 0
			request.body_sink = { write = function (_, data)
				request.received = request.received + #data
				return true
			end }
			return true
		end
		return ("%d %s"):format(request.received or #request.body, request.body and "whole" or "stream")
	end,
} })
module:provides("http", { name = "plain", route = {
	["POST /"] = function (event) return tostring(#event.request.body) end,
} })
]==]

local function start(more)
	return daemon.start {
		modules = { app = app },
		config = [[
			modules_enabled = { "app" }
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
			lameduck_period = 0.1; lameduck_probe_window = 0
		]] .. (more or "") .. [[

			VirtualHost "localhost"
		]],
		allow = { "on purpose", "stack traceback", "Traceback" },
	}
end

local function get(path, more)
	return ("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(path, more or "")
end

-- Reads one answer: status, body, headers.
local function answer(c, is_head)
	local status = assert(c:line()):match("^HTTP/1%.1 (%d+) ")
	local headers <const> = {}
	for line in function () return c:line() end do
		if line == "" then break end
		local name, value = line:match("^([^:]+): (.*)$")
		headers[name:lower()] = value
	end
	local body = ""
	if headers["transfer-encoding"] then
		repeat
			local size = tonumber(c:line(), 16)
			body = body .. (size > 0 and c:read(size) or "")
			assert(c:line() == "")
		until size == 0
	elseif not is_head and tonumber(headers["content-length"] or 0) > 0 then
		body = c:read(tonumber(headers["content-length"]))
	end
	return tonumber(status), body, headers
end

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
		assert.equal("GET /info 1.1 127.0.0.1 nil b localhost string function true", body)
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

	it("refuses every malformed request with one answer and closes", function ()
		for _, case in ipairs(cases) do
			local c = connect()
			c:send(case.bytes)
			c:send(get "/second")
			c:shutdown()
			local text = c:read_all(3) or ""
			local _, count = text:gsub("HTTP/1%.1 %d%d%d ", "")
			local status = text:match("^HTTP/1%.1 (%d+)") or "none"
			local expected = case.status == "4xx" and "^[45]%d%d$" or "^" .. case.status .. "$"
			assert.equal(1, count, case.name .. ": " .. text:sub(1, 200))
			assert.matches(expected, status, case.name)
			assert.matches("Connection: close", text, case.name)
			c:close()
		end
		assert.is_true(tonumber((select(2, ask "/hits"))) < 1000)
	end)
end)

describe("an HTTP server's times", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("cuts slow heads, slow bodies, idle connections and answers that never come", function ()
		local d <const> = start [[
			http_header_timeout = 1; http_body_timeout = 1; http_keepalive_timeout = 1
			http_request_timeout = 2
		]]
		local port <const> = d:port("http")
		local function opened(text)
			local c = assert(client.tcp("127.0.0.1", port))
			c:send(text)
			return c
		end
		local slow <const> = opened("GET / HTTP/1.1\r\nX: ")
		local body <const> = opened("POST /plain/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
		local silent <const> = opened("")
		local idle <const> = opened(get "/string")
		local endless <const> = opened(get "/endless")
		local ended
		-- one byte in a while does not help
		wait.until_true(function ()
			ended = ended or not slow:send("y")
			return ended or slow:closed(0.2)
		end, 5, "the slow head to be cut")
		assert.matches("^HTTP/1.1 408 ", (body:read_all(5)))
		assert.equal("", (silent:read_all(5)))
		assert.matches("text$", (idle:read_all(5)))
		assert.matches("^HTTP/1.1 503 ", (endless:read_all(5)))
		d:stop()
	end)
end)

describe("an HTTPS server", function ()
	after_each(daemon.finish_all)

	it("serves over TLS as without it", function ()
		local dir <const> = process.temp_dir()
		assert.equal(0, (process.run { timeout = 20, argv = { "openssl", "req", "-x509", "-newkey",
			"rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
			"subjectAltName=DNS:localhost", "-keyout", dir .. "/localhost.key", "-out",
			dir .. "/localhost.crt" } }))
		local d <const> = start(("certificates = %q; https_ports = { 0 }; "):format(dir)
			.. 'https_interfaces = { "127.0.0.1" }')
		local url <const> = "https://localhost:" .. d:port("https")
		local function curl(...)
			local _, out = process.run { timeout = 30, argv = { "curl", "-sS", "-m", "20", "--cacert",
				dir .. "/localhost.crt", ... } }
			return out
		end
		assert.matches("^GET /info 1.1 127.0.0.1 true ", curl(url .. "/info"))
		assert.equal("100000", curl("-o", "/dev/null", "-w", "%{size_download}", url .. "/chunks"))
		assert.equal("52428800", curl("-o", "/dev/null", "-w", "%{size_download}", url .. "/big"))
		process.remove_tree(dir)
		d:stop()
	end)
end)
