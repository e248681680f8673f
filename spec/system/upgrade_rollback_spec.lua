-- Back again: rollback by hand in probation and after it, its binary and its bundle, and what
-- modules hear.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

describe("rollback", function ()
	after_each(upgrade.finish)

	it("after probation runs the previous binary with its own config, there and back", function ()
		local folder <const> = process.temp_dir()
		local second <const> = daemon.relocated(folder .. "/second")
		local d <const> = upgrade.start {
			folder = folder, config = ("upgrade_binary = %q"):format(folder .. "/next"),
		}
		local function runs(generation)
			return unistd.readlink("/proc/" .. upgrade.worker(d, generation) .. "/exe")
		end
		local first <const> = runs(1) -- the keeper's own changes with the upgrade
		upgrade.link(second, folder .. "/next")
		upgrade.reconfigure(d, "name = 'the second'; echo_read_timeout = 5")
		upgrade.up(d)
		upgrade.wait_alone(d)
		assert.equal(second, runs(2))
		-- nothing of this matters: the previous binary and bundle are kept
		upgrade.reconfigure(d, false)
		upgrade.link("/nowhere", folder .. "/next")
		upgrade.up(d, "rollback")
		upgrade.wait_alone(d)
		assert.equal(first, runs(3))
		assert.equal(3, (upgrade.generation(d)))
		upgrade.up(d, "rollback")
		upgrade.wait_alone(d)
		assert.equal(second, runs(4))
		upgrade.stop(d)
	end)

	it("of a generation in probation is none of a good one", function ()
		local d <const> = upgrade.start { config = "upgrade_probation = 0.2" }
		local ok, text = upgrade.ask(d, "rollback")
		assert.is_false(ok)
		assert.matches("cannot rollback: no previous binary is known %(.+%)", text)
		upgrade.reconfigure(d, "upgrade_probation = 30")
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("commit %-> probation", 20)
		assert.is_true((upgrade.ask(d, "rollback")))
		assert.is_false((outcome()))
		-- still nothing that was good before this one
		ok, text = upgrade.ask(d, "rollback")
		assert.is_false(ok, text)
		assert.matches("no previous binary is known", text)
		upgrade.stop(d, 0)
	end)

	it("is heard by the modules of the right generation, once, and moves the singleton", function ()
		local d <const> = upgrade.start { config = "upgrade_probation = 30" }
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("commit %-> probation", 20)
		wait.until_true(function () return upgrade.singletons(d):find "start 2" end, 20)
		assert.is_true((upgrade.ask(d, "rollback")))
		assert.is_false((outcome()))
		wait.until_true(function () return upgrade.singletons(d):find "start 1 .*start 1" end, 20)
		assert.equal("start 1 stop 1 start 2 stop 2 start 1", upgrade.singletons(d))
		d:wait_log("generation 2 has ended", 20)
		assert.same({ "g2 [generation=2 predecessor=1]", "g1 [generation=1 predecessor=2]" },
			upgrade.heard(d, "generation-activated"))
		assert.same({ "g1 [generation=1 successor=2]", "g2 [generation=2 successor=1]" },
			upgrade.heard(d, "generation-deactivated"))
		assert.same({ "g1 [state=check generation=1]" }, upgrade.heard(d, "upgrade-started"))
		assert.same({ "g2 [state=probation generation=1 target=2]" },
			upgrade.heard(d, "upgrade-committed"))
		assert.same({ "g1 [state=rolled-back generation=1 target=2 failed_state=probation]" },
			upgrade.heard(d, "upgrade-rolled-back"))
		assert.same({}, upgrade.heard(d, "upgrade-failed"))
		assert.same({ "g1 [generation=1 inherited=false]", "g2 [generation=2 inherited=true]" },
			upgrade.heard(d, "server-started"))
		assert.equal("serving", d:state().state)
		assert.equal("1", d:state().generation)
		upgrade.stop(d, 0)
	end)

	it("keeps what was drained, by an operator and by service", function ()
		local d <const> = upgrade.start { config = "upgrade_probation = 30" }
		assert.is_true((upgrade.ask(d, "drain echo")))
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("commit %-> probation", 20)
		d:wait_log("g2%.1.*drain%-started: .*echo", 20)
		assert.is_true((upgrade.ask(d, "undrain echo")))
		assert.is_true((upgrade.ask(d, "drain")))
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome()
		wait.until_true(function () return d:state().state == "draining" end, 20,
			"the drain of generation 2 in generation 1\n" .. d:log())
		upgrade.stop(d, 0)
	end)
end)
