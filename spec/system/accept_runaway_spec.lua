-- Code that does not end, in every kind of callback, costs that callback, or at most that worker.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

-- Every way is `how` one begins, with `work` as the thing that does not end.
local rogue <const> = [[
	local timer = require "util.timer"
	local works = {
		loop = function () while true do end end,
		pattern = function () return (("a"):rep(30)):find(("a?"):rep(30) .. ("a"):rep(30)) end,
	}
	local function in_gc(work)
		setmetatable({}, { __gc = work })
		collectgarbage() collectgarbage()
	end
	local ways = {
		incoming = function (work) work() end,
		timer = function (work) timer.add_task(0.01, function () work() end) end,
		event = function (work)
			module:hook_object_event(prosody.events, "rogue-event", work)
			prosody.events.fire_event("rogue-event", {})
		end,
		gc = in_gc,
		pcall = function (work) while true do pcall(work) end end,
		xpcall = function (work) while true do xpcall(work, function () work() end) end end,
		coroutine = function (work)
			while true do coroutine.resume(coroutine.create(work)) end
		end,
		wrap = function (work) coroutine.wrap(work)() end,
		sort = function (work) table.sort({ 3, 1, 2 }, function () work() return false end) end,
		gsub = function (work) ("abc"):gsub(".", function () work() end) end,
		index = function (work) local _ = setmetatable({}, { __index = work }).x end,
		close = function (work) local x <close> = setmetatable({}, { __close = work }) end,
		promise = function (work)
			require "util.promise".resolve(1):next(function () work() end)
		end,
		async = function (work) require "util.async".runner(function () work() end):run(true) end,
		nexttick = function (work) module:add_timer(0, function () work() end) end,
	}
	module:provides("net", { name = "rogue", listener = {
		onincoming = function (conn, data)
			local way, work = data:match("^(%l+) (%l+)\n")
			conn:write("begins\n")
			conn:pause_writes(); conn:resume_writes()
			ways[way](works[work])
			conn:write("ended\n")
		end,
	} })
]]

local ways <const> = { "incoming", "timer", "event", "gc", "pcall", "xpcall", "coroutine", "wrap",
	"sort", "gsub", "index", "close", "promise", "async", "nexttick" }

-- Finalizers and message handlers run with hooks off: what loops there is the keeper's business.
local unstoppable <const> = { gc = true, xpcall = true }

local allow <const> = { "traceback", "Error calling", "error", "in function", "%.lua:" }

local function start(more)
	local port <const>, rogue_port <const> = client.free_port(), client.free_port()
	local d <const> = daemon.start { fds = false, allow = allow, exit = false,
		modules = { probe = accept.probe, rogue = rogue },
		config = accept.probe_config(port, ([[ rogue_ports = { %d }; rogue_interface = "127.0.0.1";
			restart_limit = { 16, 0.1 }; restart_backoff = { 0.01, 0.02 }; %s ]]):format(rogue_port,
			more), '"rogue"') }
	return d, port, rogue_port
end

-- Sends the rogue to work; afterwards another client is served, by the same worker or the next one.
local function run_wild(d, port, rogue_port, way, work)
	local before <const> = accept.pid(port)
	local c <close> = assert(client.tcp("127.0.0.1", rogue_port, 10))
	assert(c:send(way .. " " .. work .. "\n"))
	wait.sleep(0.05) -- the begin of what never ends has no sign of its own
	local after <const> = wait.until_true(function ()
		local ok, pid = pcall(accept.pid, port, 8)
		return ok and pid
	end, 10, way .. " " .. work .. " to be ended; log:\n" .. d:log())
	return before == after
end

describe("while true do end", function ()
	after_each(daemon.finish_all)

	it("costs its callback only, wherever Lua can be interrupted", function ()
		local d <const>, port <const>, rogue_port <const> = start(
			"callback_timeout = 0.1; worker_timeout = 5")
		local ended <const> = {}
		for _, way in ipairs(ways) do
			if not unstoppable[way] and not run_wild(d, port, rogue_port, way, "loop") then
				ended[#ended + 1] = way
			end
		end
		assert.same({}, ended, d:log())
		assert.equal("0", d:state().restarts)
		assert.equal("serving", d:state().state)
		assert.matches("rogue", d:log())
	end)

	for way in pairs(unstoppable) do
		it("ends at most the worker where hooks do not reach: in " .. way, function ()
			local d <const>, port <const>, rogue_port <const> = start(
				"callback_timeout = 0.1; worker_timeout = 0.6")
			run_wild(d, port, rogue_port, way, "loop")
			wait.until_true(function () return d:state().state == "serving" end, 5, "serving")
			assert.is_number(accept.pid(port))
		end)
	end
end)

describe("a pattern that never ends", function ()
	after_each(daemon.finish_all)

	for _, way in ipairs { "incoming", "timer", "event", "gc", "pcall", "coroutine" } do
		it("costs at most the worker: in " .. way, function ()
			local d <const>, port <const>, rogue_port <const> = start(
				"callback_timeout = 0.1; worker_timeout = 0.6")
			local same <const> = run_wild(d, port, rogue_port, way, "pattern")
			if not same then
				d:wait_log("no beat for 0%.6 s: SIGABRT")
				assert.equal("1", d:state().restarts)
			end
			assert.is_number(accept.pid(port))
		end)
	end
end)
