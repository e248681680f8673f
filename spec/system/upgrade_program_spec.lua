-- Which file an upgrade runs: opened once, resolved anew.
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

	it("is asked of one that was started by relative paths and whose folder has changed", function ()
		local folder <const> = process.temp_dir()
		daemon.relocated(folder)
		-- `bin/gadwall run -c gadwall.cfg.lua` in that folder; a module goes elsewhere
		local d <const> = upgrade.start { dir = folder, folder = folder,
			wrap = { "sh", "-c", 'cd "$0" && exec bin/gadwall run -c gadwall.cfg.lua', folder },
			modules = { away = 'module:set_global(); require "posix.unistd".chdir "/"' },
			enable = { "away" } }
		upgrade.up(d)
		assert.equal(2, (upgrade.generation(d)))
		assert.equal("/", unistd.readlink("/proc/" .. upgrade.worker(d, 2) .. "/cwd"))
		upgrade.reconfigure(d, "this is no Lua")
		local ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok)
		assert.matches("gadwall.cfg.lua:%d+.*failed in check: the config has faults", text)
		upgrade.reconfigure(d, "")
		upgrade.up(d)
		assert.equal(3, (upgrade.generation(d)))
		upgrade.stop(d)
		process.remove_tree(folder)
	end)

	it("that its asker named is run by a keeper that is not root, and by no other", function ()
		local d = upgrade.start()
		local code, _, err = d:run("upgrade", "--binary", daemon.binary())
		if unistd.geteuid() == 0 then
			assert.equal(1, code)
			assert.matches("a root keeper takes no path from a worker: set upgrade_binary", err)
			upgrade.stop(d, 0)
		else
			assert.equal(0, code, err)
			upgrade.stop(d)
		end
		local dir <const> = process.temp_dir()
		local program <const> = daemon.relocated(dir)
		assert(process.run { argv = { "sh", "-c", [[
			mkdir "$1/run" "$1/data" "$1/modules" "$1/witness" && cp "$1/bin/gadwall" "$1/bin/other" &&
			{ [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$1"; } && chmod a+rx "$1"
		]], "sh", dir } } == 0)
		d = upgrade.start { dir = dir, folder = dir .. "/witness", binary = program,
			wrap = unistd.geteuid() == 0 and { "setpriv", "--reuid=65534", "--regid=65534",
				"--clear-groups" } or nil }
		code, _, err = d:run("upgrade", "--binary", dir .. "/bin/other")
		assert.equal(0, code, err)
		upgrade.wait_alone(d)
		assert.equal(dir .. "/bin/other", unistd.readlink("/proc/" .. upgrade.worker(d, 2) .. "/exe"))
		code, _, err = d:run("upgrade", "--binary", dir .. "/bin/none")
		assert.equal(1, code)
		assert.matches("failed in check: .*/bin/none: No such file or directory", err)
		upgrade.stop(d)
		process.remove_tree(dir)
	end)
end)
