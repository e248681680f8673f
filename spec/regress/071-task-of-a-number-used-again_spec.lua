-- "A task of mod_cron that was under way when the machine stopped never ran again where another
-- process had the number of the one that was at it."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local tasks <const> = [[
	module:hourly("slow", function ()
		module:log("info", "begins")
		local go = require "util.async".waiter()
		go()
	end)
]]

local config <const> = [[
	modules_enabled = { "tasks", "cron" }; cron_initial_delay = 0.05; cron_check_delay = 1
]]

describe("regress: the number of a process that is used again", function ()
	after_each(daemon.finish_all)

	it("keeps back no task", function ()
		local d <const> = daemon.start { config = config, modules = { tasks = tasks }, exit = false,
			fds = false, allow = { "." } }
		local store <const> = d.dir .. "/data/localhost/cron.dat"
		local kept <const> = wait.until_true(function ()
			local text <const> = process.read_file(store)
			return text and text:find "runs in" and text
		end, 20)
		local worker <const> = d:worker_pid()
		d:signal "KILL"
		process.kill(worker, "KILL")
		d:wait_exit(20)

		-- As after a boot: somebody else has the number.
		process.write_file(store, (kept:gsub('(runs in"%] = "?)%d+', "%1" .. unistd.getpid())))
		local again <const> = daemon.start { dir = d.dir, config = config, log = "again",
			modules = { tasks = tasks }, fds = false, exit = false, allow = { "." } }
		again:wait_log("begins", 20)
	end)
end)
