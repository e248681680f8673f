local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local top <const> = { "schema", "name", "version", "pid", "state", "phase", "since", "ready",
	"live", "reason", "uptime", "generation", "server_id", "generations", "stop", "upgrade",
	"services",
	"in_flight", "peers", "modules", "limits", "probes", "config" }

local null <const> = {}

local function status(d)
	local code, out = d:run("status", "--json")
	return json.decode(out, 1, null), code
end

local function has_all(object, names)
	for _, name in ipairs(names) do
		assert.is_not_nil(object[name], name)
	end
end

describe("status --json", function()
	after_each(daemon.finish_all)

	it("has every field, null where nothing is known", function()
		local d <const> = daemon.start { config = config }
		local o, code = status(d)
		assert.equal(0, code)
		has_all(o, top)
		assert.equal(1, o.schema)
		assert.equal("serving", o.state)
		assert.equal(null, o.stop)
		has_all(o.upgrade, { "state", "number", "from", "target", "left", "last" })
		assert.equal(null, o.upgrade.state)
		assert.equal(null, o.upgrade.last)
		local worker <const> = o.generations[1].workers[1]
		has_all(worker, { "worker", "pid", "state", "restarts", "heartbeat_age", "lua_bytes",
			"rss_bytes", "loop_lag_p99" })
		assert.equal("1.1", worker.worker)
		assert.equal(d:worker_pid(), worker.pid)
		assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*[Z+-]", o.since)
		assert.equal(d.config_file, o.config.file)
		d:stop()
	end)

	it("does not say of another generation what it cannot know", function ()
		local d <const> = daemon.start { fds = false, config = config .. "upgrade_probation = 0.1\n" }
		local c <const> = d:connect(d:port "echo")
		assert.equal(0, (d:run "upgrade"))
		local old, new = table.unpack(status(d).generations)
		if old.generation == 2 then old, new = new, old end
		-- It had the program of the generation that answers, whatever ran.
		assert.same({ 1, null, null }, { old.generation, old.binary, old.version })
		assert.same({ 2, daemon.binary(), "string" }, { new.generation, new.binary, type(new.version) })
		c:close()
		d:stop()
	end)

	it("counts what is open, accepted and in flight", function()
		local d <const> = daemon.start { config = config }
		local c <const> = d:connect(d:port "echo")
		c:send "x\n"
		c:line()
		local o <const> = status(d)
		local echo
		for _, service in ipairs(o.services) do
			echo = service.service == "echo" and service or echo
		end
		assert.equal("client", echo.class)
		assert.equal(1, echo.connections)
		assert.equal(1, echo.accepted)
		assert.equal("127.0.0.1", echo.listeners[1].address)
		assert.equal(1, o.in_flight.total)
		assert.equal(1, o.in_flight.by_module.echo)
		d:stop()
	end)

	it("exits 5 when a module is in error, and names it", function()
		local d <const> = daemon.start { config = config .. [[
			modules_enabled = { "admin_shell", "echo", "sick" }]], allow = { "sick" },
			modules = { sick = [[module:log_status("error", "not well")]] } }
		local code, out = d:run "status"
		assert.equal(5, code)
		assert.matches("error: module sick: not well", out)
		d:stop()
	end)

	it("shows the phases of a stop with their budgets", function()
		local d <const> = daemon.start { config = config }
		local c <const> = d:connect(d:port "echo")
		c:send "x\n"
		c:line()
		d:run("stop", "--no-wait")
		local o, code = status(d)
		assert.equal(5, code)
		assert.equal("stopping", o.state)
		assert.equal("lame-duck", o.phase)
		assert.is_false(o.ready)
		has_all(o.stop, { "deadline", "left", "budget", "evict", "hammer_left", "phases", "holders" })
		assert.equal("lame-duck", o.stop.phases[1].phase)
		assert.equal(5, #o.stop.phases)
		local _, text = d:run "status"
		assert.matches("stop: %d+%.%d s of 25 s left", text)
		assert.equal(0, d:wait_exit(8))
		d:stop()
	end)

	it("prints one object a line with --watch --json-lines", function()
		local d <const> = daemon.start { config = config }
		local watching <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d:socket_path(), "status", "--watch",
				"--json-lines", "--interval", "0.05" }, stdout = d.dir .. "/out", }
		require "spec.support.wait".until_true(function()
			local _, lines = (process.read_file(d.dir .. "/out") or ""):gsub("\n", "")
			return lines >= 3
		end, 5, "three lines")
		watching:destroy()
		for line in process.read_file(d.dir .. "/out"):gmatch "([^\n]*)\n" do
			assert.equal("serving", json.decode(line).state)
		end
		d:stop()
	end)
end)
