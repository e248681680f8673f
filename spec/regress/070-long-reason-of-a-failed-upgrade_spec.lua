-- "After an upgrade that failed with a reason of more than 255 bytes (a module's error, say)
-- upgrade-failed was never fired, and status showed it in `load` for ever."

local daemon <const> = require "spec.support.daemon"
local upgrade <const> = require "spec.support.upgrade"

describe("regress: the long reason of a failed upgrade", function ()
	after_each(daemon.finish_all)

	it("reaches events and status", function ()
		local d <const> = upgrade.start { fds = false, allow = { "mod_app", "upgrade 1: failed" } }
		d:write_module("app", ("error(%q)"):format(("long word "):rep(40)))
		assert.is_false(upgrade.ask(d, "upgrade"))
		d:wait_log("heard upgrade%-failed", 20)
		local now <const> = d:status().upgrade
		assert.is_nil(now.state)
		assert.matches("long word", now.last.reason)
		d:stop()
	end)
end)
