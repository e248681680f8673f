-- "module:provides('net', { default_port = 7007 }) without a listener: 'Error in the main thread',
-- status 70; one module's slip ended the host, and every other module with it."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

describe("regress: a service without a listener", function ()
	after_each(daemon.finish_all)

	it("fails its module's load, and the rest serves", function ()
		local d <const> = daemon.start { allow = { "listener table", "the class 'clients'" },
			modules = {
				bare = 'module:provides("net", { default_port = 0 })',
				class = 'module:provides("net", { listener = {}, class = "clients", default_port = 0 })',
				-- past module:provides, as a few of Prosody's modules do it
				item = 'module:add_item("net-provider", { name = "item", default_port = 0 })',
			},
			config = [[
				modules_enabled = { "echo", "bare", "item", "class" }; echo_ports = { 0 }
				echo_interfaces = { "127.0.0.1" }; bare_interfaces = { "127.0.0.1" }
			]] }
		d:wait_log "module 'bare'[^\n]*mod_bare%.lua:1: bad argument #2 to 'provides' %(a service"
		d:wait_log "mod_item: the service 'item' needs a listener table"
		d:wait_log "class%.lua:1: [^\n]*the class 'clients', which is not client, peer or admin"
		local c <const> = assert(client.tcp("127.0.0.1", d:port "echo"))
		c:send "still here\n"
		assert.equal("still here\n", c:read(11))
		c:close()
		d:stop()
	end)
end)
