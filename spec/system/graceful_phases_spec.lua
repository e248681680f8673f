-- The driver: the list, the budgets, the goodbyes, the order of classes.
local daemon <const> = require "spec.support.daemon"
local shutdown <const> = require "spec.support.shutdown"

describe("mod_graceful_shutdown", function()
	after_each(daemon.finish_all)

	local function start(spec)
		spec.enable = spec.enable or { "graceful_shutdown" }
		for name in pairs(spec.modules or {}) do table.insert(spec.enable, name) end
		return shutdown.start(spec)
	end

	local function phase_names(report)
		local names = {}
		for i, record in ipairs(report.phases) do names[i] = record.phase end
		return table.concat(names, " ")
	end

	local function stop(d, status)
		d:signal("TERM")
		assert.equal(status or 0, d:wait_exit(10))
		return shutdown.report(d)
	end

	it("puts a module's phase where it says", function()
		local report = stop(start { modules = { extra = [[
module:set_global()
module:provides("shutdown-phase", { name = "flush-stores", after = "stop-services",
	work = function (event) module:log("info", "flushing at most %g s", event:remaining()) end,
	budget = 2 })
module:provides("shutdown-phase", { name = "warn-peers", before = "stop-accepting" })
]] } })
		assert.equal("warn-peers stop-accepting close-clients stop-services flush-stores quit",
			phase_names(report))
		assert.equal(2, report.phases[5].budget)
	end)

	it("runs the configured list instead of its own", function()
		local report = stop(start { config = [[
shutdown_phases = { { "close-clients", budget = 2 }, "my-own", { name = "quit", budget = 1 } }
]] })
		assert.equal("close-clients my-own quit", phase_names(report))
		assert.equal(2, report.phases[1].budget)
		assert.equal(1, report.phases[3].budget)
	end)

	it("changes its own list by entries with a place", function()
		local report = stop(start { config = [[
shutdown_phases = { { "notify", after = "stop-accepting", budget = 1 },
	{ "stop-services", budget = 3, before = "close-clients" } }
]] })
		assert.equal("stop-accepting notify stop-services close-clients quit", phase_names(report))
		assert.equal(3, report.phases[3].budget)
	end)

	it("is not started with a list in which quit is not the last", function()
		local d = start { config = 'shutdown_phases = { "quit", "close-clients" }',
			expect_exit = true, exit = 78 }
		assert.equal(78, d:wait_exit(5))
		assert.truthy(d:log():find("quit must be the last phase", 1, true))
	end)

	it("accepts nobody after stop-accepting, while older connections are still served", function()
		local d = start { config = "close_spread = 0", modules = { slow = [[
module:set_global()
module:hook("shutdown/close-clients", function (event)
	local release = event:hold("wait")
	module:add_timer(1.2, release)
end)
]], echo = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye(conn, event)
	conn:write("bye\n")
	module:add_timer(1, function () conn:close() end)
	return true
end
module:provides("net", { default_port = 7007, listener = listener })
]] } }
		local c = shutdown.client(d)
		local port = shutdown.port(d, "echo")
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		local other, err = require "spec.support.client".tcp("127.0.0.1", port)
		assert.is_nil(other)
		assert.equal("Connection refused", err)
		assert.equal("bye", c:line())
		c:send("more\n")
		assert.equal("more", c:line())
		assert.equal(0, d:wait_exit(8))
		local report = shutdown.report(d)
		assert.same({ idle = 0, finished = 1, goodbye = 1, forced = 0 }, report.phases[2].closed)
		c:close()
	end)

	it("forces those that wanted to close themselves and did not, counts and names them", function()
		local d = start { exit = 75, config =
			'shutdown_phases = { "stop-accepting", { "close-clients", budget = 0.5 }, "quit" }',
			modules = { echo = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye() return true end
module:provides("net", { default_port = 7007, listener = listener })
]] } }
		local c = shutdown.client(d)
		local report = stop(d, 75)
		assert.equal(1, report.phases[2].closed.forced)
		assert.equal("goodbye", report.holders[1].hold)
		assert.truthy(report.holders[1].conn)
		c:close()
	end)

	it("gives a goodbye where to go and when to come back", function()
		local d = start { config = [[
goodbye = { to = "b.example", after = 5 }
other_goodbye = { to = "c.example" }
other_ports = { 0 }
other_interfaces = { "127.0.0.1" }
]], modules = { other = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye(conn, event)
	conn:write(("%s %s %s %s\n"):format(event.reason, event.to, event.after, type(event.deadline)))
end
module:provides("net", { default_port = 7007, listener = listener })
]] } }
		local c = d:connect(shutdown.port(d, "other"))
		c:send("x\n")
		assert.equal("x", c:line())
		stop(d)
		assert.same({ "SIGTERM c.example 5 number" }, shutdown.rest(c))
		c:close()
	end)

	it("spreads the goodbyes of a crowd over close_spread", function()
		local d = start { config = "close_spread = 0.8" }
		local clients = {}
		for i = 1, 40 do clients[i] = shutdown.client(d) end
		local report = stop(d)
		assert.equal(40, report.phases[2].closed.goodbye)
		assert.is_true(report.phases[2].seconds >= 0.6, tostring(report.phases[2].seconds))
		assert.is_true(report.phases[2].seconds < 8)
		for _, c in ipairs(clients) do
			assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
			c:close()
		end
	end)

	it("sends every queued byte to a slow reader before the end", function()
		local d = start { config = "shutdown_pause = 0.1", allow = { "A callback took" },
			modules = { echo = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye(conn) conn:write(("x"):rep(4 * 1024 * 1024)) end
module:provides("net", { default_port = 7007, listener = listener })
]] } }
		local c = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: quit")
		assert.equal(4 * 1024 * 1024, #assert(c:read_all(8)))
		assert.equal(0, d:wait_exit(8))
		assert.same({ connections = 0, bytes_unsent = 0, jobs = 0 }, shutdown.report(d).lost)
		c:close()
	end)

	it("counts what a reader that never reads has lost", function()
		local d = start { exit = 75, allow = { "A callback took" }, config = [[
shutdown_phases = { "stop-accepting", "close-clients", { "quit", budget = 0.4 } }
]], modules = { echo = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye(conn) conn:write(("x"):rep(16 * 1024 * 1024)) end
module:provides("net", { default_port = 7007, listener = listener })
]] } }
		local c = shutdown.client(d)
		local report = stop(d, 75)
		assert.equal(1, report.lost.connections)
		assert.is_true(report.lost.bytes_unsent > 0)
		c:close()
	end)

	it("waits in stop-services for work that a module has begun", function()
		local d = start { modules = { job = [[
module:set_global()
local done = module:begin("import")
module:hook("server-stopping", function () module:add_timer(0.4, function () done() end) end)
]] } }
		local report = stop(d)
		assert.equal("clean", report.result)
		assert.is_true(report.phases[3].seconds >= 0.39)
	end)

	it("closes peers after server-stopping and class admin last", function()
		local d = start { config = "peer_ports = { 0 }\npeer_interfaces = { '127.0.0.1' }",
			modules = { peer = [[
module:set_global()
local listener = {}
function listener.onincoming(conn, data) conn:write(data) end
function listener.ongoodbye() module:log("info", "saw peer-goodbye") end
module:provides("net", { default_port = 0, class = "peer", listener = listener })
]] } }
		local c = d:connect(shutdown.port(d, "peer"))
		c:send("x\n")
		assert.equal("x", c:line())
		local control = shutdown.control(d)
		stop(d)
		local order = table.concat(shutdown.seen(d), " ")
		local wanted <const> =
			"shutdown/close%-clients.*server%-stopping.*peer%-goodbye.*shutdown/quit"
		assert.truthy(order:find(wanted), order)
		assert.is_false((pcall(control, "return 1")))
		c:close()
	end)

	it("runs the steps of quit in order", function()
		local d = start { modules = { last = [[
module:set_global()
function module.unload() module:log("info", "saw unload-last") end
]] } }
		stop(d)
		local order = table.concat(shutdown.seen(d), " ")
		assert.truthy(order:find("shutdown/quit server%-cleanup server%-stopped unload%-last"), order)
	end)

	it("can be reloaded while it serves and drives the next stop", function()
		local d = start {}
		local control = shutdown.control(d)
		assert.truthy(control(
			'return require "core.modulemanager".reload("*", "graceful_shutdown") and "done"'):find("done"))
		assert.equal("stop-accepting close-clients stop-services quit", phase_names(stop(d)))
	end)

	it("cannot be unloaded while it drives", function()
		local d = start { exit = false, config = "shutdown_timeout = 1.5", modules = { holder = [[
module:set_global()
module:hook("shutdown/close-clients", function (event) event:hold("forever") end)
]] } }
		local control = shutdown.control(d)
		d:signal("TERM")
		d:wait_log("stopping: close%-clients")
		local answer = control 'return require "core.modulemanager".unload("*", "graceful_shutdown")'
		assert.truthy(answer:find("nil", 1, true), answer)
		d:wait_exit(8)
	end)
end)
