-- A worker whose channel had ended but that lived on was watched by nothing when worker_timeout was
-- "unlimited": it was neither judged nor replaced.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local closer <const> = [[
	module:set_global()
	module:hook("server-started", function ()
		local mark = prosody.paths.data .. "/closed"
		if not io.open(mark) then
			io.open(mark, "w"):close()
			module:add_timer(0.1, function () require "posix.unistd".close(3) end)
		end
	end)
]]

describe("a worker that closes its channel and lives on", function ()
	after_each(daemon.finish_all)

	it("is killed after 2 s and replaced, whatever worker_timeout says", function ()
		local d <const> = daemon.start { fds = false, modules = { closer = closer },
			config = 'worker_timeout = "unlimited"; modules_enabled = { "closer" }' }
		local first <const> = d:worker_pid()
		d:wait_log("closed its channel and lives on: SIGKILL", 6)
		wait.until_true(function ()
			local now = d:worker_pid()
			return now and now ~= first and not process.alive(first)
		end, 5)
		d:wait_log("worker g1%.1 ended: signal 9", 2)
		d:stop()
	end)
end)
