local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"

local base <const> = [[
	modules_enabled = { "echo", "admin_socket", "admin_shell" }
	interfaces = { "127.0.0.1" }
	echo_ports = { 0 }
]]

describe("spec.support.daemon", function()
	after_each(daemon.finish_all)

	it("starts a host, talks to a service and to the console, and ends it with status 0", function()
		local d = daemon.start { config = base }
		local c = d:connect("echo")
		assert(c:send("one\ntwo\n"))
		assert.equal("one", c:line())
		assert.equal("two", c:line())
		local _, last = d:console("server version")
		assert.matches("^[OR]%a+:", last)
		assert.equal("serving", d:state().state)
		assert.equal(1, #d:children())
		assert.is_true(process.alive(d:worker_pid()))
		c:close()
		d:stop()
		assert.is_false(process.alive(d.keeper_pid))
	end)

	it("raises with the log when the config is bad, and leaves nothing running", function()
		local ok, err = pcall(daemon.start, { config = "x = = 1" })
		assert.is_false(ok)
		assert.matches("not ready %(ended%); log:", err)
	end)

	it("hands out status and log of a start that is meant to fail", function()
		local d = daemon.start { config = "x = = 1", expect_exit = true, exit = 78 }
		assert.equal(78, d:wait_exit(1))
		assert.matches("gadwall.cfg.lua:2", d:log())
	end)

	it("fails a spec whose daemon ended with another status than declared", function()
		local d = daemon.start { config = base, exit = 7 }
		local ok, err = pcall(d.stop, d)
		assert.is_false(ok)
		assert.matches("exit status 0 instead of 7", err)
	end)

	it("fails a spec whose daemon logged an error in a callback, unless it is allowed", function()
		local spec = {
			config = base .. [[ modules_enabled:append { "thrower" } ]],
			modules = { thrower = [[
				module:hook_global("server-started", function() error("planted") end)
			]] },
		}
		local d = daemon.start(spec)
		d:wait_log("planted")
		local ok, err = pcall(d.stop, d)
		assert.is_false(ok)
		assert.matches("log: .*planted", err)

		spec.allow = { "planted" }
		d = daemon.start(spec)
		d:wait_log("planted")
		d:stop()
	end)

	it("fails a spec whose daemon gained descriptors", function()
		if unistd.geteuid() ~= 0 then pending("only root sees them: no dumps") return end
		local d = daemon.start {
			config = base .. [[ modules_enabled:append { "leaker" }; leaker_ports = { 0 } ]],
			modules = { leaker = [[
				local unistd = require "posix.unistd"
				module:provides("net", { name = "leaker", default_port = 0, listener = {
					onincoming = function(conn) conn.pair = { unistd.pipe() } conn:write("ok\n") end,
				} })
			]] },
		}
		local c = d:connect("leaker")
		assert(c:send("x"))
		assert.equal("ok", c:line())
		local ok, err = pcall(d.stop, d)
		assert.is_false(ok)
		assert.matches("descriptors, had", err)
	end)

	it("starts a program under a wrapper", function()
		local d = daemon.start {
			config = base, wrap = { "sh", "-c", 'echo wrapped; exec "$@"', "sh" },
		}
		assert.equal("wrapped", d:log_lines()[1])
		d:stop()
	end)

	it("gives two hosts ports and folders of their own", function()
		local a, b = daemon.start { config = base }, daemon.start { config = base }
		assert.not_equal(a:port("echo"), b:port("echo"))
		assert.not_equal(a:socket_path(), b:socket_path())
		a:stop()
		local c = b:connect("echo")
		assert(c:send("still here\n"))
		assert.equal("still here", c:line())
		client.close_all()
	end)
end)
