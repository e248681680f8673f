-- "A command that comes while the host ends is told after a tenth of a second that 'the worker does
-- not answer (--timeout waits longer)', status 4: nothing runs any more."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local function has_socket(pid)
	for _, target in pairs((process.fds(pid))) do
		if target:find("^socket:") then return true end
	end
end

describe("regress: a command that comes in the last moment of a host", function ()
	after_each(daemon.finish_all)

	it("is told that it is not running", function ()
		local d <const> = daemon.start { fds = false, exit = 75, allow = { "." },
			config = [[
			modules_enabled = { "admin_socket", "admin_shell" }
			hammer_time = 1; shutdown_timeout = 0.9
		]] }
		-- In the queue of the console when that ends: accepted by nobody.
		process.kill(d:worker_pid(), "STOP")
		local asked <const> = {}
		for i, words in ipairs { { "reload" }, { "stop", "--abort" }, { "upgrade" } } do
			asked[i] = process.spawn { stdout = d.dir .. "/out" .. i, argv = { daemon.binary(),
				"--socket", d:socket_path(), "--timeout", "60", table.unpack(words) } }
			wait.until_true(function () return has_socket(asked[i].pid) end, 20)
		end
		d:signal "TERM"
		for i = 1, 3 do
			assert.equal(3, asked[i]:wait_exit(30))
			assert.matches("not running %(it ended before it answered%)",
				process.read_file(d.dir .. "/out" .. i))
		end
		assert.equal(75, d:wait_exit(10))
		d:stop()
	end)
end)
