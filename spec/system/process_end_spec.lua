-- Child processes at the end of the host, of its worker, and beyond both.
local children <const> = require "spec.support.children"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local deaf <const> = "trap '' TERM; UP; while :; do sleep 0.1; done"

-- How the stop looked upon a child; nil if it held nothing.
local function holder(d, name)
	for _, found in ipairs(shutdown.report(d).holders) do
		if found.hold:find("child " .. name, 1, true) then return found end
	end
end

local function registered(d, name)
	return process.read_file(d.dir .. "/run/children/" .. name) ~= nil
end

describe("the end of the host", function ()
	after_each(daemon.finish_all)

	it("gives a child SIGTERM, reads its last words and is clean", function ()
		local d, control = children.start {}
		local pid = children.shell(d, control,
			"trap 'echo farewell; exit 0' TERM; UP; while :; do sleep 0.05; done",
			'{ name = "polite", stdout = "log" }')
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		assert.truthy(d:wait_log("farewell"))
		assert.truthy(d:wait_log("exited polite of children: exit 0"))
		assert.is_true(children.gone(pid))
		assert.equal("clean", shutdown.report(d).result)
	end)

	it("kills a child that ignores SIGTERM after process_kill_timeout, and names it", function ()
		local d, control = children.start { exit = 75, config = "process_kill_timeout = 0.3" }
		local pid = children.shell(d, control, deaf, '{ name = "deaf" }')
		d:signal("TERM")
		assert.equal(75, d:wait_exit(20))
		assert.is_true(children.gone(pid))
		local found = holder(d, "deaf")
		assert.equal("children", found.module)
		assert.equal("stop-services", found.phase)
		assert.truthy(found.hold:find("pid " .. pid, 1, true))
		assert.truthy(d:wait_log("is left 0.3 s after SIGTERM: SIGKILL"))
		assert.equal("expired", shutdown.report(d).result)
	end)

	it("leaves no grandchild, whether it goes by itself or not", function ()
		local d, control = children.start { exit = 75, config = "process_kill_timeout = 1" }
		local slow = children.shell(d, control,
			"(trap 'sleep 0.3; exit 0' TERM; UP; while :; do sleep 0.05; done) & exec sleep 60")
		local stubborn = children.shell(d, control,
			"(trap '' TERM; UP; while :; do sleep 0.05; done) & exec sleep 60", '{ name = "b" }')
		local groups = { [slow] = true, [stubborn] = true }
		local grand = {}
		for _, info in ipairs(process.descendants(d.keeper_pid)) do
			if groups[info.group] then grand[#grand + 1] = info.pid end
		end
		assert.is_true(#grand >= 4)
		d:signal("TERM")
		assert.equal(75, d:wait_exit(20))
		for _, pid in ipairs(grand) do assert.is_true(children.gone(pid)) end
		assert.is_nil(holder(d, "child,"))
		assert.truthy(holder(d, "b,"))
	end)

	it("ends 100 children at once", function ()
		local d, control = children.start {}
		children.many(control, 100, 'shell("exec sleep 60")')
		d:signal("TERM")
		assert.equal(0, d:wait_exit(30))
		assert.equal(100, #d:log_lines("exited child of children: exit nil signal 15"))
	end)

	it("waits for none of them when it is hurried", function ()
		local d, control = children.start { exit = 75 }
		local pid = children.shell(d, control, deaf, '{ name = "deaf" }')
		control "lifecycle.stop(nil, nil, { now = true }) return 1"
		assert.equal(75, d:wait_exit(20))
		assert.is_true(children.gone(pid))
		assert.equal("deaf", holder(d, "deaf").hold:match("child (%a+)"))
	end)

	it("in a plain order without a driver, or left by os.exit, leaves none either", function ()
		local d, control = children.start { enable = {} }
		local pid = children.shell(d, control, "UP; exec sleep 60")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		assert.is_true(children.gone(pid))
		d, control = children.start {}
		pid = children.shell(d, control, deaf)
		pcall(control, 'require "util.timer".add_task(0, function () os.exit(0) end) return 1')
		assert.equal(0, d:wait_exit(20))
		assert.is_true(children.gone(pid))
	end)

	it("by the hammer leaves none, not even a grandchild", function ()
		local d, control = children.start { exit = 75, allow = { "hammer" },
			config = "process_kill_timeout = 30" }
		local pid = children.shell(d, control, "(" .. deaf .. ") & trap '' TERM; sleep 60; sleep 60",
			'{ survive = true }')
		local family = {}
		for _, info in ipairs(process.descendants(d.keeper_pid)) do
			if info.group == pid then family[#family + 1] = info.pid end
		end
		assert.is_true(#family >= 2)
		pcall(control, "lifecycle.hammer() return 1")
		assert.equal(75, d:wait_exit(20))
		for _, one in ipairs(family) do assert.is_true(children.gone(one)) end
	end)
end)

describe("a worker that is killed", function ()
	after_each(daemon.finish_all)

	it("leaves no child: SIGTERM by the keeper, and SIGKILL for what ignores it", function ()
		local d, control = children.start { config = "process_kill_timeout = 0.5" }
		local polite = children.shell(d, control, "UP; exec sleep 60")
		local grand = children.shell(d, control, "(" .. deaf .. ") & exec sleep 60")
		local stubborn = children.shell(d, control, deaf)
		local family = {}
		for _, info in ipairs(process.descendants(d.keeper_pid)) do
			if info.group == polite or info.group == grand or info.group == stubborn then
				family[#family + 1] = info.pid
			end
		end
		process.kill(d:worker_pid(), "KILL")
		for _, pid in ipairs(family) do assert.is_true(children.gone(pid)) end
		d:wait_log("a child of worker g1.1 is left: SIGTERM, in 0.5 s SIGKILL")
		wait(function () return d:state().workers == "1" end)
	end)

	it("leaves those that survive to the next one, which adopts them by name", function ()
		local d, control = children.start {}
		local pid = children.shell(d, control, "UP; exec sleep 60", '{ survive = true, name = "kept" }')
		assert.is_true(registered(d, "kept"))
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("a child of worker g1.1 lives on without it")
		wait(function () return #d:log_lines("is ready after") == 2 end, 15, "the next worker")
		wait(function () return #d:log_lines("Activated service 'remote'") == 2 end)
		local port
		for found in d:log():gmatch("Activated service 'remote' on %S+]:(%d+)") do port = found end
		local c = d:connect(math.tointeger(tonumber(port)))
		c:send('local P = require "net.process" local c, why = P.adopt("kept") '
			.. 'return c and c.pid or why, P.adopt("kept") == c, P.adopt("nobody")\n')
		assert.equal(pid .. " true nil not-running", c:line())
		assert.is_true(process.alive(pid))
		-- Its end is heard of, though nobody can say how it was.
		process.kill(pid, "KILL")
		d:wait_log("exited kept of remote: exit nil signal nil")
		assert.is_false(registered(d, "kept"))
	end)
end)

describe("a keeper that takes workers over", function ()
	after_each(daemon.finish_all)

	it("ends the children of one that is killed, also those started without a keeper", function ()
		local d, control = children.start { fds = false, exit = false }
		local one = children.shell(d, control, "UP; exec sleep 60")
		local worker = d:worker_pid()
		d:signal("KILL")
		d:wait_exit()
		d:wait_log "has died: this worker serves on"
		local two = children.shell(d, control, "UP; exec sleep 60")
		local e = daemon.start { dir = d.dir, config_file = d.config_file, log = "next", fds = false,
			allow = { "A callback took" }, timeout = 30 }
		local three = children.shell(e, control, "UP; exec sleep 60")
		process.kill(worker, "KILL")
		for _, pid in ipairs { one, two, three } do assert.is_true(children.gone(pid)) end
		wait(function () return #e:log_lines "a child of worker g1.1 is left: SIGTERM" == 3 end, 20)
		e:stop()
		d:destroy()
	end)
end)

describe("finish", function ()
	after_each(daemon.finish_all)

	it("ends what does not survive and lets live what does, for the next host to adopt", function ()
		local d, control = children.start {}
		local gone = children.shell(d, control, "UP; exec sleep 60")
		local kept = children.shell(d, control, "UP; exec sleep 300",
			('{ survive = true, name = "kept", stdout = %q }'):format(d.dir .. "/out"))
		local started = process.stat(kept).started
		control "return lifecycle.finish()"
		assert.equal(0, d:wait_exit(20))
		assert.is_true(children.gone(gone))
		assert.is_true(process.alive(kept, started))
		assert.is_true(registered(d, "kept"))

		local next_host, control_next = children.start {}
		assert.equal("nil not-running", control_next 'return P.adopt("kept")')
		assert.equal(tostring(kept), control_next(
			('all.kept = P.adopt("kept", %q) return all.kept.pid'):format(d.dir .. "/run")))
		assert.is_true(registered(next_host, "kept"))
		next_host:signal("TERM")
		assert.equal(0, next_host:wait_exit(20))
		assert.is_true(children.gone(kept))
		assert.is_false(registered(next_host, "kept"))
	end)

	it("never takes another process of that number for it", function ()
		local d, control = children.start { fds = false }
		local pid = children.shell(d, control, "UP; exec sleep 60")
		process.spawn({ argv = { "mkdir", "-p", d.dir .. "/run/children" } }):wait_exit(10)
		local boot = process.read_file("/proc/sys/kernel/random/boot_id"):match("%S+")
		for name, text in pairs {
			other = ("%d 1 %s\n"):format(pid, boot), rebooted = ("%d %s %s\n"):format(pid,
				process.stat(pid).started, "another-boot"), torn = tostring(pid), empty = "",
		} do
			process.write_file(d.dir .. "/run/children/" .. name, text)
			assert.equal("nil not-running", control(("return P.adopt(%q)"):format(name)), name)
		end
	end)

	it("refuses a survivor whose streams end with this host, or whose name is taken", function ()
		local d, control = children.start { fds = false }
		for option, stream in pairs { ['stdin = "pipe"'] = "stdin", ['stdout = "log"'] = "stdout",
			['stderr = {}'] = "stderr" } do
			local said = control(("return shell('exit', { survive = true, %s })"):format(option))
			assert.truthy(said:find(stream .. " ends with this host", 1, true), said)
		end
		children.shell(d, control, "UP; exec sleep 60", '{ survive = true, name = "one" }')
		local said = control "return shell('exit', { survive = true, name = 'one' })"
		assert.truthy(said:find("a child of this name lives, pid %d+: adopt it"), said)
	end)
end)
