-- "A worker with two connections that each had queued twelve lines, of 0.6 to 1 s a callback, was
-- killed by the keeper: it said that it lives only once in a turn." And still, where slow_callback
-- and callback_timeout were "never", or longer than worker_timeout.

local daemon <const> = require "spec.support.daemon"

-- Each callback is far below callback_timeout; together they are more than two worker_timeouts.
local slow <const> = [[
	local clock <const> = require "util.time".monotonic
	module:provides("net", { name = "slow", listener = {
		default_mode = "*l",
		onincoming = function (conn, line)
			local ends <const> = clock() + 0.2
			while clock() < ends do end
			conn:write(line .. "\n")
		end,
	} })
]]

describe("regress: a turn of many slow callbacks", function ()
	after_each(daemon.finish_all)

	local function survives(limits)
		local d <const> = daemon.start { modules = { slow = slow }, allow = { "took" }, config = [[
				modules_enabled = { "slow" }; slow_ports = { 0 }; interfaces = { "127.0.0.1" }
				worker_timeout = 2; ]] .. limits }
		local c <const> = d:connect(d:port "slow")
		c:send(("line\n"):rep(25))
		for _ = 1, 25 do
			assert.equal("line", c:line(30))
		end
		c:close()
		assert.same({}, d:log_lines "beat")
		d:stop()
	end

	for what, limits in pairs {
		["is no worker that hangs"] = "slow_callback = 0.5",
		["is none without limits of callbacks"] = 'slow_callback = "never"; callback_timeout = "never"',
		["is none with long ones"] = "slow_callback = 30; callback_timeout = 60",
	} do
		it(what, function () survives(limits) end)
	end
end)
