-- Programs that are no gadwall, or die at a step: every one leaves the old generation as it was.
local daemon <const> = require "spec.support.daemon"
local failing <const> = require "spec.support.upgrade_failing"
local upgrade <const> = require "spec.support.upgrade"

local fails <const>, good <const> = failing.fails, failing.good
local start <const> = failing.start

describe("an upgrade that fails", function ()
	after_each(upgrade.finish)

	it("because its worker is none changes nothing", function ()
		local d <const> = start { config = "upgrade_timeout = 2" }
		for mode, words in pairs {
			exit0 = "exit status 0", exit7 = "exit status 7", crash = "signal 6", noise = "signal 9",
			version = "signal 9", hang = "not over in spawn after",
		} do
			upgrade.link(upgrade.fake(d.folder, mode), d.next)
			fails(d, "failed in %a+: .*" .. words)
		end
		good(d)
		upgrade.stop(d)
	end)

	it("because its worker does not take brings the old one back", function ()
		local d <const> = start {}
		for mode, words in pairs {
			["ready-exit"] = "new generation has", ["take-exit"] = "new generation has",
			["take-hang"] = "did not take within 2 s",
		} do
			upgrade.link(upgrade.fake(d.folder, mode), d.next)
			fails(d, "failed in commit: .*" .. words, " stop 1 start 1")
		end
		good(d)
		upgrade.stop(d)
	end)

	it("since its program hangs or crashes at any step of the start changes nothing", function ()
		local points <const>, number, want = {}, 1, {}
		for _, step in ipairs { "boot", "ready" } do
			for action, words in pairs { kill = "signal 9", ["exit=0"] = "exit status 0",
				stop = "not over in %a+ after 2" } do
				number = number + 1
				points[#points + 1] = ("g%d/worker-%s:%s"):format(number, step, action)
				want[#want + 1] = "failed in %a+: .*" .. words
			end
		end
		local d <const> = start { config = "upgrade_timeout = 2",
			more_env = { GADWALL_FAILPOINT = table.concat(points, ",") } }
		upgrade.link(daemon.binary(), d.next)
		for _, words in ipairs(want) do fails(d, words) end
		good(d)
		upgrade.stop(d)
	end)
end)
