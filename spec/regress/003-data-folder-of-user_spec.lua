-- As root with `user`, nobody made data_path: the worker tried, in a folder that is root's.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

describe("a missing data folder", function ()
	after_each(daemon.finish_all)

	it("is made for the workers' user by a keeper that is root", function ()
		if unistd.geteuid() ~= 0 then pending("needs root") return end
		local dir <const> = process.temp_dir()
		sys_stat.chmod(dir, 493) -- 0755
		local path <const> = dir .. "/state/of/gadwall"
		local d <const> = daemon.start { drop_root = true, dir = dir,
			config = ('user = "nobody"\ndata_path = %q'):format(path) }
		local st <const> = assert(sys_stat.stat(path))
		assert.equal(pwd.getpwnam("nobody").pw_uid, st.st_uid)
		assert.equal(488, st.st_mode & 511) -- 0750
		d:stop()
	end)
end)
