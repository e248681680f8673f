-- Prosody's net.server alone: PROSODY_LIB=FOLDER lua5.4 echo.lua PORT [default|tuned] [PEM (TLS)]
local root <const> = os.getenv "PROSODY_LIB" or "/usr/lib/prosody"
package.path = root .. "/?.lua;" .. package.path
package.cpath = root .. "/?.so;" .. package.cpath
local port <const>, mode <const>, pem <const> = tonumber(arg[1]), arg[2], arg[3]
local server <const> = require "net.server_epoll"
local tuned <const> = mode == "tuned" or nil
server.set_config { tcp_backlog = 4096, opportunistic_writes = tuned, nagle = not tuned }
local tls <const> = pem and assert(require "ssl".newcontext { mode = "server", protocol = "any",
	key = pem, certificate = pem, options = { "no_sslv2", "no_sslv3" } })
local function nothing() end
assert(server.addserver("127.0.0.1", port, {
	onconnect = nothing, ondisconnect = nothing,
	onincoming = function (conn, data) conn:write(data) end,
}, nil, tls or nil))
server.loop()
