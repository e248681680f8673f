-- A handler that throws, returns false or never finishes cannot stop the stop.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local planted <const> = { "planted" , "stack traceback:", "Error" }

local function bad_module(event, body)
	return ([[
module:set_global()
module:hook(%q, function (event) %s end, 500)
]]):format(event, body)
end

describe("a stop is not stopped by", function()
	after_each(daemon.finish_all)

	local function start(modules, config, drivers)
		local enable = drivers or { "graceful_shutdown" }
		for name in pairs(modules) do enable[#enable + 1] = name end
		return shutdown.start { enable = enable, modules = modules, config = config, allow = planted,
			exit = false }
	end

	for _, drivers in ipairs { {}, { "graceful_shutdown" } } do
		local row <const> = drivers[1] or "no driver"

		it("a server-stopping handler that raises, with " .. row, function()
			local d = start({ bad = bad_module("server-stopping", 'error("planted")'),
				after = bad_module("server-stopping", 'module:log("info", "reached")') }, nil,
				{ table.unpack(drivers) })
			d:signal("TERM")
			assert.equal(0, d:wait_exit(10))
			local report = shutdown.report(d)
			assert.equal("clean", report.result)
			assert.equal("bad", report.errors[1].module)
			assert.equal("server-stopping", report.errors[1].event)
			assert.equal(1, #d:log_lines("reached"))
		end)

		it("a server-stopping handler that returns something, with " .. row, function()
			local d = start({ bad = bad_module("server-stopping", "return false"),
				after = bad_module("server-stopping", 'module:log("info", "reached") return true') },
				nil, { table.unpack(drivers) })
			d:signal("TERM")
			assert.equal(0, d:wait_exit(10))
			assert.equal(1, #d:log_lines("reached"))
			assert.truthy(d:log():find("saw server-stopping", 1, true))
		end)

		it("a server-stopping handler that never finishes, with " .. row, function()
			local d = start({
				bad = bad_module("server-stopping", 'local w = require "util.async".waiter() w()'),
				after = [[
module:set_global()
module:hook("server-stopping", function () module:log("info", "reached") end, -500)
]],
			}, "shutdown_timeout = 1.5", { table.unpack(drivers) })
			local begun = wait.now()
			d:signal("TERM")
			assert.equal(75, d:wait_exit(10))
			assert.is_true(wait.now() - begun < 9)
			assert.equal("expired", shutdown.report(d).result)
			assert.equal(1, #d:log_lines("reached"))
		end)
	end

	it("a handler of a phase that raises or returns false", function()
		local d = start {
			bad = bad_module("shutdown/stop-accepting", 'error("planted")'),
			worse = bad_module("shutdown/close-clients", "return false"),
		}
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		assert.equal("bad", shutdown.report(d).errors[1].module)
		c:close()
	end)

	it("a hold that nobody releases, and the report names module and hold", function()
		local d = start({
			bad = bad_module("shutdown/close-clients", 'event:hold("forever")'),
			short = bad_module("shutdown/stop-accepting", 'event:hold("a bit", 0.2)'),
		}, 'shutdown_phases = { "stop-accepting", { "close-clients", budget = 0.5 }, "quit" }')
		d:signal("TERM")
		assert.equal(75, d:wait_exit(10))
		local report = shutdown.report(d)
		assert.equal("expired", report.result)
		local names = {}
		for _, holder in ipairs(report.holders) do
			names[#names + 1] = holder.module .. ": " .. holder.hold
		end
		assert.same({ "short: a bit", "bad: forever" }, names)
	end)

	it("work of a phase that raises: the report says failed and the status is 70", function()
		local d = start { bad = [[
module:set_global()
module:provides("shutdown-phase", { name = "special", after = "close-clients",
	work = function () error("planted") end })
]] }
		d:signal("TERM")
		assert.equal(70, d:wait_exit(10))
		local report = shutdown.report(d)
		assert.equal("failed", report.result)
		assert.same({ "shutdown/quit" }, shutdown.seen(d, "shutdown/quit"))
	end)

	it("a goodbye that raises", function()
		local d = start { echo = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye() error("planted") end
module:provides("net", { default_port = 7007, listener = listener })
]] }
		local c = shutdown.client(d)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.equal("ongoodbye", shutdown.report(d).errors[1].event)
		c:close()
	end)

	it("an unload function that raises", function()
		local d = start { bad = 'module:set_global() function module.unload() error("planted") end' }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
	end)

	it("a handler of server-stopped that raises", function()
		local d = start { bad = bad_module("server-stopped", 'error("planted")') }
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.equal("clean", shutdown.report(d).result)
	end)

	it("a driver that raises: the host drives, and the status is 70", function()
		local d = shutdown.start { enable = { "driver" }, allow = planted, exit = 70, modules = {
			driver = bad_module("shutdown-started", 'error("planted")') } }
		d:signal("TERM")
		assert.equal(70, d:wait_exit(10))
		assert.same({ "server-stopping", "server-cleanup", "server-stopped" },
			shutdown.seen(d, "server-"))
	end)
end)
