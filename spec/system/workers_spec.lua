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

local function start(more, modules)
	modules = modules or {}
	modules.hearer = listener
	return daemon.start { fds = false, modules = modules, allow = { "too many deaths" },
		config = ([[
		workers = 2
		modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown", "hearer", %s }
		echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
	]]):format(modules.killer and '"killer"' or "") .. (more or "") }
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

	it("shows both in status, with what only they themselves can know", function ()
		local d <const> = start()
		local list
		wait.until_true(function () -- who does not answer at once is not waited for
			list = both(d, "serving")
			return list[1].rss_bytes ~= json.null and list[2].rss_bytes ~= json.null
		end, 5, "both to tell of themselves")
		for _, worker in ipairs(list) do
			assert.is_true(worker.lua_bytes ~= json.null)
			assert.is_true(process.alive(worker.pid))
		end
		d:stop()
	end)

	it("knows at once what the second does, not with its next beat", function ()
		local d <const> = start "worker_heartbeat = 60; worker_timeout = 300"
		both(d, "serving")
		for _ = 1, 3 do
			assert.equal(0, (d:run "drain"))
			both(d, "draining")
			assert.equal(0, (d:run "undrain"))
			both(d, "serving")
			wait.until_true(function ()
				local seen <const> = process.read_file(d.dir .. "/run/state") or ""
				return seen:find("\nworker 1 1 %d+ %d+ serving") and
					seen:find("\nworker 1 2 %d+ %d+ serving")
			end, 5, "both to serve in the state file")
		end
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

	it("shows a second one that cannot live, and serves on without it", function ()
		local d <const> = start("restart_backoff = { 0.05, 60 }\n", { killer = [[
			module:set_global()
			if prosody.worker == 2 then
				module:add_timer(0, function ()
					if not io.open(prosody.paths.config .. "/deadly") then return 0.02 end
					require "posix.signal".kill(require "posix.unistd".getpid(), 9)
				end)
			end
		]] })
		both(d, "serving")
		assert.equal(0, (d:run "status"))
		io.open(d.dir .. "/deadly", "w"):close()
		local second
		wait.until_true(function ()
			second = status(d).generations[1].workers[2]
			-- dead, or dying once more: never one that serves and has no process
			assert.is_false(second.pid == json.null and second.state == "serving")
			return second.state == "failed"
		end, 20, "the second worker to have failed")
		assert.equal(json.null, second.pid)
		local code, out = d:run "status"
		assert.equal(5, code)
		assert.matches("worker 1%.2   pid %-   failed", out)
		local c <const> = d:connect(d:port "echo")
		c:send "still here\n"
		assert.equal("still here", c:line())
		os.remove(d.dir .. "/deadly")
		assert.equal(0, (d:run "reload"))
		both(d, "serving")
		assert.equal(0, (d:run "status"))
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
		assert.equal(1, #d:log_lines("shutdown report: "))
		d:stop()
	end)
end)

-- Answers "tell TEXT" with an event in every worker, "flood N" with N of 1 KiB, "bad", "large".
local teller <const> = [[
	module:set_global()
	module:hook("told", function (event)
		if event.text ~= "flood" then
			module:log("info", "worker %d heard %s of %d, second %s", prosody.worker, event.text,
				event.from, tostring(event.list[2]))
		end
		return event.text
	end)
	local function tell(text, filler)
		return module:fire_event_all("told", { text = text, from = prosody.worker,
			list = { 1, 2.5 }, filler = filler })
	end
	local say = {}
	function say.tell(text) return tell(text) end
	function say.flood(count)
		for _ = 1, tonumber(count) do tell("flood", ("x"):rep(1024)) end
		return "flooded"
	end
	function say.bad()
		return select(2, pcall(tell, "bad", print)):match("not plain: .*")
	end
	function say.large() return select(2, tell("large", ("x"):rep(70000))) end
	module:provides("net", { name = "teller", default_port = 0, listener = {
		onincoming = function (conn, data)
			local word, arg = data:match("^(%l+) ?(%w*)")
			conn:write(tostring(say[word](arg)) .. "\n")
		end,
	} })
]]

local function start_teller(workers, allow)
	return daemon.start { fds = false, modules = { teller = teller }, allow = allow, config = ([[
		workers = %d
		modules_enabled = { "admin_shell", "teller" }; teller_interfaces = { "127.0.0.1" }
	]]):format(workers) }
end

local function ask(c, text)
	c:send(text .. "\n")
	return c:line()
end

describe("module:fire_event_all", function ()
	after_each(daemon.finish_all)

	it("fires once in every worker, the own included, and returns what the own returns", function ()
		local d <const> = start_teller(3)
		wait.until_true(function () return #status(d).generations[1].workers == 3 end, 10)
		local c <const> = d:connect(d:port "teller")
		for round = 1, 5 do
			assert.equal("round" .. round, ask(c, "tell round" .. round))
		end
		for worker = 1, 3 do
			d:wait_log(("worker %d heard round5 of %%d, second 2.5"):format(worker))
		end
		assert.equal(15, #d:log_lines "heard round")
		assert.equal('not plain: Can\'t serialize function', ask(c, "bad"))
		assert.matches("70%d%d%d bytes; at most 65280", ask(c, "large"))
		assert.equal(0, #d:log_lines "heard bad" + #d:log_lines "heard large")
		d:stop()
	end)

	it("drops what a stopped worker does not read, says so, and holds nobody up", function ()
		local d <const> = start_teller(2, { "does not read", "A callback took" })
		local list <const> = both(d, "serving")
		process.kill(list[2].pid, "STOP")
		local c
		repeat -- the stopped one may be given connections too; those wait
			c = d:connect(d:port "teller")
			c:send "tell begin\n"
		until c:line(2) == "begin"
		assert.equal("flooded", ask(c, "flood 500"))
		d:wait_log "worker 2 does not read: %d+ message%(s%) to it dropped"
		assert.is_true(#d:log_lines "does not read" <= 5)
		process.kill(list[2].pid, "CONT")
		assert.equal("after", ask(c, "tell after"))
		wait.until_true(function ()
			return ask(c, "tell again") == "again" and #d:log_lines "worker 2 heard again" > 0
		end, 10, "the second worker hears again")
		d:stop()
	end)

	it("reaches a worker that was restarted", function ()
		local d <const> = start_teller(2)
		process.kill(both(d, "serving")[2].pid, "KILL")
		local c
		wait.until_true(function ()
			c = d:connect(d:port "teller")
			return ask(c, "tell back") and #d:log_lines "worker 2 heard back" > 0
		end, 10, "the new second worker hears")
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
