-- The runtime folder: lock, PID file, state files, keeper.sock.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local sys_stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local function read(d, name)
	return process.read_file(d.dir .. "/run/" .. name)
end

local function is_locked(path)
	return (process.run { argv = { "flock", "-n", path, "true" } }) ~= 0
end

describe("the runtime folder", function ()
	after_each(daemon.finish_all)

	it("holds a locked PID file and lock, both with the keeper's pid", function ()
		local d = daemon.start {}
		assert.equal(d.keeper_pid .. "\n", read(d, "gadwall.pid"))
		assert.equal(d.keeper_pid .. "\n", read(d, "lock"))
		assert.is_true(is_locked(d.dir .. "/run/gadwall.pid"))
		assert.is_true(is_locked(d.dir .. "/run/lock"))
		d:signal("TERM")
		d:wait_exit()
		assert.is_nil(read(d, "gadwall.pid"))
		assert.is_nil(sys_stat.stat(d.dir .. "/run/keeper.sock"))
		assert.is_false(is_locked(d.dir .. "/run/lock"))
	end)

	it("names each worker with its pid and start time in the state file", function ()
		local d = daemon.start { fds = false }
		local pid = d:worker_pid()
		local generation, number, named, ticks = read(d, "state"):match(
			"\nworker (%d+) (%d+) (%d+) (%d+) serving 0\n")
		assert.same({ "1", "1", tostring(pid) }, { generation, number, named })
		local stat = process.read_file(("/proc/%d/stat"):format(pid)):match("%) (.*)")
		local fields = {}
		for word in stat:gmatch("%S+") do fields[#fields + 1] = word end
		assert.equal(fields[20], ticks)
		process.kill(pid, "KILL")
		wait.until_true(function ()
			return (read(d, "state") or ""):find("\nworker 1 1 %d+ %d+ serving 1\n")
		end, 5, "the restarted worker")
	end)

	it("has the PID file where the config says, or none", function ()
		local dir = process.temp_dir()
		local d = daemon.start { config = ("pidfile = %q"):format(dir .. "/host.pid") }
		assert.equal(d.keeper_pid .. "\n", process.read_file(dir .. "/host.pid"))
		d:stop()
		assert.is_nil(process.read_file(dir .. "/host.pid"))
		process.remove_tree(dir)
		local e = daemon.start { config = "pidfile = false" }
		assert.is_nil(read(e, "gadwall.pid"))
	end)

	it("refuses a PID file that another process has locked, with 69", function ()
		local dir = process.temp_dir()
		local d = daemon.start { config = ("pidfile = %q"):format(dir .. "/host.pid") }
		local e = daemon.start { config = ("pidfile = %q"):format(dir .. "/host.pid"),
			expect_exit = true }
		assert.equal(69, e:wait_exit())
		assert.equal(d.keeper_pid .. "\n", process.read_file(dir .. "/host.pid"))
		d:stop()
		process.remove_tree(dir)
	end)

	it("is made if it is missing, and two hosts in two folders do not meet", function ()
		local dir = process.temp_dir()
		local a = daemon.start { config = ("runtime_path = %q"):format(dir .. "/a/run"), ready = false }
		local b = daemon.start { config = ("runtime_path = %q"):format(dir .. "/b/run"), ready = false }
		for _, name in ipairs { "a", "b" } do
			wait.until_true(function ()
				local text = process.read_file(dir .. "/" .. name .. "/run/gadwall.state")
				return text and text:find("state=serving")
			end, 10, name)
		end
		a:stop()
		assert.matches("state=serving", process.read_file(dir .. "/b/run/gadwall.state"))
		b:stop()
		process.remove_tree(dir)
	end)

	it("that everyone can write is refused for root", function ()
		if unistd.geteuid() ~= 0 then pending("needs root") return end
		local dir = process.temp_dir()
		sys_stat.mkdir(dir .. "/open", 511)
		sys_stat.chmod(dir .. "/open", 511) -- 0777
		local d = daemon.start { expect_exit = true, ready = false,
			config = ("runtime_path = %q"):format(dir .. "/open") }
		assert.equal(77, d:wait_exit())
		process.remove_tree(dir)
	end)

	it("keeps the outcome of the last run", function ()
		local d = daemon.start { exit = 3, modules = { leave = [[
			module:add_timer(0.3, function () prosody.shutdown("enough", 3) end)
		]] }, config = 'modules_enabled = { "leave" }' }
		assert.equal(3, d:wait_exit())
		assert.equal("stopped", d:state().state)
		assert.equal("3", d:state().last_exit)
	end)
end)
