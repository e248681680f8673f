-- gadwall run: what it owns, what it refuses, how it ends.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local echo <const> = [[ modules_enabled = { "greet" }; greet_ports = { 0 };
	greet_interface = "127.0.0.1" ]]
-- A service of a few lines, so that these specs need no module of anybody.
local greet <const> = [[
	module:provides("net", { name = "greet", listener = {
		onconnect = function (conn) conn:write("hello from " .. prosody.generation .. "\n") end,
		onincoming = function (conn, data) conn:write(data) end,
	} })
]]
local SIGRTMIN_1 <const> = 35

local function sockets_of(pid)
	local set = {}
	for _, target in pairs((process.fds(pid))) do
		if target:find("^socket:") then set[target] = true end
	end
	return set
end

-- Inode of the socket that listens on a port, as /proc/net/tcp has it.
local function listener_inode(port)
	for line in io.lines("/proc/net/tcp") do
		local hex, inode = line:match("^%s*%d+: %x+:(%x+) %x+:%x+ 0A .- %x+%s+%d+%s+%d+ (%d+)")
		if hex and tonumber(hex, 16) == port then return ("socket:[%s]"):format(inode) end
	end
end

local function greet_port(d)
	local line = d:wait_log("greet.-127%.0%.0%.1%]?:%d+")
	return tonumber(line:match("127%.0%.0%.1%]?:(%d+)"))
end

local function start(spec)
	spec = spec or {}
	spec.modules = { greet = greet }
	spec.config = echo .. (spec.more or "")
	return daemon.start(spec)
end

describe("gadwall run", function ()
	after_each(daemon.finish_all)

	it("serves, and ends with status 0 on SIGTERM", function ()
		local d = start()
		local c = assert(client.tcp("127.0.0.1", greet_port(d)))
		assert.equal("hello from 1", c:line())
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
		assert.equal("stopped", d:state().state)
	end)

	it("owns every listener beside its worker", function ()
		local d = start()
		local inode = listener_inode(greet_port(d))
		assert.is_string(inode)
		assert.is_true(sockets_of(d.keeper_pid)[inode])
		assert.is_true(sockets_of(d:worker_pid())[inode])
	end)

	it("shows its role in the process list", function ()
		local d = start()
		local title = process.read_file(("/proc/%d/cmdline"):format(d.keeper_pid)):gsub("%z+$", "")
		assert.equal("gadwall: keeper", title)
		title = process.read_file(("/proc/%d/cmdline"):format(d:worker_pid())):gsub("%z+$", "")
		assert.equal("gadwall: worker g1.1", title)
	end)

	it("shares its listeners with a second generation", function ()
		local d = start { fds = false }
		local port = greet_port(d)
		d:signal(SIGRTMIN_1)
		d:wait_log("worker g2%.1 is ready")
		local seen = {}
		wait.until_true(function ()
			local c = assert(client.tcp("127.0.0.1", port))
			seen[c:line():match("%d+")] = true
			c:close()
			return seen["1"] and seen["2"]
		end, 10, "both generations accept")
		local inode = listener_inode(port)
		local holders = 0
		for _, info in ipairs(d:children()) do
			if sockets_of(info.pid)[inode] then holders = holders + 1 end
		end
		assert.equal(2, holders)
	end)

	it("refuses a second run on the same folder, with the pid and 69", function ()
		local d = start()
		local code, out, err = process.run { argv = { daemon.binary(), "run", "-c", d.config_file } }
		assert.equal(69, code)
		assert.matches("already running with pid " .. d.keeper_pid, out .. err)
		assert.equal("serving", d:state().state)
	end)

	it("ends with the worker's status when the first start cannot bind", function ()
		local d = start()
		local e = daemon.start { modules = { greet = greet }, expect_exit = true, config = ([[
			modules_enabled = { "greet" }; greet_ports = { %d }; greet_interface = "127.0.0.1"
		]]):format(greet_port(d)) }
		assert.equal(69, e:wait_exit())
	end)

	it("ends with 78 and every fault when the config is bad", function ()
		local d = daemon.start { raw = true, config = "x = = 1", expect_exit = true }
		assert.equal(78, d:wait_exit())
		assert.matches("gadwall%.cfg%.lua:1", d:log())
	end)

	it("starts beside a lock and a PID file that a dead keeper left", function ()
		local d = start { exit = false, more = "; orphan_timeout = 0.2" }
		local worker = d:worker_pid()
		d:signal("KILL")
		d:wait_exit()
		wait.until_true(function () return not process.alive(worker) end, 10, "the orphan's end")
		local again = start { dir = d.dir }
		assert.equal(tostring(again.keeper_pid), again:state().pid)
		again:stop()
		assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
	end)

	it("starts with standard input, output and error closed", function ()
		local d = start { ready = false, wrap = { "sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh" } }
		wait.until_true(function () return d:state().state == "serving" end, 10, "serving")
		local fds = process.fds(d.keeper_pid)
		for number = 0, 2 do assert.equal("/dev/null", fds[number]) end
	end)

	it("with --detach returns 0 when it is ready", function ()
		local d = start { ready = false, args = { "--detach" } }
		assert.equal(0, d:wait_exit())
		assert.equal("serving", d:state().state)
		d:wait_log("worker +info") -- both outputs are a file here: the workers' lines went nowhere
		local pid = assert(tonumber(d:state().pid))
		process.kill(pid, "TERM")
		wait.until_true(function () return not process.alive(pid) end, 10, "the keeper's end")
	end)

	it("with --detach returns the status and the reason of a start that failed", function ()
		local d = daemon.start { raw = true, config = "x = = 1", args = { "--detach" },
			expect_exit = true }
		assert.equal(78, d:wait_exit())
		assert.matches("gadwall%.cfg%.lua:1", d:log())
	end)

	it("abandons the start and ends with 0 when it is told to stop before it is ready", function ()
		local d = daemon.start { ready = "starting", modules = { slow = [[
			module:hook_global("server-starting", function (event) event:hold("a slow start", 30) end)
		]] }, config = 'modules_enabled = { "slow" }' }
		d:wait_log("worker g1.1 started")
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
	end)

	it("gives up when a start takes longer than start_timeout", function ()
		local d = daemon.start { expect_exit = true, allow = { "stack traceback" }, modules = {
			stuck = "local t = os.time() while os.time() < t + 20 do end" },
			config = 'modules_enabled = { "stuck" }; start_timeout = 0.5' }
		assert.equal(70, d:wait_exit())
		assert.matches("not ready for 0%.5 s", d:log())
	end)
end)
