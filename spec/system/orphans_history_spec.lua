-- What a keeper knows of its upgrades outlives it: number, outcome, counts, and the binary and
-- config that a rollback runs. Before, the next keeper counted from 1 and knew no previous binary.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "echo", "admin_shell", "lameduck", "graceful_shutdown" }
	echo_ports = { %d }; interfaces = { "127.0.0.1" }
	lameduck_period = 0.1; upgrade_probation = %s
]]

local function start(spec)
	spec = spec or {}
	spec.config = config:format(client.free_port(), spec.probation or "0")
	spec.fds, spec.exit = false, false
	return daemon.start(spec)
end

-- Kills the keeper; the next one, which has the worker back.
local function next_keeper(d, log)
	if not d.exit_status then
		d:signal "KILL"
		d:wait_exit()
	end
	return daemon.start { dir = d.dir, config_file = d.config_file, log = log or "next",
		fds = false, exit = false, timeout = 60, allow = { "A callback took", "stack traceback" } }
end

local function up(d, want)
	local code, out, err = d:run "upgrade"
	assert.equal(want or 0, code, out .. err .. d:log())
end

-- By the state file: one that was taken over is no child of this keeper.
local function worker(d)
	local text <const> = process.read_file(d.dir .. "/run/state") or ""
	local youngest, found = 0, nil
	for generation, pid in text:gmatch("\nworker (%d+) %d+ (%d+)") do
		if tonumber(generation) > youngest then
			youngest, found = tonumber(generation), tonumber(pid)
		end
	end
	return found
end

local function worker_exe(d)
	return select(2, process.run { argv = { "readlink", ("/proc/%d/exe"):format(worker(d)) } })
end

describe("the keeper after one that was killed", function ()
	after_each(daemon.finish_all)

	it("goes on counting upgrades and generations, and knows the last outcome", function ()
		local d <const> = start()
		up(d)
		d:write_config("this is no Lua")
		up(d, 1)
		d:write_config(d.spec.config)
		local before <const> = d:status().upgrade.last
		assert.equal(2, before.number)
		local e <const> = next_keeper(d)
		assert.same(before, e:status().upgrade.last)
		local shown <const> = table.concat((e:console "upgrade"), "\n")
		e:wait_log "upgrade 3: committed"
		assert.matches("OK", shown)
		assert.equal(3, e:status().generation)
		assert.equal(3, e:status().upgrade.last.number)
		e:stop()
		d:destroy()
	end)

	it("rolls back to the binary and the config that the one before knew", function ()
		local folder <const> = process.temp_dir()
		local other <const> = daemon.relocated(folder)
		local d <const> = start()
		d:write_config(d.spec.config .. ("\nupgrade_binary = %q"):format(other))
		d:signal "HUP"
		d:wait_log "the new config goes to the workers"
		up(d)
		assert.matches(other:gsub("%p", "%%%0"), worker_exe(d))
		wait.until_true(function () -- a slow build's trial may not end in time
			return #d:log_lines "the keeper runs " + #d:log_lines "the keeper stays " == 1
		end, 40, "the keeper's own change")
		local e <const> = next_keeper(d)
		-- not even a restart of the worker in between loses it
		process.kill(worker(e), "KILL")
		wait.until_true(function () return e:state().restarts == "1" end, 20)
		wait.until_true(function () return e:status().ready == true end, 20)
		local f <const> = next_keeper(e, "third")
		local code, out, err = f:run "rollback"
		assert.equal(0, code, out .. err .. f:log())
		assert.matches(daemon.binary():gsub("%p", "%%%0"), worker_exe(f))
		f:stop()
		d:destroy()
		process.remove_tree(folder)
	end)

	it("says of the upgrade in which it died how it ended, and can undo it", function ()
		if not upgrade.has_failpoints() then
			pending("no failpoints in this build")
			return
		end
		for point, want in pairs {
			-- the state file is written at the end of a turn: it may name the state before
			["keeper-load"] = { "failed", "spawn", 1 },
			["keeper-probation"] = { "committed", "commit", 2 },
		} do
			local d <const> = start { env = { GADWALL_FAILPOINT = point .. ":kill" },
				probation = "1" }
			d:signal "USR2"
			assert.equal(137, d:wait_exit(20), point)
			local e <const> = next_keeper(d)
			e:wait_log(("upgrade 1: %s in %s: the keeper died; generation %d"):format(want[1], want[2],
				want[3]), 20)
			local last <const> = e:status().upgrade.last
			assert.equal(want[1], last.outcome)
			assert.equal(want[2], last.state)
			assert.equal(1, last.number)
			local ok, text = upgrade.ask(e, "rollback")
			if want[1] == "committed" then
				assert.is_true(ok, text .. e:log())
			else
				assert.matches("no previous binary is known", text)
			end
			e:stop()
			d:destroy()
		end
	end)

	it("shows the outcome also when the whole host has ended in between", function ()
		local d <const> = start()
		up(d)
		local before <const> = d:status().upgrade.last
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		local e <const> = next_keeper(d)
		assert.same(before, e:status().upgrade.last)
		assert.equal(1, e:status().generation)
		e:stop()
		d:destroy()
	end)
end)
