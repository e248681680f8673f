local cases <const> = require "spec.support.http_cases"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local start <const>, get <const>, answer <const> = http_app.start, http_app.get, http_app.answer

describe("an HTTP server, of malformed requests", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("refuses every malformed request with one answer and closes", function ()
		local d <const> = start()
		local port <const> = d:port("http")
		for _, case in ipairs(cases) do
			local c = assert(client.tcp("127.0.0.1", port))
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
		local c <const> = assert(client.tcp("127.0.0.1", port))
		c:send(get "/hits")
		assert.is_true(tonumber((select(2, answer(c)))) < 1000)
		d:stop()
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
