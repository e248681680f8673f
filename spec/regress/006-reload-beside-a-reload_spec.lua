-- A second `reload` while a reader ran was answered "ok" at once, with the outcome of nothing. And
-- a quick answer of the keeper found nobody: who asked had not yet begun to wait, and waited 15 s.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

describe("a reload that is asked for beside another one", function ()
	after_each(daemon.finish_all)

	it("is refused with the reason, and the other one hears its own outcome", function ()
		local d <const> = daemon.start { fds = false, -- the last console line may be closing yet
			config = 'modules_enabled = { "admin_shell", "admin_socket" }',
			env = { GADWALL_FAILPOINT = "reader-config:delay=700" } }
		local argv <const> = { daemon.binary(), "reload", "-c", d.config_file }
		local one <const> = process.spawn { argv = argv, stdout = d.dir .. "/out" }
		local other <const> = process.spawn { argv = argv, stdout = d.dir .. "/out" }
		assert.equal(1, one:wait_exit(5) + other:wait_exit(5))
		assert.matches("another reload is under way", process.read_file(d.dir .. "/out"))
		assert.equal(0, #d:log_lines("was not reloaded"), "the answer reaches who asked")
		d:stop()
	end)
end)
