-- "Two workers stop, one is held: `status` says that the phase is over, and nobody holds. It is
-- killed: the host ends with 70, and its report says clean and 0."

local daemon <const> = require "spec.support.daemon"
local json <const> = require "util.json"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Holds stop-services in one worker.
local holder <const> = [[
	module:set_global()
	module:hook("server-stopping", function (event)
		if prosody.worker == module:get_option_number("holds_in") then
			event:hold("ledger", 60)
			module:log("info", "holds now")
		end
	end)
]]

local function start(holds_in)
	return daemon.start { fds = false, modules = { holder = holder },
		allow = { "signal 9", "worker %d has died", "ended expired", "was held by" },
		exit = false, config = ([[
		workers = 2; holds_in = %d; shutdown_report = "report.json"
		modules_enabled = { "admin_socket", "admin_shell", "lameduck", "graceful_shutdown", "holder" }
	]]):format(holds_in) }
end

local function pids(d)
	local list <const> = {}
	for _, entry in ipairs(d:status().generations[1].workers) do
		list[tonumber(entry.worker:match("%d+$"))] = entry.pid
	end
	return list
end

local function report_of(d)
	return json.decode((assert(process.read_file(d.dir .. "/data/report.json"))))
end

describe("regress: a stop of two workers, of which one is held", function ()
	after_each(daemon.finish_all)

	it("is in that phase, and says who holds, although the other one has ended it", function ()
		local d <const> = start(2)
		d:signal "TERM"
		d:wait_log("holds now", 20)
		local status
		wait.until_true(function ()
			status = d:status()
			return status.phase == "stop-services" and status.stop.holders[1] ~= nil
		end, 20)
		local holder_of <const> = status.stop.holders[1]
		assert.same({ "holder", "ledger" }, { holder_of.module, holder_of.hold })
		for _, phase in ipairs(status.stop.phases) do
			if phase.phase == "stop-services" then
				assert.equal("running", phase.state)
			end
		end
		assert.equal(1, (d:run("stop", "--now"))) -- expired
		assert.equal(75, d:wait_exit(20))
		assert.equal("ledger", report_of(d).holders[1].hold)
	end)

	for dead, name in ipairs { "that speaks for the host", "that does not speak" } do
		it(("has failed when the worker %s dies"):format(name), function ()
			local held <const> = dead == 2 and 2 or 1
			local d <const> = start(held)
			local of <const> = pids(d)
			d:signal "TERM"
			d:wait_log("holds now", 20)
			process.kill(of[dead], "KILL")
			assert.equal(70, d:wait_exit(30))
			local report <const> = report_of(d)
			assert.same({ "failed", 70 }, { report.result, report.exit })
			assert.same({ event = "worker-ended",
				error = ("worker %d has died during the stop"):format(dead) },
				{ event = report.errors[1].event, error = report.errors[1].error })
		end)
	end
end)
