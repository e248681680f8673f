-- Prosody's own mod_net_multiplex, unmodified, on gadwall and on Prosody: services behind one TLS
-- port, told apart by ALPN (a function of the context) or by their first bytes.

local both <const> = require "spec.support.both"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local prosody <const> = require "spec.support.prosody"
local tls <const> = require "spec.support.tls"

local service <const> = [[
module:set_global()
local listener = { default_mode = "*a" }
function listener.onconnect(conn)
	module:log("debug", "NAME connected")
end
function listener.onincoming(conn, data)
	conn:write("NAME: " .. data)
	conn:close()
end
module:provides("net", { name = "NAME", default_port = 0, private = true, listener = listener,
	multiplex = { protocol = "NAME/1", pattern = "^PATTERN" } })
]]

local function source(name, pattern)
	return (service:gsub("%u%u+", { NAME = name, PATTERN = pattern }))
end

-- What s_client hears to `text`, and the protocol that was agreed.
local function ask(port, text, ...)
	local argv <const> = { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-ign_eof", ... }
	local _, out = process.run { argv = argv, input = text, timeout = 20 }
	return { answer = out:match("alpha: %u+") or out:match("beta: %u+"),
		alpn = out:match("ALPN protocol: (%S+)") }
end

describe("mod_net_multiplex", function ()
	after_each(function ()
		prosody.finish_all()
		daemon.finish_all()
	end)

	it("hands connections on by ALPN and by their first bytes, as on Prosody", function ()
		if not prosody.modules() then return pending "needs prosody" end
		local dir <const>, port <const> = process.temp_dir(), client.free_port()
		local files <const> = tls.make(dir, "localhost")
		local ours, theirs = both.compare({
			enable = { "alpha", "beta", "net_multiplex" },
			modules = { alpha = source("alpha", "AAA"), beta = source("beta", "BBB"),
				net_multiplex = both.original "net_multiplex" },
			config = ([[
				ports = {}; ssl_ports = { %d }; ssl_interfaces = { "127.0.0.1" }
				ssl = { certificate = "%s", key = "%s" }
			]]):format(port, files.certificate, files.key),
		}, function ()
			return { ask(port, "XXX\n", "-alpn", "alpha/1"), ask(port, "XXX\n", "-alpn", "x,beta/1"),
				ask(port, "BBB\n", "-alpn", "h2"), ask(port, "AAA\n") }
		end)
		assert.same(theirs, ours)
		assert.same({ { answer = "alpha: XXX", alpn = "alpha/1" },
			{ answer = "beta: XXX", alpn = "beta/1" }, { answer = "beta: BBB" },
			{ answer = "alpha: AAA" } }, ours)
		process.remove_tree(dir)
	end)
end)
