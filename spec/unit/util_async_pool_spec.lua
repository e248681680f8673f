-- plain lua too
local async <const> = require "util.async"

describe("util.async.run_pooled", function ()
	local errors, seen

	before_each(function () errors, seen = {}, {} end)

	local function run(work, subject)
		async.run_pooled(work, subject, function (failed, err)
			errors[#errors + 1] = { failed, err }
		end)
	end

	local function own_coroutine()
		seen[#seen + 1] = coroutine.running()
	end

	it("calls work with its subject where it may wait", function ()
		run(function (subject) seen = { subject, (async.ready()) } end, "it")
		assert.same({ "it", true }, seen)
	end)

	it("uses a coroutine again once its work has ended", function ()
		run(own_coroutine)
		run(own_coroutine)
		assert.equal(seen[1], seen[2])
	end)

	it("lets several pieces of work wait, each in its own coroutine", function ()
		local dones = {}
		local function work(name)
			local wait, done = async.waiter()
			dones[name] = done
			own_coroutine()
			wait()
			seen[name] = "over"
		end
		run(work, "a")
		run(work, "b")
		assert.not_equal(seen[1], seen[2])
		dones.b()
		assert.is_nil(seen.a)
		assert.equal("over", seen.b)
		dones.a()
		assert.equal("over", seen.a)
		run(own_coroutine)
		assert.is_true(seen[3] == seen[1] or seen[3] == seen[2])
	end)

	it("runs work inside work", function ()
		run(function ()
			own_coroutine()
			run(own_coroutine)
			own_coroutine()
		end)
		assert.not_equal(seen[1], seen[2])
		assert.equal(seen[1], seen[3])
	end)

	it("says who waits, as long as it does", function ()
		local function waiting()
			local n = 0
			for _ in pairs(async.waiting_runners) do n = n + 1 end
			return n
		end
		local before, finish = waiting(), nil
		run(function ()
			local wait
			wait, finish = async.waiter()
			wait()
		end)
		assert.equal(before + 1, waiting())
		finish()
		assert.equal(before, waiting())
	end)

	it("tells of an error with its traceback, and goes on", function ()
		run(function () error("at once") end, 1)
		local finish
		run(function ()
			local wait
			wait, finish = async.waiter()
			wait()
			error("later")
		end, 2)
		finish()
		run(own_coroutine)
		assert.equal(1, errors[1][1])
		assert.matches("at once.*traceback", errors[1][2])
		assert.equal(2, errors[2][1])
		assert.matches("later.*traceback", errors[2][2])
		assert.equal(2, #errors)
		assert.equal(1, #seen)
	end)
end)
