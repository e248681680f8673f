local daemon <const> = require "spec.support.daemon"

local module_text <const> = [[
module:add_item("health-check", { name = "db", interval = 0.05, probation = true,
	check = function ()
		if %s then return nil, "no table of that name" end
		module:log("info", "db is there")
		return true
	end })
]]

describe("a generation on probation", function ()
	after_each(daemon.finish_all)

	local function start(fails)
		local d <const> = daemon.start {
			modules = { checked = module_text:format(fails) },
			config = [[
				modules_enabled = { "checked", "health", "admin_socket", "admin_shell" }
				admin_http_ports = { 0 }; upgrade_probation = 30; worker_heartbeat = 0.1
			]],
			allow = { "health check" },
		}
		return d
	end

	it("is rolled back when a health check fails that had passed", function ()
		local d <const> = start "prosody.generation > 1"
		d:wait_log "db is there"
		local code, out, err = d:run("upgrade", "--timeout", "60")
		assert.equal(1, code)
		assert.matches("rolled%-back in probation: generation 1 is active again: worker g2%.1: "
			.. "health check db: no table of that name", out .. err)
		assert.equal("1", d:state().generation)
		d:rebase_fds()
		d:stop()
	end)

	it("is not judged by a check that fails before and after", function ()
		local d <const> = start "true"
		assert.equal(0, (d:run("upgrade", "--no-wait")))
		d:wait_log("commit %-> probation", 20)
		d:wait_log("serving %(generation 1 has yielded%)", 20)
		require "spec.support.wait".sleep(1)
		local code, out, err = d:run("rollback")
		assert.equal(0, code)
		assert.matches("asked for", out .. err)
		d:rebase_fds()
		d:stop()
	end)
end)
