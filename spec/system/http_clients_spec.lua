-- Programs that others wrote as clients: curl and Python, and h2load, wrk and Chromium where they
-- are installed (no group of contrib/deps.sh brings these three, so they are never asked for).

local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"
local process <const> = require "spec.support.process"

local requests <const> = 2000

local function have(program)
	return os.execute(("command -v %s >/dev/null 2>&1"):format(program)) == true
end

local function run(seconds, ...)
	local code, out, err = process.run { timeout = seconds, argv = { ... } }
	assert.equal(0, code, out .. err)
	return out
end

describe("an HTTP server's clients:", function ()
	after_each(daemon.finish_all)

	local d, url
	local function begin()
		d = http_app.start()
		url = ("http://127.0.0.1:%d"):format(d:port("http"))
	end

	it("curl gets, posts in chunks, heads, resumes a connection and waits for 100", function ()
		begin()
		assert.equal("text", run(30, "curl", "-sS", url .. "/string"))
		assert.equal("texttext", run(30, "curl", "-sS", url .. "/string", url .. "/string"))
		assert.matches("^HTTP/1.1 200 OK\r\n", run(30, "curl", "-sSI", url .. "/string"))
		assert.equal(100000, #run(30, "curl", "-sS", url .. "/chunks"))
		local file <const> = d.dir .. "/body"
		process.write_file(file, ("0123456789"):rep(100000))
		for _, header in ipairs { "Transfer-Encoding: chunked", "Expect: 100-continue", "X: y" } do
			local out <const> = run(30, "curl", "-sS", "-H", header, "--data-binary", "@" .. file,
				"-w", " %{http_code}", url .. "/up")
			assert.matches("1000000", out, header)
			assert.matches(" 200$", out, header)
		end
		d:stop()
	end)

	it("Python's http.client keeps a connection and reads chunks", function ()
		begin()
		assert.equal("text 100000 200\n", run(30, "python3", "-c", ([[
import http.client
c = http.client.HTTPConnection("127.0.0.1", %d, timeout=20)
def get(path):
    c.request("GET", path)
    return c.getresponse()
first = get("/string").read().decode()
own = c.sock
long = len(get("/chunks").read())
last = get("/string")
last.read()
assert c.sock is own
print(first, long, last.status)
]]):format(d:port("http"))))
		d:stop()
	end)

	if have "h2load" then
		it("h2load --h1 counts every request as answered, also pipelined", function ()
			begin()
			for _, streams in ipairs { "1", "8" } do
				local out <const> = run(90, "h2load", "--h1", "-n", tostring(requests), "-c", "8", "-m",
					streams, url .. "/string")
				assert.matches(("%d done, %d succeeded, 0 failed"):format(requests, requests), out)
			end
			d:stop()
		end)
	end

	if have "wrk" then
		it("wrk sees no socket error and nothing but 2xx", function ()
			begin()
			local out <const> = run(60, "wrk", "-d", "1", "-c", "8", "-t", "1", url .. "/string")
			assert.matches("%d+ requests in ", out)
			assert.not_matches("Socket errors", out)
			assert.not_matches("Non%-2xx", out)
			d:stop()
		end)
	end

	if have "chromium" then
		it("Chromium runs the page of mod_ws_echo, whose WebSocket says its words back", function ()
			d = daemon.start {
				modules = { ws_echo = process.read_file "contrib/examples/mod_ws_echo.lua" },
				config = [[modules_enabled = { "ws_echo" }; http_ports = { 0 }; https_ports = {}
					http_interfaces = { "127.0.0.1" }]] }
			local out <const> = run(110, "chromium", "--headless", "--no-sandbox", "--disable-gpu",
				"--user-data-dir=" .. d.dir .. "/chromium", "--virtual-time-budget=4000", "--dump-dom",
				("http://localhost:%d/ws_echo"):format(d:port "http"))
			assert.matches('<b id="state">open</b>', out, 1, true)
			assert.matches("<li>hello from ws_echo</li>", out, 1, true)
			d:stop()
		end)
	end
end)
