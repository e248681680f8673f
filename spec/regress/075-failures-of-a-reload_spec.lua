-- "A reload that enables a module which does not load, or a port which is taken, says that all is
-- well and exits 0; only the log and status tell."

local daemon <const> = require "spec.support.daemon"

local config <const> = [[
	echo_ports = { 0 }; interfaces = { "127.0.0.1" }; modules_enabled = { "admin_shell", %s }
]]

describe("regress: a reload that brings what cannot be", function ()
	after_each(daemon.finish_all)

	it("names what has failed, and exits 1; the rest is in force", function ()
		local d <const> = daemon.start { allow = { "." }, modules = { broken = 'error("no luck")',
			second = 'module:provides("net", { name = "second", listener = {} })' },
			config = config:format "'echo'" }
		local port <const> = d:port "echo"
		d:write_config(config:format "'echo', 'broken', 'second'"
			.. ("second_ports = { %d }"):format(port))
		local code, out, err <const> = d:run "reload"
		assert.equal(1, code)
		local text <const> = out .. err
		assert.matches("mod_broken on localhost: .*no luck", text)
		assert.matches(("service second cannot listen on 127.0.0.1 port %d: "):format(port), text)
		assert.matches("the new config is in force %(changed: modules_enabled, second_ports%), "
			.. "but with 2 failures", text)
		assert.equal(5, (d:run "status"))
		assert.equal(1, (d:run "reload")) -- it is tried anew
		d:write_config(config:format "'echo'")
		assert.equal(0, (d:run "reload"))
		assert.equal(0, (d:run "status")) -- which went on naming mod_broken
		d:rebase_fds()
		d:stop()
	end)

	it("is none of a module that somebody loads by hand", function ()
		local d <const> = daemon.start { allow = { "." }, modules = { broken = 'error("no luck")' },
			config = config:format "" }
		assert.equal(1, (d:run("shell", "module", "load", "broken")))
		assert.equal(1, (d:run("shell", "module", "load", "nowhere")))
		assert.equal(0, (d:run "status"))
		assert.equal(0, (d:run "reload"))
		d:rebase_fds()
		d:stop()
	end)
end)
