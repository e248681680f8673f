-- "While the reader of an upgrade ran that had been taken back, a reload was never answered, and
-- all later ones were refused: another reload is under way. The next upgrade was told what was
-- wrong with the config that the first one had read."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- A host whose upgrade has been taken back while its reader waits in a config with a fault.
local function start()
	local d <const> = upgrade.start {
		fds = false, allow = { "upgrade 1: failed in check: aborted", "callback took" },
	}
	upgrade.reconfigure(d, ('Lua.os.execute "touch %s; sleep 3"; Lua.error "of the first"')
		:format(d.dir .. "/reading"))
	local first <const> = process.spawn { stdout = d.dir .. "/first",
		argv = { daemon.binary(), "--socket", d:socket_path(), "upgrade" } }
	wait.until_true(function () return process.read_file(d.dir .. "/reading") end, 20)
	assert.is_true(upgrade.ask(d, "rollback"))
	assert.equal(1, first:wait_exit(20))
	upgrade.reconfigure(d, "")
	return d
end

describe("regress: behind the reader of an aborted upgrade", function ()
	after_each(daemon.finish_all)

	it("a reload hears its own outcome, and so does the next", function ()
		local d <const> = start()
		for _ = 1, 2 do
			local code <const>, out, err = d:run("reload", "--timeout", "25")
			assert.equal(0, code, out .. err)
		end
		d:stop()
	end)

	it("an upgrade reads the config anew", function ()
		local d <const> = start()
		local done <const>, answer = upgrade.ask(d, "upgrade")
		assert.is_true(done, answer)
		d:stop()
	end)
end)
