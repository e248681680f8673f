-- contrib/examples/mod_ws_echo.lua, WebSocket through net.websocket.frames, against a client in
-- Python that shares nothing with it. (Headless Chromium opens its page in http_clients_spec.lua.)

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

describe("mod_ws_echo", function ()
	after_each(daemon.finish_all)

	local d, port

	before_each(function ()
		d = daemon.start { modules = { ws_echo = process.read_file "contrib/examples/mod_ws_echo.lua" },
			config = [[modules_enabled = { "ws_echo", "graceful_shutdown" }; http_ports = { 0 }
				https_ports = {}; http_interfaces = { "127.0.0.1" }]] }
		port = d:port "http"
	end)

	local function talk(last)
		local code, out, err = process.run { timeout = 60, argv = { "python3", "spec/support/ws_peer.py",
			tostring(port), "/ws_echo", last } }
		assert.equal("", err)
		assert.equal(0, code)
		return out
	end

	it("says back messages of every length, in pieces too, and closes as it is told", function ()
		assert.equal("HTTP/1.1 101 Switching Protocols\nsizes\npieces\nclosed 1000\n", talk "close")
		d:stop()
	end)

	it("closes with the code of what is wrong", function ()
		for last, code in pairs { unmasked = 1002, reserved = 1002, large = 1009, text = 1007,
			piece = 1002 } do
			assert.matches(("\nclosed %d\n$"):format(code), talk(last), last)
		end
		d:stop()
	end)

	it("says 1001 when the host stops", function ()
		local c <close> = assert(client.tcp("127.0.0.1", port))
		assert(c:send("GET /ws_echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
			.. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			.. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
		repeat until c:line(10) == ""
		d:signal "TERM"
		assert.equal("\x88\x0c\x03\xe9going away", c:read_all(20))
		d:stop()
	end)

	it("has a page for browsers, and says what it lacks for others", function ()
		local function status(...)
			local _, out = process.run { argv = { "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
				"-m", "20", ("http://127.0.0.1:%d/ws_echo"):format(port), "-H", "Host: localhost", ... } }
			return out
		end
		assert.equal("200", status())
		assert.equal("426", status("-H", "Upgrade: websocket"))
		assert.equal("400", status("-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"))
		d:stop()
	end)
end)
