-- `gadwall status --watch` to the end of the host.
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown", "hold" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }; shutdown_pause = 0.1
	shutdown_phases = { "lame-duck", "stop-accepting", { "close-clients", budget = %g }, "quit" }
]]

local hold <const> = [[
	module:set_global()
	module:hook("shutdown/close-clients", function (event)
		local release = event:hold("a while")
		module:add_timer(1, release)
	end)
]]

describe("gadwall status --watch", function ()
	after_each(daemon.finish_all)

	-- A host that is watched until it has ended; how long its phase may take decides how it ends.
	local function watched(budget, code, ...)
		local d <const> = daemon.start { config = config:format(budget), modules = { hold = hold },
			exit = code, allow = { "A callback took" } }
		local out <const> = d.dir .. "/out"
		local watching <const> = process.spawn { stdout = out, argv = { daemon.binary(), "--socket",
			d:socket_path(), "status", "--watch", "--interval", "0.1", ... } }
		wait.until_true(function ()
			return (process.read_file(out) or ""):find("serving")
		end, 20, "the first look")
		d:signal "TERM"
		assert.equal(code, d:wait_exit(30))
		assert.equal(3, watching:wait_exit(20))
		local lines <const> = {}
		for line in process.read_file(out):gmatch("[^\n]+") do lines[#lines + 1] = line end
		return lines
	end

	it("ends with how the host ended, and with nothing else", function ()
		local text <const> = table.concat(watched(10, 0), "\n")
		assert.matches("\nstopping +close%-clients", text)
		assert.matches("\nstopped +ended with status 0$", text)
		assert.is_nil(text:find("cannot", 1, true) or text:find("does not answer", 1, true))
	end)

	it("tells an end that was not clean, and in JSON", function ()
		local lines <const> = watched(0.3, 75, "--json-lines")
		for _, line in ipairs(lines) do assert.is_table(json.decode(line), line) end
		local last <const> = json.decode(lines[#lines])
		assert.same({ "stopped", "ended with status 75", "75" },
			{ last.state, last.reason, last.keeper.last_exit })
		assert.equal("stopping", json.decode(lines[#lines - 1]).state)
	end)
end)
