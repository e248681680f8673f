-- Which file an upgrade runs: opened once, resolved anew (facts/shutdown-and-upgrade.md, row 62).
local daemon <const> = require "spec.support.daemon"
local failing <const> = require "spec.support.upgrade_failing"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"

local fails <const>, good <const> = failing.fails, failing.good
local start <const> = failing.start

describe("an upgrade that fails", function ()
	after_each(upgrade.finish)

	it("keeps what it opened, whatever becomes of the name afterwards", function ()
		local d <const> = start { more_env = { GADWALL_FAILPOINT = "reader-config:delay=700@1" } }
		upgrade.link(daemon.binary(), d.next)
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log "upgrade 1: none %-> check"
		upgrade.link("/bin/false", d.next)
		local ok, text = outcome()
		assert.is_true(ok, text)
		assert.equal(2, (upgrade.generation(d)))
		fails(d, "failed in check: ")
		-- and a worker of the new one is restarted from the same file
		process.kill(d:worker_pid(), "KILL")
		d:wait_log "worker g2.1 ended: signal 9"
		upgrade.wait_generation(d, 2)
		good(d)
		upgrade.stop(d)
	end)

	it("of a deleted program and from another folder goes on from what is open", function ()
		local folder <const> = process.temp_dir()
		local copy <const> = daemon.relocated(folder)
		local d <const> = upgrade.start { binary = copy, cwd = folder }
		unistd.unlink(copy)
		local ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok)
		assert.matches("failed in check: .*: No such file or directory", text)
		process.kill(d:worker_pid(), "KILL")
		d:wait_log "worker g1.1 ended: signal 9"
		upgrade.wait_generation(d, 1)
		assert(process.run { argv = { "cp", daemon.binary(), copy } } == 0)
		upgrade.up(d)
		assert.equal(2, (upgrade.generation(d)))
		upgrade.stop(d)
		process.remove_tree(folder)
	end)
end)
