-- mod_http looked with # at a set: "an HTTP service that is drained by itself" said nothing of it
-- in its answers, which have to carry Connection: close.
local daemon <const> = require "spec.support.daemon"

describe("an HTTP service that is drained by itself", function ()
	after_each(daemon.finish_all)

	it("says Connection: close in its answers, and no more when it is back", function ()
		local d <const> = daemon.start {
			modules = { app = [[
				module:depends "http"
				module:provides("http", { default_path = "/", route = {
					["GET /"] = function () return "hello" end,
				} })
			]] },
			config = [[
				modules_enabled = { "app", "admin_socket", "admin_shell" }
				http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
				VirtualHost "localhost"
			]],
		}
		local function connection_header()
			local c <const> = d:connect(d:port("http"))
			c:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
			local found
			for line in function () return c:line() end do
				if line == "" then break end
				found = found or line:lower():match("^connection: (.*)$")
			end
			c:close()
			return found
		end
		assert.is_nil(connection_header())
		d:run("drain", "http")
		assert.equal("serving", d:state().state)
		assert.equal("close", connection_header())
		d:run("undrain", "http")
		assert.is_nil(connection_header())
		d:stop()
	end)
end)
