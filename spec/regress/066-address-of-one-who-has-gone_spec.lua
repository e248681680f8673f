-- "A client that resets its connection behind a request had our own address. Where that is one of
-- trusted_proxies, what the client said of itself in X-Forwarded-For was believed."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"

local ours <const>, theirs <const> = "127.0.0.3", "127.0.0.5"

local app <const> = [[
module:depends "http"
module:provides("http", { default_path = "/", route = { ["GET /"] = function (event)
	module:log("info", "asked by %s, ip %s", event.request.ip, event.request.conn:ip())
	return "ok"
end } })
]]

-- Sends a request and a reset.
local function ask_and_go(port)
	local fd <const> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
	assert(socket.bind(fd, { family = socket.AF_INET, addr = theirs, port = 0 }))
	assert(socket.connect(fd, { family = socket.AF_INET, addr = ours, port = port }))
	assert(socket.send(fd, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"))
	assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0))
	unistd.close(fd)
end

describe("regress: the address of one who has gone", function ()
	after_each(daemon.finish_all)

	it("is not ours", function ()
		local d <const> = daemon.start {
			config = ([[
				modules_enabled = { "app" }; https_ports = {}
				http_ports = { 0 }; http_interfaces = { %q }; trusted_proxies = { %q }
			]]):format(ours, ours),
			modules = { app = app },
		}
		local worker <const>, port <const> = d:worker_pid(), d:port "http"
		process.kill(worker, "STOP") -- so that the reset is there before it looks
		ask_and_go(port)
		process.kill(worker, "CONT")
		assert.matches("asked by 0%.0%.0%.0, ip 0%.0%.0%.0", d:wait_log("asked by", 20))
		d:stop()
	end)
end)
