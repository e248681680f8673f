-- "A module that kept more descriptors than the file limit of the keeper allows had its worker
-- killed (broke the protocol), and no other could be started, ever: the keeper had none left."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local keeps <const> = [[
module:set_global()
local fcntl, unistd = require "posix.fcntl", require "posix.unistd"
for i = 1, 300 do
	local fd = assert(fcntl.open("/dev/null", fcntl.O_RDONLY))
	module:keep_fd("number " .. i, fd)
	unistd.close(fd)
end
]]

describe("regress: descriptors of the keeper", function ()
	after_each(daemon.finish_all)

	it("are left for a restart and a reload", function ()
		local d <const> = daemon.start {
			config = 'modules_enabled = { "keeps", "admin_socket", "admin_shell" }',
			modules = { keeps = keeps }, fds = false,
			wrap = { "prlimit", "--nofile=180:180" },
			allow = { "keep is lost: too many open files in the keeper", "SIGKILL" },
		}
		wait.until_true(function () return #d:log_lines("keep is lost") > 100 end, 20)
		local worker <const> = d:worker_pid()
		process.kill(worker, "KILL")
		d:wait_log("ended: signal 9", 20)
		wait.until_true(function ()
			local now <const> = d:worker_pid()
			return now and now ~= worker and #d:log_lines("is ready after") == 2
		end, 20, "a restart")
		local code <const>, out, err = d:run("reload")
		assert.equal(0, code, out .. err)
		d:stop()
	end)
end)
