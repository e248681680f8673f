-- Who asked for a reload while one of a signal ran was told what that one had changed; who asked
-- before the host was ready was told "ok" at once, whatever became of it, or after 10 s that the
-- config was not applied in time; who asked while no keeper was there heard that too.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell" }
]]

describe("regress: a reload", function ()
	after_each(daemon.finish_all)

	it("behind one of a signal says what it has changed itself", function ()
		local d <const> = daemon.start { config = config, fds = false, allow = { "A callback took" } }
		d:write_config(config .. ([[
			spec_first = 1
			Lua.io.open(%q, "w"):close()
			Lua.os.execute "sleep 1"
		]]):format(d.dir .. "/read"))
		d:signal "HUP"
		local console <const> = d:connect(d:socket_path(), 60)
		wait.until_true(function () return process.read_file(d.dir .. "/read") end, 20, "the reader")
		d:write_config(config .. "spec_first = 1; spec_second = 2\n")
		console:send "config reload\n"
		local answer <const> = console:expect "^%u%a+: "
		assert.matches("^OK: config reloaded; changed: spec_second$", answer)
		d:stop()
	end)

	it("before the host is ready is answered after that, for what it is", function ()
		local d <const> = daemon.start { fds = false, ready = false, allow = { "reload refused" },
			config = config .. 'modules_enabled = { "admin_socket", "admin_shell", "late" }',
			modules = { late = [[
				module:set_global()
				module:hook("server-starting", function (event)
					local release = event:hold("spec", 50)
					module:add_timer(0.1, function ()
						if io.open(prosody.paths.data .. "/go") then return release() end
						return 0.1
					end)
				end)
			]] } }
		d:wait_log("Activated service 'admin_socket'", 20)
		local console <const> = d:connect(d:socket_path(), 60)
		d:write_config "modules_enabled = {"
		console:send '{"argv":["config","reload"],"json":true}\n'
		console:expect "checking the config"
		process.write_file(d.dir .. "/data/go", "")
		assert.matches("cannot reload: 1 fault", (console:expect '"ok":'))
		d:wait_ready(20)
		d:stop()
	end)

	it("by a signal that an upgrade refuses has its signal-after", function ()
		local d <const> = daemon.start { fds = false, allow = { "upgrading", "A callback took" },
			modules = { after = [[
				module:set_global()
				module:hook("signal-after/SIGHUP", function (event)
					module:log("info", "after: %s, %s", event.result, event.reason)
				end)
			]] }, config = 'modules_enabled = { "admin_socket", "admin_shell", "after" }' }
		d:write_config(([[
			modules_enabled = { "admin_socket", "admin_shell", "after" }
			Lua.io.open(%q, "w"):close()
			Lua.os.execute "sleep 2"
			Lua.error "no upgrade now"
		]]):format(d.dir .. "/read"))
		local console <const> = d:connect(d:socket_path(), 60)
		console:send "upgrade\n"
		wait.until_true(function () return process.read_file(d.dir .. "/read") end, 20, "its reader")
		d:signal "HUP"
		d:wait_log("after: not%-applicable, upgrading", 20)
		console:expect "^Error: "
		d:stop()
	end)

	it("without a keeper says so", function ()
		local d <const> = daemon.start { config = config, fds = false, exit = false,
			allow = { "has died" } }
		local worker <const> = d:worker_pid()
		d:signal "KILL"
		d:wait_exit()
		d:wait_log("has died: this worker serves on", 20)
		local _, last = d:console("config reload", 60)
		assert.matches("^Error: cannot reload: there is no keeper", last)
		process.kill(worker, "KILL")
		wait.until_true(function () return not process.alive(worker) end, 20)
		d:stop()
	end)
end)
