-- "flock(2) asks for no right but that to open a file: any user of the machine could hold the lock
-- of a stopped host's runtime folder, or its PID file, and the host could not be started again."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local is_root <const> = unistd.geteuid() == 0
local nobody <const> = tostring(pwd.getpwnam("nobody").pw_uid)

-- The folders that mkdtemp makes are 0700: the stranger has to pass.
local function folder()
	local dir <const> = process.temp_dir()
	sys_stat.chmod(dir, 493) -- 0755
	return dir
end

local function as_nobody(...)
	return { "setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", ... }
end

local function is_locked(path)
	return process.run { argv = { "flock", "-n", path, "true" } } ~= 0
end

describe("regress: the lock of a runtime folder", function ()
	local dir, stranger

	after_each(function ()
		if stranger then stranger:destroy() end
		daemon.finish_all()
		if dir then process.remove_tree(dir) end
		dir, stranger = nil, nil
	end)

	-- A host that has run, with its files still there.
	local function run_once()
		dir = folder()
		daemon.start({ dir = dir }):stop()
		sys_stat.chmod(dir .. "/run", 493) -- as the keeper makes it
	end

	it("cannot be taken by another user", function ()
		if not is_root then pending("needs root") return end
		run_once()
		assert.not_equal(0, (process.run {
			argv = as_nobody("flock", "-n", dir .. "/run/lock", "true") }))
		local d <const> = daemon.start { dir = dir }
		local code, out <const> = process.run { argv = as_nobody(daemon.binary(), "lua", "-e",
			("print(require 'host.sys'.flock_test(%q))"):format(dir .. "/run/lock")) }
		assert.same({ 0, d.keeper_pid .. "\n" }, { code, out })
		assert.not_equal(0, (process.run { argv = as_nobody("cat", dir .. "/run/state") }))
		d:stop()
	end)

	it("does not hang on a PID file that a stranger has locked", function ()
		if not is_root then pending("needs root") return end
		run_once()
		local pidfile <const> = dir .. "/run/gadwall.pid"
		process.write_file(pidfile, "99999999\n") -- as one that was killed has left it
		sys_stat.chmod(pidfile, 420) -- 0644
		stranger = process.spawn { argv = as_nobody("flock", pidfile, "sleep", "60") }
		wait.until_true(function () return is_locked(pidfile) end, 10, "the stranger's lock")
		local d <const> = daemon.start { dir = dir }
		assert.equal(d.keeper_pid .. "\n", process.read_file(pidfile))
		d:stop()
	end)
end)
