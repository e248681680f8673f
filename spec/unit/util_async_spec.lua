-- plain lua too
local async <const> = require "util.async"
local promise <const> = require "util.promise"

-- A runner that notes what its watchers hear.
local function new_runner(func)
	local heard = {}
	local runner = async.runner(func, {
		ready = function () heard[#heard + 1] = "ready" end,
		waiting = function () heard[#heard + 1] = "waiting" end,
		error = function (_, err) heard[#heard + 1] = err end,
	})
	return runner, heard
end

describe("util.async", function ()
	local seen

	before_each(function () seen = {} end)

	describe("runner", function ()
		it("processes items in order and is ready again", function ()
			local r, heard = new_runner(function (item) seen[#seen + 1] = item end)
			assert.equal("ready", r.state)
			assert.same({ true, "ready", 0 }, { r:run(1) })
			r:run(2)
			assert.same({ 1, 2 }, seen)
			assert.same({}, heard)
		end)

		it("does nothing with an empty queue", function ()
			local r = new_runner(function () seen[1] = true end)
			r:run()
			assert.same({}, seen)
		end)

		it("takes false as an item", function ()
			local r = new_runner(function (item) seen[#seen + 1] = item end)
			r:run(false)
			assert.same({ false }, seen)
		end)

		it("keeps enqueued items until it runs", function ()
			local r = new_runner(function (item) seen[#seen + 1] = item end)
			r:enqueue("a"):enqueue("b")
			assert.same({}, seen)
			r:run("c")
			assert.same({ "a", "b", "c" }, seen)
		end)

		it("queues what it is given while it runs", function ()
			local r
			r = new_runner(function (item)
				seen[#seen + 1] = item
				if item < 3 then
					assert.same({ true, "running" }, { (r:run(item + 1)), (select(2, r:run())) })
				end
				seen[#seen + 1] = -item
			end)
			r:run(1)
			assert.same({ 1, -1, 2, -2, 3, -3 }, seen)
			assert.equal(0, #r.queue)
		end)

		it("calls functions when it has none of its own", function ()
			async.runner():run(function () seen[1] = "called" end)
			assert.same({ "called" }, seen)
		end)

		it("raises errors to the caller when it has no watchers", function ()
			local r = async.runner()
			assert.error_matches(function () r:run(function () error("boom") end) end, "boom")
			assert.equal("ready", r.state)
		end)

		it("tells its error watcher and goes on with the next item", function ()
			local err = {}
			local r, heard = new_runner(function (item)
				if item == "bad" then error(err) end
				seen[#seen + 1] = item
			end)
			r:enqueue("one"):enqueue("bad"):enqueue("two"):run()
			assert.same({ "one", "two" }, seen)
			assert.same({ err }, heard)
			assert.equal("ready", r.state)
		end)

		it("gives text of errors a traceback of the coroutine", function ()
			local r, heard = new_runner(function () error("where") end)
			r:run(1)
			assert.matches("util_async_spec%.lua:%d+: where\nstack traceback", heard[1])
		end)

		it("closes variables of a coroutine that raised", function ()
			local r = new_runner(function ()
				local _ <close> = setmetatable({}, { __close = function () seen[1] = "closed" end })
				error("x")
			end)
			r:run(1)
			assert.same({ "closed" }, seen)
		end)

		it("keeps data and lets watchers be set one by one", function ()
			local r = async.runner(function () error("e", 0) end, {}, "data")
			assert.equal("data", r.data)
			assert.equal(r, r:onerror(function (_, err) seen[1] = err:match("^e") end))
			assert.equal(r, r:onready(print):onwaiting(print))
			r:run(1)
			assert.same({ "e" }, seen)
		end)

		it("does not lose items of a long queue", function ()
			local sum = 0
			local r = new_runner(function (item) sum = sum + item end)
			for i = 1, 5000 do r:enqueue(i) end
			r:run()
			assert.equal(5000 * 5001 // 2, sum)
		end)
	end)

	describe("waiter", function ()
		it("needs a runner", function ()
			assert.has_error(function () async.waiter() end)
		end)

		it("waits until done, while later items queue", function ()
			local done
			local r, heard = new_runner(function (item)
				if item == "wait" then
					local wait
					wait, done = async.waiter()
					wait()
				end
				seen[#seen + 1] = item
			end)
			assert.same({ true, "waiting", 0 }, { r:run("wait") })
			assert.same({ true, "waiting", 1 }, { r:run("next") })
			assert.same({}, seen)
			assert.is_number(async.waiting_runners[r])
			done()
			assert.same({ "wait", "next" }, seen)
			assert.same({ "waiting", "ready" }, heard)
			assert.is_nil(async.waiting_runners[r])
		end)

		it("waits for as many done() as it was told", function ()
			local done
			local r = new_runner(function ()
				local wait
				wait, done = async.waiter(3)
				wait()
				seen[1] = "through"
			end)
			r:run(1)
			done()
			done()
			assert.same({}, seen)
			done()
			assert.same({ "through" }, seen)
			assert.error_matches(done, "too many times")
		end)

		it("allows more done() where it was told so", function ()
			local done
			new_runner(function ()
				local wait
				wait, done = async.waiter(1, true)
				wait()
			end):run(1)
			done()
			done()
		end)

		it("does not wait when done() came first", function ()
			local r, heard = new_runner(function ()
				local wait, done = async.waiter()
				done()
				wait()
				seen[1] = "through"
			end)
			r:run(1)
			assert.same({ "through" }, seen)
			assert.same({}, heard)
		end)

		it("reports an error behind the wait and processes what has queued", function ()
			local done
			local err = {}
			local r, heard = new_runner(function (item)
				if item == "wait" then
					local wait
					wait, done = async.waiter()
					wait()
					error(err)
				end
				seen[#seen + 1] = item
			end)
			r:run("wait")
			r:run("next")
			done()
			assert.same({ "next" }, seen)
			assert.same({ "waiting", err, "ready" }, heard)
			assert.equal("ready", r.state)
		end)

		it("keeps two runners apart", function ()
			local dones = {}
			local function func(item)
				local wait
				wait, dones[item] = async.waiter()
				wait()
				seen[#seen + 1] = item
			end
			local a, b = new_runner(func), new_runner(func)
			a:run("a")
			b:run("b")
			dones.b()
			assert.same({ "b" }, seen)
			assert.equal("waiting", a.state)
			dones.a()
			assert.same({ "b", "a" }, seen)
		end)

		it("goes on through set_nexttick", function ()
			finally(function () async.set_nexttick(nil) end)
			local later, done = {}, nil
			async.set_nexttick(function (f) later[#later + 1] = f end)
			local r = new_runner(function ()
				local wait
				wait, done = async.waiter()
				wait()
			end)
			r:run(1)
			done()
			assert.equal("waiting", r.state)
			later[1]()
			assert.equal("ready", r.state)
		end)
	end)

	describe("guarder", function ()
		it("lets one in at a time, in order, for each id", function ()
			local guard, exits = async.guarder(), {}
			local function enter(name)
				new_runner(function ()
					local exit = guard("id")
					exits[name] = exit
					seen[#seen + 1] = name
				end):run(1)
			end
			enter "a"
			enter "b"
			enter "c"
			new_runner(function () guard("other", function () seen[#seen + 1] = "other" end) end):run(1)
			assert.same({ "a", "other" }, seen)
			exits.a()
			assert.same({ "a", "other", "b" }, seen)
			exits.a() -- twice lets nobody in
			assert.same({ "a", "other", "b" }, seen)
			exits.b()
			exits.c()
			enter "d"
			assert.same({ "a", "other", "b", "c", "d" }, seen)
		end)

		it("lets the next in when its function raises", function ()
			local guard = async.guarder()
			local r, heard = new_runner(function () guard(nil, function () error("inside") end) end)
			r:run(1)
			assert.matches("inside", heard[1])
			new_runner(function () guard(nil, function () seen[1] = "in" end) end):run(1)
			assert.same({ "in" }, seen)
		end)
	end)

	describe("sleep", function ()
		after_each(function () async.set_schedule_function(nil) end)

		it("waits for the scheduled call", function ()
			local seconds, wake
			async.set_schedule_function(function (s, f) seconds, wake = s, f end)
			new_runner(function ()
				async.sleep(5)
				seen[1] = "awake"
			end):run(1)
			assert.equal(5, seconds)
			assert.same({}, seen)
			wake()
			assert.same({ "awake" }, seen)
		end)

		it("raises where nothing schedules", function ()
			local r, heard = new_runner(function () async.sleep(5) end)
			r:run(1)
			assert.matches("not available", heard[1])
		end)
	end)

	describe("wait_for", function ()
		local function wait_for(p)
			new_runner(function () seen = table.pack(async.wait_for(p)) end):run(1)
			return seen
		end

		it("returns the value of a settled promise, false included", function ()
			assert.same({ "v", n = 1 }, wait_for(promise.resolve("v")))
			assert.same({ false, n = 1 }, wait_for(promise.resolve(false)))
		end)

		it("returns nil and the reason", function ()
			assert.same({ nil, "r", n = 2 }, wait_for(promise.reject("r")))
		end)

		it("waits for a pending one", function ()
			local resolve
			wait_for(promise.new(function (f) resolve = f end))
			assert.same({}, seen)
			resolve("late")
			assert.same({ "late", n = 1 }, seen)
		end)
	end)

	it("ready says whether one can wait here", function ()
		assert.is_false((async.ready()))
		new_runner(function () seen[1] = async.ready() end):run(1)
		assert.same({ true }, seen)
	end)
end)
