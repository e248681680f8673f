-- Runs the probes and prints what they saw, under either implementation of net.server:
--   lua5.4 spec/support/differential/boot.lua prosody FOLDER_OF_PROSODY CERTIFICATE [NAME]
--   gadwall lua spec/support/differential/boot.lua gadwall - CERTIFICATE [NAME]
-- CERTIFICATE.crt and CERTIFICATE.key are for the probes of TLS; "-": these are left out.

local which <const>, folder <const>, certificate <const>, only <const> = table.unpack(arg, 1, 4)

local function prosody()
	package.path = folder .. "/?.lua;" .. package.path
	package.cpath = folder .. "/?.so;" .. package.cpath
	-- LuaSec is asked for at load and used by TLS only, which no probe here does.
	if not pcall(require, "ssl") then
		package.preload.ssl = function () return {} end
	end
	local server = require "net.server_epoll"
	package.loaded["net.server"] = server
	server.hook_signal = server.hook_signal or require "util.signal".signal
	return server
end

local server <const> = which == "prosody" and prosody() or require "net.server"
package.path = "./?.lua;" .. package.path

local toolkit <const> = require "spec.support.differential.toolkit"

io.stdout:setvbuf("line")
toolkit.setup(server)

local function context(side, more)
	local params <const> = { mode = side, protocol = "tlsv1_2+" }
	for name, value in pairs(more or {}) do params[name] = value end
	if side == "server" then
		params.certificate, params.key = certificate .. ".crt", certificate .. ".key"
	end
	if which == "prosody" then
		params.protocol = "any"
		return assert(require "ssl".newcontext(params))
	end
	return assert(require "net.tls_luasec".new_context(params))
end

local contexts <const> = {}
function toolkit.tls(side, more)
	if more then
		return context(side, more)
	end
	contexts[side] = contexts[side] or context(side)
	return contexts[side]
end

for _, probe in ipairs(require "spec.support.differential.probes") do
	if (not only or probe[1]:find(only, 1, true)) and not (probe.secure and certificate == "-") then
		toolkit.run(probe[1], probe[2])
	end
end
print("# end")
os.exit(0)
