-- What stands around an upgrade: service manager, PID file, sockets that were given, container,
-- what a child inherits. ecdysis' tests with a mocked systemd; rows 61 and 91 to 96 of the table.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- Polls a PID file without a rest but for 1 ms; prints how often it did, and each wrong content.
local poller <const> = [[
package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath
local time = require "posix.time"
local want, looks = arg[2] .. "\n", 0
while not io.open(arg[3]) and looks < 200000 do
	local file = io.open(arg[1])
	local text = file and file:read "a"
	if file then file:close() end
	looks = looks + 1
	if text ~= want then print("wrong", text) end
	time.nanosleep { tv_sec = 0, tv_nsec = 1000000 }
end
print("looks", looks)
]]

local function poll_pidfile(dir, pid)
	process.write_file(dir .. "/poller.lua", poller)
	local out <const> = dir .. "/polled"
	local polling <const> = process.spawn { stdout = out, argv = { "lua5.4", dir .. "/poller.lua",
		dir .. "/run/gadwall.pid", tostring(pid), dir .. "/stop-polling" } }
	return function ()
		process.write_file(dir .. "/stop-polling", "")
		assert.equal(0, polling:wait_exit(20))
		local text <const> = process.read_file(out)
		assert.not_matches("wrong", text)
		assert.is_true(tonumber(text:match "looks\t(%d+)") > 50, text)
	end
end

-- A host behind the fake service manager.
local function managed(spec)
	local folder <const> = process.temp_dir()
	spec.wrap = { "python3", "spec/support/service_manager.py", folder }
	local d <const> = upgrade.start(spec)
	d.manager = folder
	d.pid = tonumber(d:state().pid)
	function d.heard()
		local list = {}
		for line in (process.read_file(folder .. "/heard") or ""):gmatch("[^\n]+") do
			list[#list + 1] = line
		end
		return list
	end
	return d
end

-- The words that tell of states, one each, and who said them.
local function words(d)
	local list = {}
	for _, line in ipairs(d.heard()) do
		local word <const> = line:match "^%d+ (%u+)=1"
		if word and word ~= "WATCHDOG" and not word:find "FDSTORE" then list[#list + 1] = word end
	end
	return table.concat(list, " ")
end

local function end_managed(d)
	d:signal "KILL" -- the manager alone
	d:wait_exit(10)
	process.kill(d.pid, "TERM")
	wait.until_true(function () return not process.alive(d.pid) end, 30, "the keeper's end")
	process.remove_tree(d.manager)
	process.remove_tree(d.folder)
end

describe("an upgrade under a service manager", function ()
	after_each(upgrade.finish)

	it("is RELOADING with its time, then READY, from one pid, good or bad; WATCHDOG goes on",
		function ()
		local d <const> = managed { fds = false, exit = false, env = { WATCHDOG_USEC = "400000",
			GADWALL_FAILPOINT = "g2/worker-boot:delay=1500" } }
		local function beats()
			local n = 0
			for _, line in ipairs(d.heard()) do n = n + (line:find "WATCHDOG=1" and 1 or 0) end
			return n
		end
		local before <const> = beats()
		upgrade.up(d)
		assert.is_true(beats() - before >= 3, "beats while the new one was loading")
		upgrade.reconfigure(d, false)
		assert.is_false((upgrade.ask(d, "upgrade")))
		upgrade.reconfigure(d, "")
		upgrade.up(d)
		upgrade.up(d, "rollback")
		if upgrade.has_failpoints() then
			process.kill(d.pid, 37) -- SIGRTMIN+3: the keeper runs its own binary anew
			d:wait_log("the keeper runs ", 20)
		end
		wait.until_true(function ()
			return words(d) == "READY" .. (" RELOADING READY"):rep(4)
		end, 10, "the words")
		for _, line in ipairs(d.heard()) do
			assert.not_matches("MAINPID", line)
			if line:find "^%d+ %u" then assert.equal(d.pid, tonumber(line:match "^%d+"), line) end
			if line:find "RELOADING" then assert.matches("RELOADING=1 MONOTONIC_USEC=%d+", line) end
		end
		assert.equal(d.pid, tonumber(d:state().pid))
		end_managed(d)
	end)

	it("whose host is killed whole gets its listeners back from the store, and no connect is refused",
		function ()
		local d <const> = managed { fds = false, exit = false }
		upgrade.up(d)
		d:wait_log("generation 1 has ended", 20)
		local load <const> = upgrade.load(d, { keepers = 0, connectors = 2, pause = 2 })
		local workers <const> = {}
		for pid in process.read_file(d.dir .. "/run/state"):gmatch "\nworker %d+ %d+ (%d+)" do
			workers[#workers + 1] = tonumber(pid)
		end
		process.kill(d.pid, "STOP") -- so that it restarts nobody: KillMode=mixed ends them together
		for _, pid in ipairs(workers) do process.kill(pid, "KILL") end
		process.kill(d.pid, "KILL")
		wait.until_true(function ()
			local pid <const> = tonumber(d:state().pid)
			return pid ~= d.pid and d:state().state == "serving"
		end, 30, "the next keeper\n" .. d:log())
		d.pid = tonumber(d:state().pid)
		assert.is_truthy((upgrade.generation(d)))
		upgrade.up(d)
		local count <const> = load:stop()
		assert.equal(0, count.refused, count.text)
		assert.is_true(count.connects > 0, count.text)
		local heard <const> = table.concat(d.heard(), "\n")
		assert.matches("store http", heard)
		assert.matches("store echo", heard)
		end_managed(d)
	end)
end)

describe("a host in the background", function ()
	after_each(upgrade.finish)

	it("as Type=forking has it: the PID file is there at once, and right all the time", function ()
		local d <const> = daemon.start { ready = false, args = { "--daemon" }, fds = false,
			config = [[ modules_enabled = { "admin_shell" }; upgrade_probation = 0.2 ]] }
		assert.equal(0, d:wait_exit(20))
		local pid <const> = tonumber(process.read_file(d.dir .. "/run/gadwall.pid"))
		assert.is_true(process.alive(pid))
		assert.not_equal(d.keeper_pid, pid)
		assert.equal("serving", d:state().state)
		local right <const> = poll_pidfile(d.dir, pid)
		for _ = 1, 3 do assert.equal(0, (d:run "upgrade")) end
		d:write_config("this is no Lua")
		assert.equal(1, (d:run "upgrade"))
		assert.equal(0, (d:run "rollback"))
		if upgrade.has_failpoints() then process.kill(pid, 37) end
		assert.equal(0, (d:run("status", "--quiet")))
		right()
		assert.equal(0, (d:run "stop"))
		assert.is_false(process.alive(pid))
		assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
	end)
end)

describe("an upgrade", function ()
	after_each(upgrade.finish)

	it("keeps an abstract socket that the service manager gave", function ()
		local name <const> = "gadwall-spec-" .. unistd.getpid()
		local d <const> = upgrade.start { fds = false, enable = { "given" }, modules = { given = [[
			module:set_global()
			local server = require "net.server"
			assert(server.listen("@" .. module:get_option_string("given_name"), 0, {
				onconnect = function (conn)
					conn:write(prosody.generation .. "\n")
					conn:close()
				end }, {})) ]] }, config = ("given_name = %q"):format(name),
			wrap = { "python3", "-c", [[
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + sys.argv[1])
s.listen(16)
fd = os.dup2(s.fileno(), 3) if s.fileno() != 3 else 3
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])]], name } }
		local function who()
			local c <close> = assert(client.unix("@" .. name, 20))
			return tonumber(c:line())
		end
		local function inode()
			return (process.read_file "/proc/net/unix"):match(
				" 00010000 %x+ %x+ +(%d+) @" .. name:gsub("%p", "%%%0")) -- the one that listens
		end
		local before <const> = inode()
		assert.equal(1, who())
		upgrade.up(d)
		assert.equal(2, who())
		upgrade.up(d, "rollback")
		assert.equal(3, who())
		assert.is_truthy(before)
		assert.equal(before, inode())
		upgrade.stop(d)
	end)

	it("leaks neither descriptor nor variable to a child, however many came before", function ()
		local d <const> = upgrade.start { enable = { "leak" }, modules = { leak = [[
			module:set_global()
			module:hook("generation-activated", function ()
				local folder, number = module:get_option_string("witness_folder"), prosody.generation
				os.execute(("ls -l /proc/self/fd > %s/fds.%d; env > %s/new; mv %s/new %s/env.%d"):format(
					folder, number, folder, folder, folder, number))
			end) ]] } }
		local first
		for generation = 2, 4 do
			upgrade.up(d)
			wait.until_true(function ()
				return process.read_file(("%s/env.%d"):format(d.folder, generation))
			end, 20, "what the child has")
			local env <const> = process.read_file(("%s/env.%d"):format(d.folder, generation))
			local fds <const> = process.read_file(("%s/fds.%d"):format(d.folder, generation))
			assert.not_matches("GADWALL_", env)
			assert.not_matches("LISTEN_", env)
			assert.not_matches("NOTIFY_", env)
			first = first or env
			assert.equal(first, env) -- endless: the environment grows with each generation
			for number, target in fds:gmatch "(%d+) %-> ([^\n]+)" do
				-- 3 is the folder that ls reads
				assert.is_true(tonumber(number) < 3 or target:find "^/proc/" ~= nil, fds)
			end
		end
		upgrade.stop(d)
	end)

	it("in a container, as PID 1, is PID 1 afterwards and leaves no zombie", function ()
		if unistd.geteuid() ~= 0 or process.run { argv = { "unshare", "--pid", "--fork",
			"--mount-proc", "true" } } ~= 0 then
			pending("needs root and unshare")
			return
		end
		local d <const> = upgrade.start { fds = false, exit = false,
			wrap = { "unshare", "--pid", "--fork", "--mount-proc", "--kill-child" } }
		local keeper
		for _, info in ipairs(process.descendants(d.keeper_pid)) do
			if info.parent == d.keeper_pid then keeper = info.pid end
		end
		local load <const> = upgrade.load(d, { keepers = 4, connectors = 1, pause = 5 })
		for _ = 1, 3 do upgrade.up(d) end
		upgrade.reconfigure(d, 'modules_enabled = { "no_such_module" }')
		assert.is_false((upgrade.ask(d, "upgrade")))
		upgrade.up(d, "rollback")
		if upgrade.has_failpoints() then
			process.kill(keeper, 37)
			d:wait_log("the keeper runs .* same pid 1", 20)
		end
		assert.equal("1", d:state().pid)
		load:stop_clean()
		wait.until_true(function () return #process.descendants(keeper) == 1 end, 20, "one worker")
		process.kill(keeper, "TERM")
		assert.equal(0, d:wait_exit(30))
		process.remove_tree(d.folder)
	end)
end)
