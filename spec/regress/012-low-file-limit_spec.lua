-- With a file limit below the number of entries of its poll(2) the keeper spun, deaf to SIGTERM.
local daemon <const> = require "spec.support.daemon"

describe("a file limit", function ()
	after_each(daemon.finish_all)

	it("that is too low refuses the start with the number that is needed", function ()
		for _, limit in ipairs { 16, 64, 127 } do
			local d <const> = daemon.start { expect_exit = true, timeout = 5,
				wrap = { "prlimit", ("--nofile=%d:%d"):format(limit, limit) },
				config = "modules_enabled = {}" }
			assert.equal(71, d:wait_exit(), d:log())
			assert.matches("file limit is " .. limit .. ", at least %d+ is needed", d:log())
		end
	end)

	it("that is just enough serves", function ()
		local d <const> = daemon.start { wrap = { "prlimit", "--nofile=128:128" }, config =
			'modules_enabled = { "echo" }; echo_ports = { 0 }; interfaces = { "127.0.0.1" }' }
		local c <close> = d:connect("echo")
		assert(c:send("x\n"))
		assert.equal("x", c:line())
	end)
end)
