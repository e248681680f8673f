-- "mod_http_files took away the escapes of a path that had none any more: a file whose name has a
-- '%' was not found, or another one sent. The redirect of '//files' led to the host 'files'."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

describe("regress: paths as they are written", function ()
	after_each(daemon.finish_all)

	it("lead to the file of that name, and never to another host", function ()
		local dir <const> = process.temp_dir()
		process.write_file(dir .. "/x%41.txt", "with an escape in its name")
		process.write_file(dir .. "/xA.txt", "another one")
		local d <const> = daemon.start { config = ([[
			modules_enabled = { "http_files" }; http_files_dir = %q; https_ports = {}
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
		]]):format(dir) }
		local function get(path)
			local c <close> = d:connect("http", 10)
			assert(c:send(("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):format(path)))
			return assert(c:read_all(10))
		end
		assert.matches("with an escape in its name$", get "/files/x%2541.txt")
		assert.matches("another one$", get "/files/x%41.txt")
		assert.matches("\r\nLocation: /files/\r\n", get "/files")
		assert.matches("\r\nLocation: /files/%?a=1\r\n", get "//files?a=1")
		process.remove_tree(dir)
		d:stop()
	end)
end)
