-- "Of the name of a kept descriptor the first 255 bytes counted: of two whose names differ after
-- them, the one was closed, and who asked for it got the other."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local keeps <const> = [[
module:set_global()
local unistd = require "posix.unistd"
for _, which in ipairs { "first", "second" } do
	local name = ("x"):rep(250) .. which
	local kept = module:kept_fd(name)
	if kept then
		module:log("info", "%s has %s", which, unistd.read(kept, 100))
		unistd.close(kept)
	else
		local r, w = unistd.pipe()
		unistd.write(w, "the " .. which)
		assert(module:keep_fd(name, r))
		unistd.close(r)
		unistd.close(w)
	end
end
]]

describe("regress: long names of what is kept", function ()
	after_each(daemon.finish_all)

	it("do not mix it up", function ()
		local d <const> = daemon.start {
			config = 'modules_enabled = { "keeps", "admin_socket", "admin_shell" }',
			modules = { keeps = keeps }, fds = false, allow = { "SIGKILL" },
		}
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("ended: signal 9", 20)
		wait.until_true(function () return #d:log_lines("is ready after") == 2 end, 20, "a restart")
		assert.equal(1, #d:log_lines("first has the first"))
		assert.equal(1, #d:log_lines("second has the second"))
		d:stop()
	end)
end)
