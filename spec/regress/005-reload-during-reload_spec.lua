-- A reload that was asked for while one of a signal ran was told that one's outcome, although the
-- file had changed since that one read it.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

describe("a reload", function ()
	after_each(daemon.finish_all)

	it("that is asked for during another one answers for the file as it is then", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { fds = false, modules = { probe = accept.probe },
			allow = { "reload", "error" }, config = accept.probe_config(port, "",
				'"admin_socket", "admin_shell"') }
		-- The first takes a while, and ends in a fault.
		d:write_config(([[
			Lua.io.open(%q, "w"):close()
			local n = 0 for i = 1, 1e8 do n = n + i end
			Lua.error("the first")
		]]):format(d.dir .. "/begun"))
		d:signal("HUP")
		wait.until_true(function () return process.read_file(d.dir .. "/begun") end, 5,
			"the reader of the signal")
		d:write_config(accept.probe_config(port, "lameduck_period = 2",
			'"admin_socket", "admin_shell"'))
		local code, out, err = d:run("reload")
		assert.equal(0, code, out .. err)
		assert.matches("lameduck_period", out)
		assert.equal(1, #d:log_lines("reload refused"))
	end)
end)
