-- mod_limits: bytes a second that a connection may send, by service and by class.

local daemon <const> = require "spec.support.daemon"
local time <const> = require "util.time"

local echo <const> = [[
	module:provides("net", { default_port = 0, listener = {
		onincoming = function (conn, data) conn:write(data) end,
	} })
]]

-- Seconds until `count` bytes have come back twice.
local function twice(c, count)
	local begin = time.monotonic()
	for _ = 1, 2 do
		c:send(("x"):rep(count))
		assert(c:read(count))
	end
	return time.monotonic() - begin
end

describe("mod_limits", function ()
	after_each(daemon.finish_all)

	local function start(limits)
		return daemon.start { modules = { slow = echo, fast = echo }, config = ([[
			interfaces = { "127.0.0.1" }; slow_ports = { 0 }; fast_ports = { 0 }
			modules_enabled = { "slow", "limits", "fast", "admin_socket", "admin_shell" }
			limits = %s
		]]):format(limits) }
	end

	it("slows down the service it names, and no other", function ()
		local d = start [[{ slow = { rate = "4kb/s", burst = "2s" } }]]
		local other <const> = twice(d:connect(d:port "fast"), 3000)
		local seconds = twice(d:connect(d:port "slow"), 3000)
		assert.is_true(seconds > 0.6 and seconds < 5, tostring(seconds))
		assert.is_true(other < seconds, tostring(other))
		d:stop()
	end)

	it("follows a reload of the module it limits and of the config, and lets go when it is unloaded",
		function ()
			local d = start [[{ client = { rate = "1 MB/s" }, slow = { rate = "4kb/s" } }]]
			d:run("shell", "module", "reload", "slow")
			local c = d:connect(d:port "slow")
			assert.is_true(twice(c, 3000) > 0.6)
			d:run("shell", "module", "unload", "limits")
			assert.is_true(twice(c, 3000) < 1)
			assert.is_true(twice(c, 3000) < 0.5)
			assert.is_true(twice(d:connect(d:port "slow"), 3000) < 0.5)
			d:stop()
		end)

	it("takes Prosody's default for a rate that it cannot read, and says so", function ()
		local d = start [[{ slow = { rate = "fast" } }]]
		assert.is_truthy(d:wait_log 'limits.slow: a rate is like "10kb/s", not "fast"')
		assert.is_true(twice(d:connect(d:port "slow"), 2000) > 0.5)
		d:stop()
	end)
end)
