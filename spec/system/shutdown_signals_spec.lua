-- Signals: hooks before and after, vetoes, modules that take a signal, the map of the config.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

describe("a signal", function()
	after_each(daemon.finish_all)

	local function start(body, config, fields)
		local spec = fields or {}
		spec.enable, spec.config = { "graceful_shutdown", "hook" }, config
		spec.modules = { hook = "module:set_global()\n" .. body }
		return shutdown.start(spec)
	end

	it("runs its hooks in order: before, itself, the verb, after", function()
		local d = start [[
for _, name in ipairs { "signal-before/SIGTERM", "signal/SIGTERM", "signal-after/SIGTERM" } do
	module:hook(name, function (event)
		module:log("info", "step %s %s %s %s", name, event.signal, event.verb,
			event.result or event.state)
	end)
end
module:hook("shutdown-started", function () module:log("info", "step verb") end)
]]
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		local steps = {}
		for _, line in ipairs(d:log_lines("step ")) do steps[#steps + 1] = line:match("step (.*)") end
		assert.same({ "signal-before/SIGTERM SIGTERM shutdown serving",
			"signal/SIGTERM SIGTERM shutdown serving", "verb",
			"signal-after/SIGTERM SIGTERM shutdown done" }, steps)
	end)

	it("is vetoed by a hook that returns a reason, and the log names it", function()
		local d = start [[
local vetoes = 1
module:hook("signal-before/SIGTERM", function ()
	vetoes = vetoes - 1
	if vetoes >= 0 then return "not on a Friday" end
end)
]]
		d:signal("TERM")
		d:wait_log("vetoed: not on a Friday")
		d:wait_log("saw signal%-after/SIGTERM %[reason=not on a Friday result=vetoed")
		assert.equal("serving", d:state().state)
		wait.sleep(1.1)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
		assert.equal(0, shutdown.report(d).hurried)
	end)

	it("is vetoed by false as well, but the second stop signal is not", function()
		local d = start([[
module:hook("signal-before/SIGTERM", function (event)
	if event.state == "stopping" then return false end
end)
module:hook("shutdown/close-clients", function (event) event:hold("forever") end)
]], nil, { exit = 75 })
		local begun = wait.now()
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		wait.sleep(1.1 - (wait.now() - begun))
		d:signal("TERM")
		assert.equal(75, d:wait_exit(5))
	end)

	it("is handled by a module whose hook returns true", function()
		local d = start [[
local taken = 0
module:hook("signal/SIGTERM", function ()
	taken = taken + 1
	if taken == 1 then return true end
end)
]]
		d:signal("TERM")
		d:wait_log("saw signal%-after/SIGTERM %[result=handled")
		assert.equal("serving", d:state().state)
		wait.sleep(1.1)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("goes on although a hook raises", function()
		local d = start([[
module:hook("signal-before/SIGTERM", function () error("planted") end)
]], nil, { allow = { "planted", "traceback" } })
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("goes on although a hook never answers", function()
		local d = start([[
module:hook("signal-before/SIGTERM", function ()
	local t = os.clock()
	while os.clock() - t < 4 do end
end)
]], nil, { allow = { "callback", "traceback" } })
		local begun = wait.now()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(12))
		assert.is_true(wait.now() - begun < 9)
	end)

	it("USR1 gives way to a module that hooks it, and the log says so at load", function()
		local d = start 'module:hook("signal/SIGUSR1", function () module:log("info", "mine") end)'
		assert.equal(1, #d:log_lines("SIGUSR1 belongs to a module"))
		d:signal("USR1")
		d:wait_log("mine")
		d:wait_log("saw signal%-after/SIGUSR1 %[result=handled")
		assert.equal("serving", d:state().state)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("USR1 of the config does not give way", function()
		local d = start('module:hook("signal/SIGUSR1", function () module:log("info", "mine") end)',
			'signals = { SIGUSR1 = "drain" }')
		assert.equal(0, #d:log_lines("SIGUSR1 belongs to a module"))
		d:signal("USR1")
		wait(function() return d:state().state == "draining" end, 3, "draining")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("with a handler of util.signal is that handler's alone", function()
		local d = start [[
local signal = require "util.signal"
signal.signal("SIGTERM", function () module:log("info", "mine") signal.signal("SIGTERM", nil) end)
]]
		d:signal("TERM")
		d:wait_log("mine")
		assert.equal("serving", d:state().state)
		wait.sleep(1.1)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("without a verb does nothing and says so", function()
		local d = start("", "signals = { SIGTERM = { draining = 'shutdown' } }")
		local control = shutdown.control(d)
		d:signal("TERM")
		d:wait_log("saw signal%-after/SIGTERM %[reason=serving result=not%-applicable")
		control "return lifecycle.drain()"
		wait(function() return d:state().state == "draining" end, 3, "draining")
		d:signal("TERM")
		assert.equal(0, d:wait_exit(8))
	end)

	it("asked for a third time hammers", function()
		local d = start([[
module:hook("shutdown/close-clients", function (event) event:hold("forever") end)
module:hook("shutdown/stop-services", function (event) event:hold("forever") end)
]], nil, { exit = 75 })
		local begun = wait.now()
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		for i = 1, 2 do
			wait.sleep(i * 1.1 - (wait.now() - begun))
			d:signal("TERM")
		end
		assert.equal(75, d:wait_exit(3))
		assert.is_true(wait.now() - begun >= 2)
	end)
end)
