-- "A new generation that was not ready within start_timeout stopped the whole host; so did a worker
-- that was started again after a crash."

local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- Holds its start for ever where a file says so, or asks for a stop.
local slow <const> = [[
	local file = io.open(module:get_option_string("slow_file"))
	local word = file and file:read("l")
	if file then file:close() end
	if word == "hold" then
		module:hook_global("server-starting", function (event) event:hold("on purpose", 60) end)
	elseif word == "shutdown" then
		prosody.shutdown("on purpose")
	end
]]

describe("regress: a start that fails beside a host that serves", function ()
	after_each(upgrade.finish)

	local function start(more)
		local file <const> = process.temp_dir() .. "/word"
		local d <const> = upgrade.start { modules = { slow = slow }, enable = { "slow" },
			allow = { "not ready" }, config = ("slow_file = %q\n"):format(file) .. (more or "") }
		return d, file
	end

	it("fails the upgrade, and nothing has changed", function ()
		local d <const>, file <const> = start()
		process.write_file(file, "hold\n")
		upgrade.reconfigure(d, "start_timeout = 1") -- the keeper has the 60 s of the first config
		local ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok)
		assert.matches("failed in load: worker g2%.1: exit status 70", text)
		d:wait_log "not ready: held by 'on purpose' of slow"
		process.write_file(file, "shutdown\n")
		ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok)
		assert.matches("worker g3%.1: exit status 0: it asked for a stop %(on purpose%)", text)
		assert.equal(1, (upgrade.generation(d)))
		assert.equal("serving", d:status().state)
		process.write_file(file, "fast\n")
		upgrade.up(d)
		upgrade.wait_alone(d)
		upgrade.stop(d)
	end)

	it("has the worker started once more", function ()
		local d <const>, file <const> = start "start_timeout = 5"
		process.write_file(file, "hold\n")
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return #d:log_lines "worker g1%.1 ended" == 2 end, 30)
		process.write_file(file, "fast\n")
		wait.until_true(function () return #d:log_lines "worker g1%.1 is ready" == 2 end, 30)
		assert.equal(1, (upgrade.generation(d)))
		d:stop()
	end)
end)
