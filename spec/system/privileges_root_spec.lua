-- Started as root: what workers and keeper may still do.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local nobody <const> = pwd.getpwnam("nobody")
local is_root <const> = unistd.geteuid() == 0

local function field(pid, name)
	local text = assert(process.read_file(("/proc/%d/status"):format(pid)))
	return (text:match("\n" .. name .. ":[ \t]*([^\n]*)"):gsub("%s+$", ""):gsub("%s+", " "))
end

-- The folders that mkdtemp makes are 0700: the worker's user has to pass.
local function folder()
	local dir = process.temp_dir()
	sys_stat.chmod(dir, 493) -- 0755
	return dir
end

describe("started as root", function ()
	after_each(daemon.finish_all)

	it("without user and without run_as_root it refuses with 77", function ()
		if not is_root then pending("needs root") return end
		local d = daemon.start { drop_root = true, expect_exit = true }
		assert.equal(77, d:wait_exit())
	end)

	it("its workers are the user, without capabilities, groups or a way back", function ()
		if not is_root then pending("needs root") return end
		local d = daemon.start { drop_root = true, dir = folder(), config = 'user = "nobody"' }
		local pid, id = d:worker_pid(), nobody.pw_uid
		assert.equal(("%d %d %d %d"):format(id, id, id, id), field(pid, "Uid"))
		assert.equal(("%d %d %d %d"):format(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid,
			nobody.pw_gid), field(pid, "Gid"))
		assert.equal("", field(pid, "Groups"))
		assert.equal("0000000000000000", field(pid, "CapEff"))
		assert.equal("0000000000000000", field(pid, "CapPrm"))
		assert.equal("1", field(pid, "NoNewPrivs"))
		assert.equal("0 0 0 0", field(d.keeper_pid, "Uid"))
		assert.equal("00000000000004e0", field(d.keeper_pid, "CapEff"))
		d:stop()
		process.remove_tree(d.dir)
	end)

	it("its runtime folder stays root's, with one inside for the user", function ()
		if not is_root then pending("needs root") return end
		local d = daemon.start { drop_root = true, dir = folder(), config = 'user = "nobody"' }
		assert.equal(0, sys_stat.stat(d.dir .. "/run").st_uid)
		assert.equal(0, sys_stat.stat(d.dir .. "/run/lock").st_uid)
		assert.equal(nobody.pw_uid, sys_stat.stat(d.dir .. "/run/user").st_uid)
		assert.equal(nobody.pw_uid, sys_stat.stat(d.dir .. "/run/active").st_uid)
		d:stop()
		process.remove_tree(d.dir)
	end)

	it("its keeper binds the ports below 1024 that the config names, and no others", function ()
		if not is_root then pending("needs root") return end
		local port, dir = 600 + unistd.getpid() % 400, folder()
		sys_stat.mkdir(dir .. "/open", 493) -- 0755: the user reads it
		process.write_file(dir .. "/open/mod_low.lua", [[
			module:provides("net", { name = "low", listener = {
				onconnect = function (conn) conn:write("low\n") end } })
		]])
		local d = daemon.start { drop_root = true, dir = dir, config = ([[ user = "nobody"
			plugin_paths = { %q }; modules_enabled = { "low" }
			low_ports = { %d }; low_interface = "127.0.0.1" ]]):format(dir .. "/open", port) }
		local c = d:connect(port)
		assert.equal("low", c:line())
		d:stop()
		process.remove_tree(d.dir)
	end)

	it("its restarted worker and its reload work with the rights that are left", function ()
		if not is_root then pending("needs root") return end
		local d = daemon.start { drop_root = true, dir = folder(), fds = false,
			config = 'user = "nobody"' }
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("restarting at once")
		d:wait_log("worker g1%.1 started, pid %d+")
		d:signal("HUP")
		d:wait_log("the new config goes to the workers")
		d:stop()
		process.remove_tree(d.dir)
	end)
end)
