-- The keeper killed with -9 at each state of an upgrade: one generation is the service, no connect
-- is refused, the next keeper takes over, and its upgrade works.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local has_failpoints <const> =
	(process.run { argv = { daemon.binary(), "--list-failpoints" } }) == 0

local config <const> = [[
	modules_enabled = { "echo", "admin_shell", "lameduck", "graceful_shutdown" }
	echo_ports = { %d }; interfaces = { "127.0.0.1" }
	lameduck_period = 0.1; upgrade_probation = 0.2
]]

local function echo(port)
	local c <close> = assert(client.tcp("127.0.0.1", port, 20))
	assert(c:send("hello\n"))
	assert.equal("hello", c:line())
end

-- Workers that live, by the newest state file.
local function living(d)
	local list = {}
	for pid in (process.read_file(d.dir .. "/run/state") or ""):gmatch("\nworker %d+ %d+ (%d+)") do
		if process.alive(tonumber(pid)) then list[#list + 1] = tonumber(pid) end
	end
	return list
end

local function check(point)
	local port <const> = client.free_port()
	local d <const> = daemon.start { fds = false, exit = false, config = config:format(port),
		env = { GADWALL_FAILPOINT = point .. ":kill" } }
	d:signal("USR2")
	assert.equal(137, d:wait_exit(20), point)
	echo(port)
	local e <const> = daemon.start { dir = d.dir, config_file = d.config_file, log = "next",
		fds = false, timeout = 30 }
	echo(port)
	wait.until_true(function () return e:state().workers == "1" and #living(e) == 1 end, 30,
		point .. ": one worker is left")
	echo(port)
	local code, out, err = e:run("upgrade")
	assert.equal(0, code, point .. ": " .. out .. err)
	echo(port)
	e:stop()
	d:destroy()
end

describe("a keeper that is killed in an upgrade", function ()
	after_each(daemon.finish_all)

	for _, name in ipairs { "check", "upgrade-spawn", "load", "upgrade-ready", "commit", "yield",
		"take", "record", "activate", "probation", "retire" } do
		it("at " .. name .. " is followed by one that serves and upgrades", function ()
			if not has_failpoints then pending("no failpoints in this build") return end
			check("keeper-" .. name)
		end)
	end
end)
