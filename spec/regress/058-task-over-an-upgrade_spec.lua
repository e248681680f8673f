-- "A task of mod_cron that waited when an upgrade came was cut off by the end of its generation,
-- and run by the new one, perhaps while the old one still was at it. A process that had the tasks
-- again after another ran again what that one had run."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local tasks <const> = [[
	local async = require "util.async"
	module:hourly("slow", function ()
		module:log("info", "begins in %d", prosody.generation)
		local go, done = async.waiter()
		module:add_timer(0.1, function ()
			local gate = io.open(module:get_option_string "gate")
			if not gate then return 0.1 end
			gate:close()
			done()
		end)
		go()
		module:log("info", "ends in %d", prosody.generation)
	end)
]]

describe("regress: a task that waits while an upgrade comes", function ()
	after_each(daemon.finish_all)

	it("ends in the old generation, and is not run by the new one", function ()
		local dir <const> = process.temp_dir()
		local d <const> = daemon.start { fds = false, modules = { tasks = tasks }, config = ([[
			modules_enabled = { "tasks", "cron", "admin_socket", "admin_shell" }
			workers = 2; cron_initial_delay = 0.05; cron_check_delay = 1; upgrade_probation = 0
			gate = %q
		]]):format(dir .. "/gate") }
		d:wait_log "begins in 1"
		wait.until_true(function ()
			return (process.read_file(d.dir .. "/data/localhost/cron.dat") or ""):find "runs in"
		end, 10)
		assert.equal(1, d:status().in_flight.by_module.cron)
		assert.equal(0, (d:run "upgrade"))
		assert.equal(0, (d:run "drain"))
		assert.equal(0, (d:run "undrain")) -- the new one looks at once
		process.write_file(dir .. "/gate", "")
		d:wait_log "ends in 1"
		d:wait_log "generation 1 has ended"
		assert.same({}, d:log_lines "begins in 2")
		local kept <const> = process.read_file(d.dir .. "/data/localhost/cron.dat")
		assert.matches('%["tasks/slow"%] = %d+', kept)
		assert.is_nil(kept:find "runs in")
		assert.equal(1, #d:log_lines "begins in")
		process.remove_tree(dir)
		d:stop()
	end)

	it("is run anew when the process that was at it is killed", function ()
		local d <const> = daemon.start { fds = false, modules = { tasks = tasks },
			allow = { "SIGKILL" }, config = [[
			modules_enabled = { "tasks", "cron", "admin_socket", "admin_shell" }
			workers = 2; cron_initial_delay = 0.05; cron_check_delay = 1; gate = "/nowhere/gate"
		]] }
		d:wait_log "begins in 1"
		d:wait_log "worker g1.2 is ready"
		wait.until_true(function ()
			return (process.read_file(d.dir .. "/data/localhost/cron.dat") or ""):find "runs in"
		end, 10)
		process.kill(tonumber((process.read_file(d.dir .. "/data/localhost/cron.dat"):match '= "(%d+)')),
			"KILL")
		wait.until_true(function () return #d:log_lines "begins in 1" >= 2 end, 20)
		d:stop()
	end)
end)
