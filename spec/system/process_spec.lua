-- Child processes of modules (net.process): what they get, how they end, how that is told.
local children <const> = require "spec.support.children"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local pwd <const> = require "posix.pwd"
local shutdown <const> = require "spec.support.shutdown"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

-- The variables that a process was started with.
local function environment(pid)
	local list = {}
	for entry in (process.read_file(("/proc/%d/environ"):format(pid)) or ""):gmatch("[^%z]+") do
		list[#list + 1] = entry
	end
	table.sort(list)
	return list
end

local function numbers(fds)
	local list = {}
	for fd in pairs(fds) do list[#list + 1] = fd end
	table.sort(list)
	return list
end

-- Its descriptors once it has 0, 1 and 2 only; its loader opens libraries for a moment.
local function three_fds(pid)
	local fds
	wait.try(function ()
		fds = process.fds(pid)
		return #numbers(fds) == 3
	end, 5)
	assert.same({ 0, 1, 2 }, numbers(fds))
	return fds
end

local function status_of(pid, field)
	local text = process.read_file(("/proc/%d/status"):format(pid)) or ""
	return text:match("\n" .. field .. ":%s+(%S+)")
end

-- The process that a program of this name has become.
local function wait_program(root, name)
	return wait(function ()
		for _, info in ipairs(process.descendants(root)) do
			if info.name == name then return info end
		end
	end, 10, name)
end

describe("a child of net.process", function ()
	after_each(daemon.finish_all)

	it("has the descriptors 0, 1, 2, the named variables, default signals, its own group", function ()
		local d, control = children.start { env = { GADWALL_X = "1", LISTEN_X = "1", NOTIFY_X = "1" } }
		local pid = tonumber(control [[
			return P.spawn{ argv = { "sleep", "60" }, env = { A = "b", PATH = true } }.pid]])
		wait_program(d.keeper_pid, "sleep")
		local fds = three_fds(pid)
		for fd = 0, 2 do assert.equal("/dev/null", fds[fd]) end
		local env = environment(pid)
		assert.equal("A=b", env[1])
		assert.equal(2, #env)
		for _, field in ipairs { "SigBlk", "SigIgn", "SigCgt" } do
			assert.equal("0000000000000000", status_of(pid, field), field)
		end
		assert.equal(pid, process.stat(pid).group)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		assert.is_true(children.gone(pid))
	end)

	it("becomes the user that it is given, with the groups of that one and no way back", function ()
		if unistd.geteuid() ~= 0 then pending("needs root") return end
		local d, control = children.start()
		for _, other in ipairs { assert(pwd.getpwnam "nobody"), assert(pwd.getpwnam "daemon") } do
			local name, id, gid <const> = other.pw_name, other.pw_uid, other.pw_gid
			local pid = tonumber(control(
				('return P.spawn{ argv = { "sleep", "60" }, user = %q }.pid'):format(name)))
			wait(function ()
				return (process.read_file(("/proc/%d/comm"):format(pid)) or ""):find "sleep"
			end, 10, "the program")
			local status = process.read_file(("/proc/%d/status"):format(pid))
			assert.matches(("\nUid:\t%d\t%d\t%d\t%d\n"):format(id, id, id, id), status, 1, true)
			assert.matches(("\nGid:\t%d\t%d\t%d\t%d\n"):format(gid, gid, gid, gid), status, 1, true)
			assert.is_nil(status:match "\nGroups:[^\n]*%f[%d]0%f[%D]") -- none of root's
			assert.equal("0000000000000000", status_of(pid, "CapEff"))
			assert.equal("0000000000000000", status_of(pid, "CapPrm"))
		end
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
	end)

	it("of io.popen or os.execute sees no descriptor and no variable of the host's", function ()
		local d, control = children.start {
			env = { GADWALL_X = "1", LISTEN_FDS_X = "1", NOTIFY_X = "1", KEPT = "yes" } }
		local busy = shutdown.client(d)
		control 'all.popen = io.popen("exec sleep 61", "r") return 1'
		local popen = wait_program(d.keeper_pid, "sleep").pid
		control 'os.execute("exec sleep 62 &") return 1'
		local executed = wait(function ()
			for _, info in ipairs(process.descendants(d.keeper_pid)) do
				if info.name == "sleep" and info.pid ~= popen then return info.pid end
			end
		end, 10, "the second sleep")
		for _, pid in ipairs { popen, executed } do
			three_fds(pid)
			local kept = false
			for _, entry in ipairs(environment(pid)) do
				assert.is_nil(entry:match("^GADWALL_") or entry:match("^LISTEN_")
					or entry:match("^NOTIFY_") or entry:match("^WATCHDOG_"), entry)
				kept = kept or entry == "KEPT=yes"
			end
			assert.is_true(kept)
			process.kill(pid, "KILL")
		end
		control 'all.popen:close() all.popen = nil return 1'
		busy:close()
	end)

	it("that cannot be started is an error that names the program and the reason", function ()
		local _, control = children.start {}
		for line, words in pairs {
			['P.spawn{ argv = { "no-such-program" } }'] = "nil no-such-program: No such file or directory 2",
			['P.spawn{ argv = { "/etc/passwd" } }'] = "nil /etc/passwd: Permission denied 13",
			['P.spawn{ argv = { "/etc/passwd/x" } }'] = "nil /etc/passwd/x: Not a directory 20",
			['P.spawn{ argv = { "true" }, cwd = "/no/such" }'] =
				"nil true: chdir: No such file or directory 2",
			['P.spawn{ argv = { "true" }, stdout = "/no/such" }'] =
				"nil true: stdout: no such file or directory 2",
			['P.spawn{ argv = { "true" }, user = "no-such-user" }'] =
				"nil true: there is no user 'no-such-user' nil",
		} do
			assert.equal(words, control("return " .. line), line)
		end
		for line, words in pairs {
			["P.spawn{ argv = {} }"] = "argv is a list of strings",
			['P.spawn{ argv = { "true" }, env = { GADWALL_X = 1 } }'] = "variable 'GADWALL_X'",
			['P.spawn{ argv = { "true" }, env = { LISTEN_FDS = 1 } }'] = "may not have a variable",
			['P.spawn{ argv = { "true" }, stdin = "nothing" }'] = "stdin: nothing is neither",
		} do
			assert.truthy(control("return " .. line):find(words, 1, true), line)
		end
		assert.equal("0", control "return #P.list()")
	end)

	it("tells its end by promise, by callback and by the event, each once", function ()
		local d, control = children.start {}
		control [[all.told = {} local c = shell("exit 7", { onexit = function(c, how)
			table.insert(all.told, c.name .. how.exit) end })
			c:wait():next(function (how) table.insert(all.told, "waited " .. how.exit) end) return 1]]
		wait(function () return control 'return #all.told' == "2" end)
		assert.equal("child7,waited 7",
			control [[table.sort(all.told) return table.concat(all.told, ",")]])
		assert.truthy(d:wait_log("exited child of children: exit 7 signal nil"))
		control [[all.c = shell("exec sleep 60", { name = "killed" }) all.c:kill("KILL") return 1]]
		assert.truthy(d:wait_log("exited killed of children: exit nil signal 9"))
		assert.equal("nil ended", control 'return all.c:kill("TERM")')
		assert.equal(2, #d:log_lines("exited "))
	end)

	it("is spoken to through its pipes, and its last words come before its pipe's end", function ()
		local d, control = children.start {}
		control [[all.out = "" all.c = shell("cat; echo wrong >&2", { stdin = "pipe", stderr = "log",
			stdout = { onincoming = function (_, data) all.out = all.out .. data end,
				ondisconnect = function (_, why) all.out = all.out .. "(" .. why .. ")" end } })
			all.c.stdin:write(("x"):rep(300000)) all.c.stdin:write("\nend\n") all.c.stdin:close()
			return 1]]
		wait(function ()
			return control 'return all.out:sub(-8) == "(closed)"' == "true"
		end, 10, "the end")
		assert.equal("300013", control "return #all.out")
		assert.truthy(d:wait_log("wrong"))
		wait(function () return control "return #P.list()" == "0" end)
		-- One that does not read: what was written is given up when it goes, nobody is hurt.
		control [[all.c = shell("exec sleep 60", { stdin = "pipe" })
			all.c.stdin:write(("x"):rep(300000))
			all.c.stdin.ondisconnect = function (_, why) all.gone = why end
			all.c:kill("KILL") return 1]]
		wait(function () return control "return all.gone" ~= "nil" end, 10, "the closed pipe")
	end)

	it("that closes its streams and goes on is still managed", function ()
		local d, control = children.start {}
		control [[all.c = shell("exec <&- >&- 2>&-; exec sleep 60", { stdout = {
			ondisconnect = function () all.closed = true end } }) return 1]]
		wait(function () return control "return all.closed" == "true" end, 10, "the closed stream")
		local pid = tonumber(control "return all.c.pid")
		wait(function () return next((process.fds(pid))) == nil end, 5, "no descriptor") -- nor of ld.so
		d:signal("TERM")
		assert.equal(0, d:wait_exit(20))
		assert.is_true(children.gone(pid))
	end)

	it("goes when its module is unloaded", function ()
		local d, control = children.start {}
		local pid = children.shell(d, control, "UP; exec sleep 60")
		control 'require "core.modulemanager".unload("*", "children") return 1'
		assert.is_true(children.gone(pid))
		local look = shutdown.control(d)
		wait(function () return look 'return #require "net.process".list()' == "0" end)
	end)

	it("costs nothing once it has ended: 100 at once, three times", function ()
		local d, control = children.start {}
		local function round()
			children.many(control, 100, 'shell("cat >/dev/null; exit 0", '
				.. '{ stdin = "pipe", stdout = "pipe", name = "many" })')
			control "for _, c in ipairs(P.list()) do c.stdin:close() end return 1"
			wait(function () return control "return #P.list()" == "0" end, 30, "the end of 100")
			control "collectgarbage() collectgarbage() return 1"
		end
		round()
		local worker, keeper = d:worker_pid(), d.keeper_pid
		local _, before = process.fds(worker)
		local _, kept = process.fds(keeper)
		local handles = control 'return #require "net.server".handles()'
		round()
		round()
		wait(function ()
			local _, now = process.fds(worker)
			local _, now_kept = process.fds(keeper)
			return now == before and now_kept == kept
		end, 10, "as many descriptors as before")
		assert.equal(handles, control 'return #require "net.server".handles()')
	end)
end)
