-- Prosody of the Debian package on our net.server: what serves its users, its admin socket (made
-- with socket.unix and wrapserver) and its HTTP serves other modules too.

local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local wait_until <const> = require "spec.support.wait"

local gadwall <const> = os.getenv("GADWALL") or "build/test/gadwall"

local config <const> = [[
network_backend = "gadwall"
data_path, pidfile, admin_socket = "%s/data", "%s/prosody.pid", "%s/prosody.sock"
run_as_root = true
log = { { levels = { min = "info" }, to = "console" } }
modules_enabled = { "roster", "saslauth", "ping", "posix", "c2s", "limits", "bosh", "admin_shell" }
modules_disabled = { "s2s", "tls" }
c2s_require_encryption, allow_unencrypted_plain_auth = false, true
authentication = "internal_plain"
interfaces, c2s_ports, http_ports, https_ports = { "127.0.0.1" }, { %d }, { %d }, {}
http_interfaces = { "127.0.0.1" }
VirtualHost "localhost"
]]

local stream <const> = "<?xml version='1.0'?><stream:stream xmlns='%s' "
	.. "xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"

local function prosody()
	for _, root in ipairs { unistd.getcwd() .. "/.deps/peers/usr", "/usr" } do
		if unistd.access(root .. "/lib/prosody/net/server.lua") then
			return root
		end
	end
end

-- XML has no lines: reads up to `text`.
local function hears(c, text)
	local got = ""
	repeat
		local byte, err = c:read(1)
		if not byte then
			error(("expected %s, got %s after %s"):format(text, err, got), 2)
		end
		got = got .. byte
	until got:sub(-#text) == text
end

describe("Prosody on our net.server", function ()
	local root <const> = prosody()
	if not root then
		pending("needs prosody")
		return
	end

	local dir, child, port, http_port

	setup(function ()
		dir, port, http_port = process.temp_dir(), client.free_port(), client.free_port()
		process.run { argv = { "mkdir", "-p", dir .. "/data/localhost/accounts", dir .. "/certs" } }
		process.write_file(dir .. "/data/localhost/accounts/user.dat",
			'return { ["password"] = "secret" };')
		process.write_file(dir .. "/prosody.cfg.lua", config:format(dir, dir, dir, port, http_port))
		child = process.spawn {
			argv = { gadwall, "lua", "spec/support/differential/prosody_shim.lua",
				root .. "/lib/prosody", root .. "/bin/prosody", dir },
			stdout = dir .. "/log",
			env = { ASAN_OPTIONS = "detect_leaks=0" }, -- Prosody's C libraries keep what they have
		}
		wait_until(function ()
			return unistd.access(dir .. "/prosody.sock") and client.tcp("127.0.0.1", port)
		end, 10, "Prosody")
	end)

	teardown(function ()
		client.close_all()
		if child then child:destroy() end
		if dir then process.remove_tree(dir) end
	end)

	it("serves a login in plain text, a bind, a roster and the end of the stream", function ()
		local c <const> = assert(client.tcp("127.0.0.1", port))
		c:send(stream:format("jabber:client"))
		hears(c, "</stream:features>")
		c:send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
			.. "AHVzZXIAc2VjcmV0</auth>") -- \0user\0secret
		hears(c, "<success")
		hears(c, ">")
		c:send(stream:format("jabber:client"))
		hears(c, "</stream:features>")
		c:send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
			.. "<resource>r</resource></bind></iq>")
		hears(c, "<jid>user@localhost/r</jid>")
		c:send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
		hears(c, "jabber:iq:roster")
		c:send("</stream:stream>")
		hears(c, "</stream:stream>")
		assert.is_true(c:closed())
	end)

	it("serves its console on the Unix socket that it wraps", function ()
		local c <const> = assert(client.unix(dir .. "/prosody.sock"))
		c:send(stream:format("xmpp:prosody.im/admin"))
		hears(c, "<stream:stream")
		c:send("<repl-input>> 6 * 7</repl-input>")
		hears(c, "42")
	end)

	it("serves its HTTP", function ()
		local c <const> = assert(client.tcp("127.0.0.1", http_port))
		c:send("GET /http-bind HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		assert.truthy(c:expect("^HTTP/1.1 200 OK"))
		assert.is_true(c:closed())
	end)

	it("ends in order at SIGTERM", function ()
		child:signal("TERM")
		assert.equal(0, child:wait_exit(8))
		local log <const> = process.read_file(dir .. "/log")
		assert.truthy(log:find("Shutdown complete", 1, true))
		assert.is_nil(log:find("Error calling", 1, true), log)
		assert.is_nil(log:find("Top%-level error"), log)
	end)
end)
