-- "Who was still sending a body that had been refused got, under TLS, a close in the middle of it:
-- a reset, which may take the answer away. Without TLS the host reads on until the peer has heard."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local app <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/", route = {
		["POST /"] = function () return "taken" end,
	} })
]]

-- Hears the whole answer and the end of it, and has sent on behind both.
local client <const> = [[
import socket, ssl, sys, time
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20))
s.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 1000)
answer = b""
while True:
    piece = s.recv(65536)
    if not piece:
        break
    answer += piece
for _ in range(4):
    s.sendall(b"x" * 1000)
    time.sleep(0.1)
print(answer.split(b"\r\n")[0].decode(), "and no reset")
]]

describe("regress: a refused body under TLS", function ()
	after_each(daemon.finish_all)

	it("is read until its sender has heard", function ()
		local dir <const> = process.temp_dir()
		finally(function () process.remove_tree(dir) end)
		assert.equal(0, (process.run { argv = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
			"ec_paramgen_curve:prime256v1", "-nodes", "-keyout", dir .. "/localhost.key", "-out",
			dir .. "/localhost.crt", "-subj", "/CN=localhost", "-days", "30" }, timeout = 30 }))
		local d <const> = daemon.start { modules = { app = app }, config = ([[
			modules_enabled = { "http", "app" }; http_ports = {}; https_ports = { 0 }
			https_interfaces = { "127.0.0.1" }; certificates = %q; http_max_content_size = 100
		]]):format(dir) }
		local _, out, err = process.run { timeout = 60,
			argv = { "python3", "-c", client, tostring(d:port "https") } }
		assert.equal("HTTP/1.1 413 Payload Too Large and no reset\n", out, err)
		d:stop()
	end)
end)
