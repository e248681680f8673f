-- A keeper that was started by a careless parent kept that parent's sockets: about 100 clients of a
-- spec hung in CLOSE_WAIT for as long as the keeper lived.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

describe("a descriptor that a parent left open", function ()
	after_each(daemon.finish_all)

	it("is closed in the keeper and in its workers", function ()
		local dir <const> = process.temp_dir()
		local path <const> = dir .. "/left-open"
		local d <const> = daemon.start {
			wrap = { "sh", "-c", ('exec 9>"%s"; exec "$@"'):format(path), "sh" },
		}
		assert.is_truthy(process.read_file(path), "the parent has opened it")
		for _, pid in ipairs { d.keeper_pid, d:worker_pid() } do
			for number, target in pairs((d:fds(pid))) do
				assert.is_not.equal(path, target, ("descriptor %s of %d"):format(number, pid))
			end
		end
		d:stop()
	end)
end)
