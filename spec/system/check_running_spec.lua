-- check does not test the names that the running instance holds.
local daemon <const> = require "spec.support.daemon"

local text <const> = [[
modules_enabled = { "echo" }
interfaces = { "127.0.0.1" }
echo_ports = { %s }
]]

describe("check beside a running instance", function ()
	after_each(daemon.finish_all)

	it("finds no fault in the ports that this instance holds", function ()
		local d <const> = daemon.start { config = text:format("0") }
		local port <const> = d:port("echo")
		d:write_config(text:format(port))
		local code <const>, _, err <const> = d:run("check", "-c", d.config_file)
		assert.equal(0, code, err)
		d:stop()
	end)

	it("names a port that somebody else has", function ()
		local other <const> = daemon.start { config = text:format("0") }
		local d <const> = daemon.start { config = text:format("0") }
		d:write_config(text:format(other:port("echo")))
		local code <const>, out <const>, err <const> = d:run("check", "-c", d.config_file)
		assert.equal(1, code)
		assert.matches("cannot listen on 127.0.0.1 port %d+ for service 'echo'", out .. err)
		d:stop()
		other:stop()
	end)
end)
