-- "With some hundred listeners the workers of a generation never met: their channels did not fit
-- behind the descriptors (worker g1.2 does not read: peer is lost)."

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local many <const> = 400

local listeners <const> = [[
module:set_global()
local path, many = module:get_option_string "many_path", module:get_option_integer "many"
local listen = require "net.server".listen
for i = 1, many do
	assert(listen(("@%s/%d"):format(path, i), 0, {}))
end
module:hook("meet", function (event) module:log("info", "heard of %d", event.from) end)
require "util.timer".add_task(0.2, function ()
	module:fire_event_all("meet", { from = require "host.keeper".hello.worker })
	return 0.2
end)
]]

describe("regress: workers of many listeners", function ()
	after_each(daemon.finish_all)

	it("meet, and meet one that is started again", function ()
		local d <const> = daemon.start {
			config = ('workers = 3; many = %d; many_path = runtime_path; modules_enabled = { "listeners" }')
				:format(many),
			modules = { listeners = listeners }, fds = false, timeout = 60,
			allow = { "SIGKILL" },
		}
		local function all_have_met(past)
			for from = 1, 3 do
				for to = 1, 3 do
					local line <const> = ("mod_listeners%%[g1%%.%d%%]%%s+info%%s+heard of %d"):format(to, from)
					if not d:log():sub(past):find(line) then return false end
				end
			end
			return true
		end
		wait.until_true(function () return all_have_met(1) end, 60, "all three have met")
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("ended: signal 9", 20)
		local past <const> = #d:log()
		wait.until_true(function () return all_have_met(past) end, 60, "all three have met again")
		assert.equal(0, #d:log_lines("is lost"))
		d:stop()
	end)
end)
