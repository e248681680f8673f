local fake_timer <const> = require "spec.support.fake_timer"

describe("core.phases", function ()
	local phases, promise, async, clock, log

	setup(function ()
		package.preload["util.timer"] = package.preload["util.timer"] or function ()
			return { add_task = function () end, stop = function () end }
		end
		phases, promise, async = require "core.phases", require "util.promise", require "util.async"
	end)
	teardown(function ()
		for _, name in ipairs { "core.holds", "core.phases", "core.sessions", "util.timer" } do
			package.loaded[name] = nil
		end
		package.preload["util.timer"] = nil
	end)
	before_each(function ()
		clock, log = fake_timer.new(), {}
	end)

	local function run(list, opts)
		opts = opts or {}
		opts.list, opts.now, opts.timer = list, clock.now, clock
		local done = opts.done
		opts.done = function (results)
			log[#log + 1] = "done"
			if done then done(results) end
		end
		return phases.run(opts)
	end

	local function phase(name, budget, work)
		return { name = name, budget = budget, work = function (event, self)
			log[#log + 1] = name
			return work and work(event, self)
		end }
	end

	local function results(it)
		local list = {}
		for i, record in ipairs(it.results) do
			list[i] = record.phase .. " " .. record.result
		end
		return list
	end

	it("runs phases in order and ends each as soon as its work is done", function ()
		local it = run { phase("a", 10), phase("b", 10), phase("c", 10) }
		clock.settle()
		assert.same({ "a", "b", "c", "done" }, log)
		assert.same({ "a clean", "b clean", "c clean" }, results(it))
		assert.equal(0, clock.pending())
	end)

	it("waits for holds and ends with the last release", function ()
		local release
		local it = run { phase("a", 10, function (event) release = event:hold("x") end), phase("b", 1) }
		clock.advance(3)
		assert.same({ "a" }, log)
		release()
		clock.settle()
		assert.same({ "a", "b", "done" }, log)
		assert.equal(3, it.results[1].seconds)
	end)

	it("ends at its deadline and names who held it", function ()
		local it = run { phase("a", 2, function (event) event:hold("x", nil, nil, { id = "c1" }) end) }
		clock.advance(1.9)
		assert.same({ "a" }, log)
		clock.advance(0.2)
		assert.same({ "a expired" }, results(it))
		assert.equal("x", it.results[1].holders[1].hold)
		assert.equal("c1", it.results[1].holders[1].conn)
		assert.same({ "a", "done" }, log)
	end)

	it("calls a hold that passed its own limit expired although the phase went on", function ()
		local it = run { phase("a", 9, function (event) event:hold("x", 1) end) }
		clock.advance(1.1)
		assert.same({ "a expired" }, results(it))
	end)

	it("goes on after work that raises, and calls it failed", function ()
		local it = run { phase("a", 9, function () error("planted") end), phase("b", 9) }
		clock.settle()
		assert.same({ "a failed", "b clean" }, results(it))
		assert.truthy(it.results[1].error:find("planted", 1, true))
	end)

	it("goes on when the event of a phase raises", function ()
		local it = run({ phase("a", 9), phase("b", 9) },
			{ enter = function (self) if self.name == "a" then error("planted") end end })
		clock.settle()
		assert.same({ "a failed", "b clean" }, results(it))
	end)

	it("is not stopped by work that returns false or anything else", function ()
		run { phase("a", 9, function () return false end), phase("b", 9, function () return 7 end) }
		clock.settle()
		assert.same({ "a", "b", "done" }, log)
	end)

	it("waits for work that waits, up to the deadline", function ()
		local resume
		local it = run {
			phase("a", 9, function ()
				local wait, done = async.waiter()
				resume = done
				wait()
			end),
			phase("b", 2, function ()
				local wait = async.waiter()
				wait()
			end),
		}
		clock.advance(5)
		assert.same({ "a" }, log)
		resume()
		clock.settle()
		assert.same({ "a", "b" }, log)
		clock.advance(2)
		assert.same({ "a clean", "b expired" }, results(it))
	end)

	it("waits for a promise, and calls a rejected one failed", function ()
		local settle, refuse
		local it = run {
			phase("a", 9, function () return promise.new(function (resolve) settle = resolve end) end),
			phase("b", 9, function () return promise.new(function (_, reject) refuse = reject end) end),
		}
		clock.advance(1)
		settle()
		clock.advance(1)
		refuse("no disk")
		clock.advance(1)
		assert.same({ "a clean", "b failed" }, results(it))
	end)

	it("never gives a phase more than the run has left", function ()
		local ends = clock.now() + 5
		local it = run({
			phase("a", 4, function (event) event:hold("x") end),
			phase("b", 10, function (event) event:hold("x") end),
			phase("c", 10, function (event) event:hold("x") end),
		}, { left = function () return ends - clock.now() end })
		clock.advance(5.1)
		assert.same({ "a expired", "b expired", "c expired" }, results(it))
		assert.near(1, it.results[2].seconds, 0.01)
		assert.near(0, it.results[3].seconds, 0.01)
		assert.equal("done", log[4])
	end)

	it("keeps the least time of a phase even when nothing is left", function ()
		local last = phase("quit", 5, function (event) event:hold("flush") end)
		last.least = 0.2
		local it = run({ last }, { left = function () return -1 end })
		clock.advance(0.1)
		assert.equal(0, #it.results)
		clock.advance(0.2)
		assert.same({ "quit expired" }, results(it))
	end)

	it("lingers for stragglers, but not longer than it is told", function ()
		local count = 3
		local function work(_, self)
			self.stragglers = function () return count end
		end
		local it = run({ phase("a", 9, work), phase("b", 9, work) }, { linger = 1 })
		clock.advance(0.5)
		assert.equal(0, #it.results)
		clock.advance(0.6)
		assert.same({ "a clean" }, results(it))
		count = 0
		it.current:check()
		clock.settle()
		assert.same({ "a clean", "b clean" }, results(it))
	end)

	it("ends the current phase when it is hurried, and only that", function ()
		local it = run {
			phase("a", 9, function (event) event:hold("x") end),
			phase("b", 9, function (event) event:hold("x") end),
		}
		assert.equal("a", it:hurry())
		clock.settle()
		assert.same({ "a", "b" }, log)
		assert.same({ "a expired" }, results(it))
	end)

	it("asks the work what a cut means", function ()
		local why
		local it = run { phase("a", 9, function (_, self)
			self.on_cut = function (reason) why = reason return "clean" end
			local wait = async.waiter()
			wait()
		end) }
		it:hurry()
		clock.settle()
		assert.same({ "a clean" }, results(it))
		assert.equal("hurry", why)
	end)

	it("calls a phase expired when others held it, whatever its work says", function ()
		local it = run { phase("a", 9, function (event, self)
			self.on_cut = function () return "clean" end
			event:hold("x")
		end) }
		it:hurry()
		assert.same({ "a expired" }, results(it))
	end)

	it("is not stopped by an on_cut that raises", function ()
		local it = run { phase("a", 1, function (event, self)
			self.on_cut = function () error("planted") end
			event:hold("x")
		end) }
		clock.advance(2)
		assert.same({ "a failed" }, results(it))
		assert.equal("done", log[2])
	end)

	it("gives the running phase more time when it is extended", function ()
		local it = run { phase("a", 2, function (event) event:hold("x") end) }
		clock.advance(1)
		it:extend(5)
		clock.advance(5)
		assert.equal(0, #it.results)
		clock.advance(1.1)
		assert.same({ "a expired" }, results(it))
	end)

	it("begins every phase but waits for none when it is cut", function ()
		local it = run {
			phase("a", 9, function (event) event:hold("x") end),
			phase("b", 9, function (event) event:hold("x") end),
			phase("c", 9),
		}
		it:cut()
		clock.settle()
		assert.same({ "a", "b", "c", "done" }, log)
	end)

	it("begins nothing after an abort and does not say done", function ()
		local it = run { phase("a", 9, function (event) event:hold("x") end), phase("b", 9) }
		it:abort()
		clock.advance(20)
		assert.same({ "a" }, log)
		assert.same({ "a aborted" }, results(it))
	end)

	it("tells the state of every phase, also of those to come", function ()
		local it = run { phase("a", 1), phase("b", 9, function (event) event:hold("x") end),
			phase("c", 3) }
		clock.settle()
		local words = {}
		for i, entry in ipairs(it:status()) do words[i] = entry.phase .. " " .. entry.state end
		assert.same({ "a ended", "b running", "c waiting" }, words)
	end)

	it("gives every phase's event the fields of the run, its name and its deadline", function ()
		local seen
		run({ phase("a", 7, function (event) seen = event end) },
			{ event = { reason = "SIGTERM", evict = true } })
		assert.same({ "a", "SIGTERM", true }, { seen.phase, seen.reason, seen.evict })
		assert.equal(clock.now() + 7, seen.deadline)
	end)
end)
