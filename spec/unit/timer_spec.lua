local host_guard <const> = require "host.guard"
local host_loop <const> = require "host.loop"
local logger <const> = require "util.logger"
local timer <const> = require "util.timer"
local turns <const> = require "spec.support.turns"

local run_until <const>, run_for <const> = turns.run_until, turns.run_for

describe("util.timer", function ()
	it("calls once, with the time, the id and the argument", function ()
		local calls = {}
		local id = timer.add_task(0.02, function (...) calls[#calls + 1] = { ... } end, "param")
		run_until(function () return calls[1] end)
		run_for(0.05)
		assert.equal(1, #calls)
		assert.is_true(math.abs(calls[1][1] - os.time()) < 6)
		assert.equal(id, calls[1][2])
		assert.equal("param", calls[1][3])
	end)

	it("fires in the order of time, never early", function ()
		local order, early = {}, false
		local started = host_loop.monotonic()
		for _, delay in ipairs { 0.05, 0.01, 0.03, 0 } do
			timer.add_task(delay, function ()
				order[#order + 1] = delay
				early = early or host_loop.monotonic() - started < delay
			end)
		end
		run_until(function () return #order == 4 end)
		assert.same({ 0, 0.01, 0.03, 0.05 }, order)
		assert.is_false(early)
	end)

	it("counts from the call, also late in a long callback", function ()
		local fired, added
		timer.add_task(0, function ()
			local from = host_loop.monotonic()
			while host_loop.monotonic() - from < 0.1 do end
			added = host_loop.monotonic()
			timer.add_task(0.05, function () fired = host_loop.monotonic() end)
		end)
		run_until(function () return fired end)
		assert.is_true(fired - added >= 0.0499, "after " .. fired - added)
	end)

	it("goes on while the callback returns a number, at most once a turn", function ()
		local n, turn, seen = 0, 0, {}
		timer.add_task(0, function ()
			n = n + 1
			seen[turn] = (seen[turn] or 0) + 1
			return n < 5 and 0 or nil
		end)
		while n < 5 and turn < 1000 do
			turn = turn + 1
			host_loop.run(true)
		end
		assert.equal(5, n)
		for _, count in pairs(seen) do assert.equal(1, count) end
	end)

	it("does not fire within the turn that adds it", function ()
		local within, later
		timer.add_task(0, function ()
			local running = true
			timer.add_task(0, function () later, within = true, running end)
			running = false
		end)
		run_until(function () return later end)
		assert.is_false(within)
	end)

	it("stops, also twice, also inside its own callback", function ()
		local fired = 0
		local id = timer.add_task(0.01, function () fired = fired + 1 end)
		assert.is_true(timer.stop(id))
		assert.is_false(timer.stop(id))
		local own
		own = timer.add_task(0.01, function ()
			fired = fired + 1
			timer.stop(own)
			return 0.001
		end)
		run_for(0.05)
		assert.equal(1, fired)
		assert.is_false(timer.stop(own))
		assert.is_false(timer.stop(nil))
		assert.is_false(timer.stop("no id"))
		assert.is_false(timer.stop(1 << 40))
	end)

	it("reschedules to a later and to an earlier time", function ()
		local fired = {}
		local late = timer.add_task(0.01, function () fired.late = host_loop.monotonic() end)
		local early = timer.add_task(10, function () fired.early = host_loop.monotonic() end)
		local from = host_loop.monotonic()
		assert.is_true(timer.reschedule(late, 0.1))
		assert.is_true(timer.reschedule(early, 0.03))
		run_until(function () return fired.late and fired.early end, 2)
		assert.is_true(fired.early - from >= 0.03)
		assert.is_true(fired.late - from >= 0.1)
		assert.is_true(fired.early < fired.late)
		assert.is_false(timer.reschedule(late, 1))
	end)

	it("reschedules itself inside its callback", function ()
		local n = 0
		local id
		id = timer.add_task(0.005, function ()
			n = n + 1
			if n < 3 then timer.reschedule(id, 0.005) end
		end)
		run_until(function () return n == 3 end)
		run_for(0.03)
		assert.equal(3, n)
	end)

	it("never confuses a dead id with its successor", function ()
		local fired = false
		local dead = timer.add_task(1, function () end)
		timer.stop(dead)
		timer.add_task(0.01, function () fired = true end)
		assert.is_false(timer.stop(dead))
		assert.is_false(timer.reschedule(dead, 100))
		run_until(function () return fired end)
	end)

	it("logs an error and goes on with the others", function ()
		local lines, fired = {}, false
		local sink = logger.add_simple_sink(function (_, level, message)
			if level == "error" then lines[#lines + 1] = message end
		end, { "error" })
		require "net.server"
		timer.add_task(0, function () error("broken") end)
		timer.add_task(0.01, function () fired = true end)
		run_until(function () return fired end)
		logger.remove_sink(sink)
		assert.equal(1, #lines)
		assert.matches("^Error in timer: .*timer_spec.lua:%d+: broken", lines[1])
	end)

	it("takes what Lua calls a number and refuses what is none", function ()
		local id = timer.add_task(math.huge, function () end)
		assert.is_true(timer.stop(id))
		assert.is_true(timer.stop(timer.add_task(-5, function () end)))
		assert.has_error(function () timer.add_task(0 / 0, function () end) end)
		assert.has_error(function () timer.add_task("soon", function () end) end)
		assert.has_error(function () timer.add_task(1) end)
	end)

	it("holds many and forgets what they refer to", function ()
		local before = timer.pending()
		local weak = setmetatable({}, { __mode = "k" })
		local ids = {}
		for i = 1, 20000 do
			local param = { i }
			weak[param] = true
			ids[i] = timer.add_task(100 + i % 97, function () return param end, param)
		end
		assert.equal(before + 20000, timer.pending())
		for i = 1, 20000 do assert.is_true(timer.stop(ids[i])) end
		assert.equal(before, timer.pending())
		collectgarbage()
		assert.is_nil(next(weak))
	end)

	it("takes one that is due in the same turn away, and moves one", function ()
		local order, stopped, moved = {}, nil, nil
		local function note(_, _, name) order[#order + 1] = name end
		local from <const> = host_loop.monotonic()
		timer.add_task(0.01, function ()
			note(nil, nil, "first")
			timer.stop(stopped)
			timer.reschedule(moved, 0.05)
			timer.add_task(0, note, "added")
		end)
		stopped = timer.add_task(0.0101, note, "stopped")
		moved = timer.add_task(0.0102, function () note(nil, nil, host_loop.monotonic() - from) end)
		timer.add_task(0.0103, note, "last")
		while host_loop.monotonic() - from < 0.011 do end
		run_until(function () return #order == 4 end)
		assert.same({ "first", "last", "added" }, { order[1], order[2], order[3] })
		assert.is_true(order[4] >= 0.06)
		assert.is_false(timer.stop(stopped))
	end)

	it("stops and is moved again by its own callback, and then forgets its argument", function ()
		local weak <const> = setmetatable({}, { __mode = "k" })
		local n, id = 0, nil
		local param = {}
		weak[param] = true
		id = timer.add_task(0, function (_, own, given)
			assert(own == id and weak[given])
			n = n + 1
			assert(timer.stop(id) and timer.reschedule(id, n < 3 and 0.001 or 0.002))
			if n == 3 then
				assert(timer.stop(id))
				return 0
			end
		end, param)
		param = nil
		run_until(function () return n == 3 end)
		run_for(0.02)
		assert.equal(3, n)
		assert.is_false(timer.stop(id))
		collectgarbage()
		assert.is_nil(next(weak))
		assert.is_nil(param)
	end)

	-- Each timer is due between what the clock said before and after the call that set it.
	it("keeps the order of time while thousands are added, moved, stopped and fire", function ()
		local tasks <const>, fired <const>, wrong <const>, left = {}, {}, {}, 0
		local function set(task, how)
			local delay <const> = 0.001 + math.random() * 0.2
			task.from = host_loop.monotonic() + delay
			how(delay)
			task.till = host_loop.monotonic() + delay
		end
		local function add()
			local task <const> = {}
			local function fire(_, id)
				if id ~= task.id or task.gone or host_loop.monotonic() < task.from then
					wrong[#wrong + 1] = task
				end
				task.gone, left = true, left - 1
				fired[#fired + 1] = task
			end
			set(task, function (delay) task.id = timer.add_task(delay, fire) end)
			tasks[#tasks + 1], left = task, left + 1
		end
		local function change(task)
			if task.gone then
				add()
			elseif math.random(2) == 1 then
				assert(timer.stop(task.id))
				task.gone, left = true, left - 1
			else
				set(task, function (delay) assert(timer.reschedule(task.id, delay)) end)
			end
		end
		math.randomseed(11)
		for _ = 1, 4000 do add() end
		timer.add_task(0, function ()
			for _ = 1, 200 do change(tasks[math.random(#tasks)]) end
			return #fired < 2000 and 0.003 or nil
		end)
		run_until(function () return left == 0 end, 60)
		assert.same({}, wrong)
		assert.is_true(#fired >= 2000)
		local latest = 0
		for _, task in ipairs(fired) do
			latest = math.max(latest, task.from)
			assert.is_true(task.till >= latest)
		end
	end)

	it("adds none when there is no memory for what it calls", function ()
		local before <const>, ids <const> = timer.pending(), {}
		for i = 1, 100000 do ids[i] = false end
		collectgarbage() collectgarbage()
		local used <const> = collectgarbage "count" * 1024
		host_guard.limits { memory = used + 1024 }
		local ok, err
		for i = 1, #ids do
			ok, err = pcall(timer.add_task, 100, print, "param")
			if not ok then break end
			ids[i] = err
		end
		host_guard.limits { memory = 0 }
		assert.is_false(ok)
		assert.matches("not enough memory", err)
		for i = 1, #ids do
			if ids[i] then assert(timer.stop(ids[i])) end
		end
		assert.equal(before, timer.pending())
	end)

	it("says when a monotonic time comes in realtime", function ()
		local t = timer.to_absolute_time(host_loop.monotonic() + 10)
		assert.is_true(math.abs(t - (host_loop.now() + 10)) < 2)
	end)
end)

describe("host.loop", function ()
	it("runs nextticks in order, before it sleeps, and new ones in a later turn", function ()
		local order = {}
		host_loop.nexttick(function ()
			order[#order + 1] = 1
			host_loop.nexttick(function () order[#order + 1] = 3 end)
		end)
		host_loop.nexttick(function () order[#order + 1] = 2 end)
		host_loop.run(true)
		assert.same({ 1, 2 }, order)
		host_loop.run(true)
		assert.same({ 1, 2, 3 }, order)
	end)

	it("says timeout for a turn in which nothing happened", function ()
		for _ = 1, 3 do host_loop.run(true) end
		assert.same({ nil, "timeout" }, { host_loop.run(true) })
	end)

	it("returns quitting", function ()
		timer.add_task(0, function () host_loop.quit() end)
		assert.equal("quitting", host_loop.run())
	end)

	it("refuses to be run by a callback", function ()
		local ok, err
		timer.add_task(0, function () ok, err = pcall(host_loop.run, true) end)
		run_until(function () return ok ~= nil end)
		assert.is_false(ok)
		assert.matches("runs already", err)
	end)
end)
