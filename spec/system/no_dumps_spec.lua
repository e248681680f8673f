-- No dumps. Test builds leave this out, so that specs may look into workers that run
-- as somebody else; this one runs the program that people install.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local binary <const> = unistd.getcwd() .. "/build/gadwall"

describe("a worker of the installed program", function ()
	after_each(daemon.finish_all)

	it("cannot be looked into by its own user, and leaves no core", function ()
		if unistd.geteuid() ~= 0 then pending("needs root") return end
		if unistd.access(binary, "x") ~= 0 then pending("needs build/gadwall (make)") return end
		local dir <const> = process.temp_dir()
		sys_stat.chmod(dir, 493) -- 0755
		local d <const> = daemon.start { binary = daemon.relocated(dir, binary),
			drop_root = true, dir = dir, config = 'user = "nobody"' }
		local folder <const> = ("/proc/%d"):format(d:worker_pid())
		local status <const> = process.read_file(folder .. "/status")
		assert.equal(pwd.getpwnam("nobody").pw_uid,
			math.tointeger(tonumber(status:match("\nUid:%s*(%d+)"))))
		-- proc(5): what is not dumpable belongs to root there.
		assert.equal(0, sys_stat.stat(folder .. "/environ").st_uid)
		assert.matches("Max core file size%s+0%s+0", process.read_file(folder .. "/limits"))
		d:stop()
	end)
end)
