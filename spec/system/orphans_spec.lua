-- A keeper killed with -9: its workers serve on, and the next keeper takes them over.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local app <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/",
		route = { ["GET /fast"] = function () return "fast" end } })
]]

local config <const> = [[
	modules_enabled = { "echo", "admin_shell", "app", "lameduck", "graceful_shutdown" }
	echo_ports = { %d }; http_ports = { %d }; interfaces = { "127.0.0.1" }
	lameduck_period = 0.1; %s
]]

-- The first keeper; `more` is config, `spec` fields of daemon.start.
local function start(more, spec)
	spec = spec or {}
	spec.ports = spec.ports or { client.free_port(), client.free_port() }
	spec.modules = { app = app }
	spec.config = config:format(spec.ports[1], spec.ports[2], more or "")
	spec.fds, spec.exit = false, false
	return daemon.start(spec)
end

-- Kills the keeper and waits until its worker knows.
local function lose_keeper(d)
	local worker <const> = d:worker_pid()
	d:signal("KILL")
	d:wait_exit()
	d:wait_log("has died: this worker serves on")
	return worker
end

local keepers = 1

-- The next keeper of the same folder, with a log of its own.
local function next_keeper(d, spec)
	spec = spec or {}
	keepers = keepers + 1
	spec.log = spec.log or "log" .. keepers
	spec.dir, spec.config_file, spec.fds = d.dir, d.config_file, false
	local e <const> = daemon.start(spec)
	e.spec.ports = d.spec.ports
	return e
end

local function echo(d)
	local c <close> = assert(client.tcp("127.0.0.1", d.spec.ports[1], 10))
	assert(c:send("hello\n"))
	return c:line()
end

local function named_worker(d)
	return tonumber((process.read_file(d.dir .. "/run/state") or ""):match("\nworker %d+ %d+ (%d+)"))
end

local function inode_of_listener(pid, port)
	local want <const> = ("0100007F:%04X"):format(port)
	for line in process.read_file(("/proc/%d/net/tcp"):format(pid)):gmatch("[^\n]+") do
		local fields = {}
		for word in line:gmatch("%S+") do fields[#fields + 1] = word end
		if fields[2] == want and fields[4] == "0A" then return fields[10] end
	end
end

local function has_socket(pid, inode)
	for _, target in pairs((process.fds(pid))) do
		if target == ("socket:[%s]"):format(inode) then return true end
	end
	return false
end

describe("a worker whose keeper was killed", function ()
	after_each(daemon.finish_all)

	it("serves on, and is taken over by the next keeper with its listeners", function ()
		local d <const> = start()
		local inode <const> = inode_of_listener(d.keeper_pid, d.spec.ports[1])
		local worker <const> = lose_keeper(d)
		assert.equal("hello", echo(d))
		local held <close> = assert(client.tcp("127.0.0.1", d.spec.ports[1], 10))
		local e <const> = next_keeper(d)
		e:wait_log("worker g1%.1 %(pid " .. worker .. "%) has come back, serving")
		e:wait_log("generation 1 serves on")
		d:wait_log("the keeper with pid " .. e.keeper_pid .. " has taken this worker over")
		assert.is_true(has_socket(e.keeper_pid, inode))
		assert.equal(worker, named_worker(e))
		assert.equal("serving", e:state().state)
		assert.equal(tostring(e.keeper_pid) .. "\n", process.read_file(d.dir .. "/run/gadwall.pid"))
		held:send("still here\n")
		assert.equal("still here", held:line())
		assert.equal("hello", echo(e))
		local status <const> = e:status()
		assert.equal(e.keeper_pid, status.keeper_pid or status.pid)
		e:stop()
	end)

	it("drains, reloads and is stopped through the next keeper as before", function ()
		local d <const> = start()
		lose_keeper(d)
		local e <const> = next_keeper(d)
		assert.equal(0, (e:run("drain")))
		wait.until_true(function () return e:state().state == "draining" end, 10, "a drain")
		assert.equal(0, (e:run("undrain")))
		wait.until_true(function () return e:state().state == "serving" end, 10, "an undrain")
		e:signal("HUP")
		e:wait_log("the new config goes to the workers")
		assert.equal(0, (e:run("stop")))
		assert.equal(0, e:wait_exit(20))
		assert.equal("0", e:state().last_exit)
		assert.equal("stopped", e:state().state)
		e:stop()
	end)

	it("that drains is taken over draining", function ()
		local d <const> = start()
		assert.equal(0, (d:run("drain")))
		lose_keeper(d)
		local e <const> = next_keeper(d)
		assert.equal("draining", e:state().state)
		e:stop()
	end)

	it("drains while it has no keeper, and says so to the next", function ()
		local d <const> = start()
		lose_keeper(d)
		assert.equal(0, (d:run("drain")))
		local e <const> = next_keeper(d)
		assert.equal("draining", e:state().state)
		e:stop()
	end)

	it("is restarted by the next keeper on the same socket when it is killed", function ()
		local d <const> = start()
		local inode <const> = inode_of_listener(d.keeper_pid, d.spec.ports[1])
		local worker <const> = lose_keeper(d)
		local e <const> = next_keeper(d)
		process.kill(worker, "KILL")
		e:wait_log("worker g1%.1 ended: exit status unknown, restarting at once")
		wait.until_true(function ()
			local now = e:worker_pid()
			return now and now ~= worker and e:state().workers == "1"
				and #e:log_lines("worker g1%.1 is ready") == 1
		end, 20, "a restart")
		assert.equal("hello", echo(e))
		assert.is_true(has_socket(e:worker_pid(), inode))
		-- The next death is an ordinary child's.
		process.kill(e:worker_pid(), "KILL")
		e:wait_log("worker g1%.1 ended: signal 9")
		wait.until_true(function () return #e:log_lines("worker g1%.1 is ready") == 2 end, 20,
			"another restart")
		e:stop()
	end)

	it("is restarted with the config that it had, not with what lies on disk", function ()
		local d <const> = start()
		local worker <const> = lose_keeper(d)
		d:write_config(config:format(client.free_port(), d.spec.ports[2], ""))
		local e <const> = next_keeper(d)
		process.kill(worker, "KILL")
		wait.until_true(function () return #e:log_lines("worker g1%.1 is ready") == 1 end, 20,
			"a restart")
		assert.equal("hello", echo(e))
		e:stop()
	end)

	it("finishes when no keeper comes within orphan_timeout", function ()
		local d <const> = start("orphan_timeout = 0.5")
		local worker <const> = lose_keeper(d)
		d:wait_log("No keeper within orphan_timeout")
		wait.until_true(function () return not process.alive(worker) end, 20, "the orphan's end")
		local e <const> = next_keeper(d)
		e:wait_log("worker g1%.1 is ready")
		e:stop()
	end)

	it("is killed by the kernel when its loop hangs", function ()
		local d <const> = start("orphan_timeout = 0")
		local worker <const> = d:worker_pid()
		d:signal("KILL")
		wait.until_true(function () return not process.alive(worker) end, 20, "the orphan's end")
	end)

	it("is refused by a keeper that does not know it, and goes on until orphan_timeout", function ()
		local d <const> = start("orphan_timeout = 6")
		local worker <const> = lose_keeper(d)
		process.write_file(d.dir .. "/run/state", "gadwall-state 1\nnonsense\n")
		local e <const> = daemon.start { dir = d.dir, log = "other", fds = false, ready = false,
			exit = false,
			config = "modules_enabled = {}; interfaces = { '127.0.0.1' }" }
		e:wait_log("state cannot be read", 10)
		e:wait_log("worker g1%.1 of a keeper that died is refused: it belongs to another", 10)
		d:wait_log("a keeper refuses this worker: it belongs to another host")
		assert.is_true(process.alive(worker))
		assert.equal("hello", echo(d))
		wait.until_true(function () return not process.alive(worker) end, 30, "the orphan's end")
		e:stop()
	end)

	it("comes late when it was stopped, and is waited for", function ()
		local d <const> = start("worker_timeout = 60")
		local worker <const> = lose_keeper(d)
		process.kill(worker, "STOP")
		local e <const> = next_keeper(d, { ready = false })
		e:wait_log("1 worker of a keeper that died: waiting")
		wait.sleep(1.5)
		assert.equal("starting", e:state().state)
		process.kill(worker, "CONT")
		wait.until_true(function () return e:state().state == "serving" end, 10, "its return")
		assert.equal(worker, named_worker(e))
		e:stop()
	end)

	it("that never answers is killed, and a new generation starts", function ()
		local d <const> = start("worker_timeout = 1.5")
		local worker <const> = lose_keeper(d)
		process.kill(worker, "STOP")
		local e <const> = next_keeper(d, { timeout = 30 })
		e:wait_log("does not come back: SIGKILL")
		assert.is_false(process.alive(worker))
		assert.equal("hello", echo(e))
		e:stop()
	end)

	it("is found again by the second next keeper when the first one dies on the way", function ()
		for _, point in ipairs { "keeper-lock", "keeper-attach", "keeper-adopted", "keeper-ready" } do
			local d <const> = start()
			local worker <const> = lose_keeper(d)
			local e <const> = next_keeper(d, { ready = false, exit = false,
				env = { GADWALL_FAILPOINT = point .. ":kill" } })
			e:wait_exit(15)
			local f <const> = next_keeper(d)
			assert.equal(worker, named_worker(f), point)
			assert.equal("serving", f:state().state, point)
			assert.equal("hello", echo(f))
			f:stop()
			e:destroy()
			d:destroy()
		end
	end)

	it("that dies while it comes back is restarted", function ()
		for _, point in ipairs { "worker-lost", "worker-attach", "worker-adopted" } do
			local d <const> = start(nil, { env = { GADWALL_FAILPOINT = point .. ":kill" } })
			d:signal("KILL")
			d:wait_exit()
			local e <const> = next_keeper(d, { timeout = 30 })
				assert.equal("hello", echo(e), point)
			e:stop()
			d:destroy()
		end
	end)

	it("comes back with the others of its generation", function ()
		local d <const> = start("workers = 2")
		wait.until_true(function () return d:state().workers == "2" end, 10, "two workers")
		d:signal("KILL")
		d:wait_exit()
		local e <const> = next_keeper(d)
		e:wait_log("worker g1%.1 %(pid %d+%) has come back")
		e:wait_log("worker g1%.2 %(pid %d+%) has come back")
		assert.equal("2", e:state().workers)
		e:stop()
	end)

	it("is replaced when it died with the keeper, and the other one comes back", function ()
		local d <const> = start("workers = 2")
		wait.until_true(function () return d:state().workers == "2" end, 10, "two workers")
		local second <const> = tonumber((process.read_file(d.dir .. "/run/state")
			:match("\nworker 1 2 (%d+)")))
		d:signal("KILL")
		process.kill(second, "KILL")
		d:wait_exit()
		local e <const> = next_keeper(d)
		e:wait_log("worker g1%.1 %(pid %d+%) has come back")
		e:wait_log("worker g1%.2 is ready", 20)
		wait.until_true(function () return e:state().workers == "2" end, 10, "two workers")
		e:stop()
	end)

	it("loses no connect and no request while keepers and workers are killed", function ()
		local d <const> = start()
		local stop_file <const> = d.dir .. "/stop"
		local storm <const> = process.spawn { argv = { "lua5.4", "spec/support/accept_loop.lua",
			tostring(d.spec.ports[1]), stop_file, "1000000" }, stdout = d.dir .. "/storm" }
		local load <const> = process.spawn { argv = { daemon.binary(), "lua",
			"spec/support/keepalive_load.lua", tostring(d.spec.ports[2]), "16", "0.05", "120" },
			stdout = d.dir .. "/load", stderr = d.dir .. "/load.err" }
		wait.sleep(0.5)
		lose_keeper(d)
		wait.sleep(0.5)
		local e <const> = next_keeper(d)
		wait.sleep(0.5)
		e:signal("KILL")
		e:wait_exit()
		e.spec.exit = false
		local f <const> = next_keeper(d)
		wait.sleep(0.5)
		process.write_file(stop_file, "")
		storm:wait_exit(30)
		local answered <const>, bad <const> =
			process.read_file(d.dir .. "/storm"):match("^(%d+)%s+(.-)%s*$")
		assert.is_true(tonumber(answered) > 50, answered)
		assert.equal("0 0 0 0 0", (bad:gsub("%s+", " ")))
		f:signal("TERM")
		assert.equal(0, f:wait_exit(30))
		load:wait_exit(30)
		local done <const>, lost <const> = process.read_file(d.dir .. "/load"):match("(%d+)%s+(%d+)")
		assert.is_true(tonumber(done or 0) > 50, process.read_file(d.dir .. "/load.err"))
		assert.equal("0", lost)
		f:stop()
		assert.is_nil(stat.stat(d.dir .. "/run/gadwall.pid"))
	end)

	it("is not slowed by a keeper that is stopped", function ()
		local d <const> = start()
		d:signal("STOP")
		for _ = 1, 20 do
			assert.equal("hello", echo(d))
			wait.sleep(0.05)
		end
		d:signal("CONT")
		assert.equal(0, #d:log_lines("has died"))
		d.spec.exit = 0
		d:stop()
	end)
end)
