-- "A module with a service that is enabled on two hosts: its reload said that the port could not be
-- opened, because the service itself listened there, and left the module with a warning."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local module <const> = [[
	module:provides("net", { listener = { onincoming = function (conn) conn:write("%s\n") end } })
]]

describe("regress: a service of a module of two hosts", function ()
	after_each(daemon.finish_all)

	it("is taken over by the new instances when the module is reloaded", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start {
			config = ([[
				modules_enabled = { "twice", "admin_socket", "admin_shell" }; run_as_root = true
				twice_ports = { %d }; twice_interfaces = { "127.0.0.1" }
				VirtualHost "a.example"
				VirtualHost "b.example"
			]]):format(port),
			modules = { twice = module:format "old" },
		}
		local c <const> = assert(client.tcp("127.0.0.1", port))
		c:send "x"
		assert.equal("old", c:line())
		d:write_module("twice", module:format "new")
		assert.equal(0, (d:run("reload", "twice")))
		c:send "x"
		assert.equal("new", c:line())
		local second <const> = assert(client.tcp("127.0.0.1", port))
		second:send "x"
		assert.equal("new", second:line())
		assert.is_nil(d:log():find("Failed to open", 1, true))
		assert.is_nil(table.concat(d:console "status", "\n"):find("warn", 1, true))
		client.close_all()
		d:stop()
	end)
end)
