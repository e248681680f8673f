--- A service under TLS for specs with a daemon, and what its peers see.

local process <const> = require "spec.support.process"

local tls_service <const> = {}

local source <const> = [[
local listener = { default_mode = "*l" }
function listener.onincoming(conn, line)
	if line == "STARTTLS" then
		conn:write("go\n")
		return conn:starttls()
	end
	conn:write(line .. (conn:ssl() and " under TLS\n" or "\n"))
end
function listener.ondisconnect(_, why)
	module:log("info", "ended: %s", tostring(why))
end
module:provides("net", { name = "NAME", default_port = 0, listener = listener,
	encryption = "HOW", class = "CLASS" })
]]

--- The text of a module whose service sends lines back, with " under TLS" behind them where it is
--- so, and begins TLS at the line STARTTLS. It logs "ended: WHY" for each connection.
---@param name string of the service
---@param how string|nil "ssl" (default) or "starttls"
---@param class string|nil default "client"
function tls_service.module(name, how, class)
	return (source:gsub("%u%u+", { NAME = name, HOW = how or "ssl", CLASS = class or "client" }))
end

--- What s_client says of the certificate that it got: its common name, else all that it wrote.
---@param name string|nil for SNI
function tls_service.subject(port, name)
	local argv <const> = { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-brief" }
	table.move(name and { "-servername", name } or { "-noservername" }, 1, 2, #argv + 1, argv)
	local _, out, err = process.run { argv = argv }
	return (out .. err):match("Peer certificate: CN = ([^\n]+)") or out .. err
end

return tls_service
