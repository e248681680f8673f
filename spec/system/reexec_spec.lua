-- The keeper changes itself: the same process runs the binary of a good upgrade, and nobody
-- notices.
local daemon <const> = require "spec.support.daemon"
local notify_socket <const> = require "spec.support.notify_socket"
local poll <const> = require "posix.poll"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local socket <const> = require "posix.sys.socket"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local SIGRTMIN_3 <const> = 37 -- test builds: the keeper changes to the binary that it has
local has_failpoints <const> = upgrade.has_failpoints()
local changed <const> = "the keeper runs .* now, same pid %d+$"

-- Makes the keeper run its binary anew, and waits until it does.
local function change(d)
	local before <const> = #d:log_lines(changed)
	d:signal(SIGRTMIN_3)
	wait.until_true(function () return #d:log_lines(changed) > before end, 20,
		"a change of the keeper\n" .. d:log())
end

-- What must stay: the files by inode and content, the locks, the title, the descriptors.
local function snapshot(d)
	local run <const> = d.dir .. "/run/"
	local fds <const> = {}
	for _, target in pairs((process.fds(d.keeper_pid))) do
		fds[#fds + 1] = target:gsub(":%[%d+%]$", "")
	end
	table.sort(fds)
	return { fds = fds, pid = process.read_file(run .. "gadwall.pid"), state = d:state().state,
		pidfile = stat.stat(run .. "gadwall.pid").st_ino,
		sock = stat.stat(run .. "keeper.sock").st_ino, lock = stat.stat(run .. "lock").st_ino,
		worker = d:worker_pid(), name = process.stat(d.keeper_pid).name,
		started = process.stat(d.keeper_pid).started,
		title = (process.read_file(("/proc/%d/cmdline"):format(d.keeper_pid)):gsub("%z+$", "")) }
end

local function locked(d)
	local code <const>, _, err = process.run { argv = { daemon.binary(), "run", "-c", d.config_file },
		timeout = 60 }
	return code == 69 and err:find("already running with pid " .. d.keeper_pid, 1, true) ~= nil, err
end

local with_pidfile <const> = "pidfile = runtime_path .. '/gadwall.pid'; "

local function start(spec)
	spec = spec or {}
	spec.config = with_pidfile .. (spec.config or "")
	return upgrade.start(spec)
end

-- A host that upgrades to a copy of the program: another file.
local function start_old(spec)
	local folder <const> = process.temp_dir()
	spec = spec or {}
	spec.config = ("upgrade_binary = %q; "):format(daemon.relocated(folder)) .. (spec.config or "")
	local d <const> = start(spec)
	d.next = folder
	return d
end

local function program(d)
	return unistd.readlink(("/proc/%d/exe"):format(d.keeper_pid))
end

describe("a keeper that changes itself", function ()
	after_each(upgrade.finish)

	local function with_failpoints(name, fn)
		it(name, function ()
			if not has_failpoints then return pending "no failpoints in this build" end
			return fn()
		end)
	end

	with_failpoints("is the same process with the same files, three times in a row", function ()
		local d <const> = start()
		local before <const> = snapshot(d)
		for _ = 1, 3 do
			change(d)
			assert.same(before, snapshot(d))
		end
		local good, err = locked(d)
		assert.is_true(good, err)
		assert.equal(1, (upgrade.generation(d)))
		assert.equal("serving", d:status().state)
		upgrade.stop(d, 0)
	end)

	with_failpoints("loses nobody under load", function ()
		local d <const> = start()
		local load <const> = upgrade.load(d, { pause = 1 })
		for _ = 1, 5 do
			change(d)
			wait.sleep(0.1)
			load:mark()
		end
		local count <const> = load:stop_clean()
		print("5 changes of the keeper: " .. count.text)
		upgrade.stop(d, 0)
	end)

	with_failpoints("reloads, restarts, drains, upgrades and rolls back afterwards", function ()
		local d <const> = start()
		change(d)
		d:signal "HUP"
		d:wait_log("the new config goes to the workers", 20)
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function ()
			return d:state().restarts == "1" and d:state().workers == "1"
		end, 20, "a restart")
		change(d)
		upgrade.wait_generation(d, 1)
		assert.is_true((upgrade.ask(d, "drain")))
		change(d)
		assert.is_true((upgrade.ask(d, "undrain")))
		upgrade.up(d)
		assert.equal(2, (upgrade.generation(d)))
		change(d)
		assert.is_true((upgrade.ask(d, "rollback")))
		assert.equal(3, (upgrade.generation(d)))
		change(d)
		assert.equal("start 1", upgrade.singletons(d):match "^start 1")
		upgrade.stop(d)
	end)

	with_failpoints("keeps an older generation with its sessions", function ()
		local d <const> = start()
		local old <const> = d:connect(d.echo)
		local function say(text)
			assert(old:send(text .. "\n"))
			assert.equal(text, (old:line()))
		end
		say "before"
		upgrade.up(d)
		change(d)
		say "after"
		old:close()
		d:wait_log("generation 1 has ended", 30)
		upgrade.stop(d)
	end)

	with_failpoints("hears a signal that comes while it changes", function ()
		local d <const> = start { env = { GADWALL_FAILPOINT = "keeper-reexec:delay=1500" } }
		d:signal(SIGRTMIN_3)
		local function inherits() -- the state is written, the program is not yet run
			for fd, target in pairs((process.fds(d.keeper_pid))) do
				if target:find("/run/lock$") then
					local path <const> = ("/proc/%d/fdinfo/%d"):format(d.keeper_pid, fd)
					local flags <const> = (process.read_file(path) or ""):match "flags:%s*(%d+)"
					return flags and tonumber(flags, 8) & 524288 == 0 -- O_CLOEXEC
				end
			end
		end
		wait.until_true(inherits, 20, "the middle of a change")
		d:signal "TERM"
		assert.equal(0, d:wait_exit(30))
		assert.equal(1, #d:log_lines(changed), d:log())
		local log <const> = d:log()
		assert.is_true(log:find(" now, same pid", 1, true) < log:find("SIGTERM from pid", 1, true), log)
		process.remove_tree(d.folder)
	end)

	with_failpoints("hears of a worker that dies while it changes", function ()
		local d <const> = start { env = { GADWALL_FAILPOINT = "keeper-reexec:delay=1000@1" } }
		local worker <const> = d:worker_pid()
		d:signal(SIGRTMIN_3)
		wait.sleep(0.5)
		process.kill(worker, "KILL")
		wait.until_true(function ()
			return d:state().restarts == "1" and d:state().workers == "1" and
				d:log_lines(changed)[1] ~= nil
		end, 30, "a change and a restart\n" .. d:log())
		upgrade.wait_generation(d, 1)
		upgrade.stop(d, 0)
	end)

	for name, action in pairs { ["fails"] = { "keeper-trial:errno=5", "ended with status 70" },
		["does not end"] = { "keeper-trial:stop", "did not end in 2 s" },
		["is killed"] = { "keeper-trial:kill", "ended by signal 9" },
		["is good and the exec fails"] = { "keeper-reexec:errno=12", "Cannot allocate memory" } } do
		with_failpoints("stays what it is when the trial " .. name, function ()
			local d <const> = start { env = { GADWALL_FAILPOINT = action[1] } }
			local before <const> = snapshot(d)
			d:signal(SIGRTMIN_3)
			local line <const> = d:wait_log("the keeper stays what it is", 30)
			assert.matches(action[2], line)
			assert.same(before, snapshot(d))
			assert.same({}, d:log_lines(changed))
			upgrade.up(d)
			assert.equal(2, (upgrade.generation(d)))
			upgrade.stop(d)
		end)
	end

	with_failpoints("can be killed in the middle: the next one takes the workers over", function ()
		local d <const> = start { exit = false, fds = false,
			env = { GADWALL_FAILPOINT = "keeper-reexec:kill" } }
		local worker <const> = d:worker_pid()
		d:signal(SIGRTMIN_3)
		assert.equal(137, d:wait_exit(30))
		assert.equal(1, (upgrade.generation(d)))
		local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "next",
			fds = false, timeout = 30 }
		assert.matches(("\nworker 1 1 %d "):format(worker), process.read_file(d.dir .. "/run/state"))
		e:stop()
		d:destroy()
		process.remove_tree(d.folder)
	end)

	it("does so after an upgrade to another file, and says so", function ()
		local d <const> = start_old()
		local before <const> = snapshot(d)
		local load <const> = upgrade.load(d, { pause = 1 })
		upgrade.up(d)
		d:wait_log(changed, 30)
		assert.equal(d.next .. "/bin/gadwall", program(d))
		local after <const> = snapshot(d)
		for _, key in ipairs { "pid", "pidfile", "sock", "lock", "name", "started", "title" } do
			assert.equal(before[key], after[key], key)
		end
		load:stop_clean()
		wait.until_true(function ()
			local reason <const> = select(2, d:run("status", "--json"))
			return reason:find("; the keeper runs it too", 1, true) ~= nil
		end, 10, "a word of it in the status")
		-- the same file again is no reason
		upgrade.up(d)
		assert.equal(3, (upgrade.generation(d)))
		d:wait_log("generation 2 has ended", 30)
		assert.equal(1, #d:log_lines(changed))
		upgrade.stop(d)
		process.remove_tree(d.next)
	end)

	it("changes after the probation, and not when the new generation is taken back", function ()
		local d <const> = start_old { config = "upgrade_probation = 1.5" }
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 1: commit %-> probation", 30)
		assert.same({}, d:log_lines(changed))
		assert.is_true((upgrade.ask(d, "rollback")))
		assert.is_false((outcome()))
		assert.equal(daemon.binary(), program(d))
		upgrade.up(d)
		d:wait_log(changed, 30)
		assert.is_true(#d:log_lines "upgrade 2: committed in probation" == 1, d:log())
		upgrade.stop(d)
		process.remove_tree(d.next)
	end)

	it("tells the service manager nothing but what it always hears", function ()
		local manager <const> = notify_socket.open()
		local d <const> = start_old { env = { NOTIFY_SOCKET = manager.path, WATCHDOG_USEC = "400000" } }
		-- What was heard but for STATUS; the queue is short, so all the time somebody has to listen.
		local heard = {}
		local function listen()
			while poll.rpoll(manager.fd, 0) == 1 do
				local text <const> = socket.recv(manager.fd, 4096)
				if not text:find "^STATUS=" then heard[#heard + 1] = text end
			end
			return heard
		end
		local function beats()
			local n = 0
			for _, text in ipairs(listen()) do n = n + (text == "WATCHDOG=1" and 1 or 0) end
			return n
		end
		local outcome <const> = upgrade.begin(d, "upgrade")
		wait.until_true(function () return beats() and d:log_lines(changed)[1] end, 30, "a change")
		assert.is_true((outcome()))
		assert.matches("READY=1", table.concat(listen(), "\n"))
		heard = {}
		wait.until_true(function () return beats() >= 4 end, 20, "the watchdog's word")
		assert.equal(#heard, beats(), table.concat(heard, "\n"))
		d:signal "TERM"
		wait.until_true(function () return beats() and d.keeper:status() end, 30, "the end")
		assert.equal(0, d:wait_exit())
		assert.matches("STOPPING=1", table.concat(listen(), "\n"))
		manager:close()
		process.remove_tree(d.next)
		process.remove_tree(d.folder)
	end)

	it("keeps only the rights that it had", function ()
		if unistd.geteuid() ~= 0 then return pending "needs root" end
		local folder <const>, dir <const> = process.temp_dir(), process.temp_dir()
		for _, path in ipairs { folder, dir, dir:match "^(.*)/" } do -- the user has to pass
			stat.chmod(path, 493) -- 0755
		end
		local d <const> = daemon.start { drop_root = true, dir = dir, fds = false, config =
			('user = %q; upgrade_binary = %q; upgrade_probation = 0'):format(
				pwd.getpwnam("nobody").pw_name, daemon.relocated(folder)) }
		local function rights()
			local text <const> = process.read_file(("/proc/%d/status"):format(d.keeper_pid))
			return text:match "CapInh.-CapAmb[^\n]*"
		end
		local before <const> = rights()
		d:signal "USR2"
		d:wait_log(changed, 30)
		assert.equal(before, rights())
		assert.equal(folder .. "/bin/gadwall", program(d))
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return d:state().restarts == "1" and d:state().workers == "1" end,
			20, "a restart")
		d:stop()
		process.remove_tree(dir)
		process.remove_tree(folder)
	end)
end)
