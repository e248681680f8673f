-- mod_cron: hourly, daily and weekly tasks run once in their time, over reloads and restarts too.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local tasks <const> = [[
	local array = require "util.async"
	module:hourly("sweep up", function (task, now)
		module:log("info", "ran %s at %d", task.id, now)
	end)
	module:cron { name = "nightly", when = "daily", run = function ()
		module:log("info", "ran nightly")
	end }
	module:weekly(function () error("weekly is broken") end)
	module:cron { name = "slow", when = "hourly", run = function ()
		local wait, done = array.waiter()
		module:add_timer(0.05, done)
		wait()
		module:log("info", "ran slow")
	end }
	module:hourly("last", function () module:log("info", "ran last") end)
]]

local function start(dir)
	return daemon.start { dir = dir, modules = { tasks = tasks },
		allow = { "weekly is broken", "traceback" }, config = [[
			modules_enabled = { "tasks", "admin_socket", "admin_shell" }
			cron_initial_delay = 0.05; cron_check_delay = 1 ]] }
end

describe("mod_cron", function ()
	after_each(daemon.finish_all)

	it("runs each task once, whether others wait or fail, and knows that after a restart", function ()
		local dir = process.temp_dir()
		local d = start(dir)
		d:wait_log "ran tasks/sweep_up at %d+"
		d:wait_log "ran nightly"
		d:wait_log "weekly is broken"
		d:wait_log "ran slow"
		d:wait_log "ran last"
		d:run("shell", "module", "reload", "tasks")
		d:run("shell", "module", "reload", "cron")
		local file = dir .. "/data/localhost/cron.dat"
		local kept = process.read_file(file)
		local times = require "util.serialization".deserialize(kept:match("^return (.*);"))
		assert.is_number(times["tasks/nightly"])
		assert.is_number(times["tasks/last"])
		assert.is_nil(times["tasks/weekly"])
		d:stop()
		assert.equal(1, #d:log_lines "ran tasks/sweep_up")

		times["tasks/nightly"] = times["tasks/nightly"] - 90000
		process.write_file(file, "return " .. require "util.serialization".serialize(times) .. ";\n")
		process.write_file(d.log_file, "")
		d = start(dir)
		d:wait_log "ran nightly"
		d:wait_log "weekly is broken"
		d:stop()
		assert.same({}, d:log_lines "ran last")
		assert.same({}, d:log_lines "ran tasks/sweep_up")
	end)
end)
