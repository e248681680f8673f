-- workers = 2: two processes of one generation behind one listener and one keeper.
local daemon <const> = require "spec.support.daemon"
local events <const> = require "core.events_list"
local json <const> = require "util.json"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local listener <const> = [[
	module:set_global()
	for _, name in ipairs { "worker-started", "worker-ended" } do
		module:hook(name, function (event)
			module:log("info", "heard %s %d.%d signal %s restarts %d", name, event.generation,
				event.worker, event.signal, event.restarts)
		end)
	end
]]

local function start()
	return daemon.start { fds = false, modules = { hearer = listener }, config = [[
		workers = 2
		modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown", "hearer" }
		echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
	]] }
end

local function status(d)
	local _, out = d:run("status", "--json")
	return json.decode(out)
end

-- The two workers as the keeper sees them once both are in a state.
local function both(d, state)
	local list
	wait.until_true(function ()
		list = status(d).generations[1].workers
		return #list == 2 and list[1].state == state and list[2].state == state
	end, 5, "both workers are " .. state)
	return list
end

describe("workers = 2", function ()
	after_each(daemon.finish_all)

	it("shows both in status, with null for what the one that answers cannot know", function ()
		local d <const> = start()
		local known = 0
		for _, worker in ipairs(both(d, "serving")) do
			known = known + (worker.rss_bytes ~= json.null and worker.lua_bytes ~= json.null and 1 or 0)
			assert.is_true(process.alive(worker.pid))
		end
		assert.equal(1, known)
		d:stop()
	end)

	it("replaces the second when it is killed, tells the first, and serves on", function ()
		local d <const> = start()
		local second <const> = both(d, "serving")[2]
		local port <const> = d:port "echo"
		process.kill(second.pid, "KILL")
		d:wait_log "heard worker%-ended 1%.2 signal 9 restarts 1"
		d:wait_log "heard worker%-started 1%.2 signal .* restarts 1"
		local now <const> = both(d, "serving")[2]
		assert.is_not.equal(second.pid, now.pid)
		assert.equal(1, now.restarts)
		local c <const> = d:connect(port)
		c:send "still here\n"
		assert.equal("still here", c:line())
		d:stop()
	end)

	it("has its first worker hold the lock of the active generation, also after a crash", function ()
		local d <const> = start()
		local path <const> = d.dir .. "/run/active"
		local inode <const> = stat.stat(path).st_ino
		local function holder()
			for line in (process.read_file("/proc/locks") or ""):gmatch("[^\n]+") do
				local pid, ino = line:match("FLOCK%s+%S+%s+WRITE%s+(%d+)%s+%x+:%x+:(%d+)")
				if tonumber(ino) == inode then return tonumber(pid) end
			end
		end
		local first <const> = both(d, "serving")[1].pid
		assert.equal(first, holder())
		assert.equal("1", process.read_file(path))
		process.kill(first, "KILL")
		wait.until_true(function ()
			local now = holder()
			return now and now ~= first and now == both(d, "serving")[1].pid
		end, 10, "the next first worker's lock")
	end)

	it("reloads, drains and undrains in both, also when one is restarted meanwhile", function ()
		local d <const> = start()
		both(d, "serving")
		assert.equal(0, (d:run "reload"))
		wait.until_true(function () return #d:log_lines("Config reloaded") == 2 end, 5)
		assert.equal(0, (d:run "drain"))
		process.kill(both(d, "draining")[2].pid, "KILL")
		d:wait_log "heard worker%-started 1%.2 signal .* restarts 1"
		both(d, "draining")
		assert.equal(0, (d:run "undrain"))
		both(d, "serving")
		assert.equal(0, (d:run "stop"))
		assert.equal(0, d:wait_exit(5))
		assert.equal(2, #d:log_lines("shutdown report: "))
		d:stop()
	end)
end)

describe("the table of events", function ()
	it("says of every event what it means", function ()
		for _, row in ipairs(events.list) do
			assert.is_true(#row.doc > 0, row.name)
		end
	end)
end)
