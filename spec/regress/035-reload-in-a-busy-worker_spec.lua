-- A reload whose worker was held up between its request and the next turn of its loop for longer
-- than the reader takes said "the new config was not applied in time" after 10 s: it began to
-- listen a turn after it had asked, and the config had come into force before. Seen once in 10,000
-- reloads, at a load of 8 to 12 on two cores.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

-- A line for it holds the worker up.
local busy <const> = [[
	module:provides("net", { name = "busy", default_port = 0, listener = {
		onincoming = function () os.execute "sleep 2" end,
	} })
]]

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell", "busy" }
	interfaces = { "127.0.0.1" }
]]

describe("regress: a reload whose worker is held up behind the request", function ()
	after_each(daemon.finish_all)

	-- Both lines come in one turn of the worker's loop, the console's first. Raises without answer.
	local function reload_held_up(d, answer)
		local console <const>, other <const> = d:connect(d:socket_path(), 60), d:connect("busy")
		console:send "version\n"
		console:expect "^OK"
		local worker <const> = d:worker_pid()
		process.kill(worker, "STOP")
		other:send "x\n"
		console:send "config reload\n"
		process.kill(worker, "CONT")
		console:expect(answer)
	end

	local function start()
		return daemon.start { fds = false, modules = { busy = busy }, config = config,
			allow = { "A callback took", "reload refused" } }
	end

	it("hears that the config is in force", function ()
		local d <const> = start()
		reload_held_up(d, "^OK: config reloaded")
		d:stop()
	end)

	it("hears why it was refused", function ()
		local d <const> = start()
		d:write_config(config .. "\nlimits = 5 +")
		reload_held_up(d, "^Error: cannot reload: 1 fault")
		d:stop()
	end)
end)
