-- plain lua too
local promise <const> = require "util.promise"

-- A promise and the functions that settle it.
local function deferred()
	local resolve, reject
	local p = promise.new(function (res, rej) resolve, reject = res, rej end)
	return p, resolve, reject
end

-- { "value", v } or { "reason", r } once settled.
local function outcome(p)
	local result = {}
	p:next(function (value) result[1], result[2] = "value", value end,
		function (reason) result[1], result[2] = "reason", reason end)
	return result
end

describe("util.promise", function ()
	it("says its state", function ()
		assert.equal("promise (pending)", tostring(promise.new()))
		assert.equal("promise (fulfilled)", tostring(promise.resolve(1)))
		assert.equal("promise (rejected)", tostring(promise.reject(1)))
	end)

	it("is told from other tables", function ()
		assert.is_true(promise.is_promise(promise.new()))
		for _, other in ipairs { {}, "promise", 1, print } do
			assert.is_false(promise.is_promise(other))
		end
		assert.is_false(promise.is_promise(nil))
	end)

	for _, value in ipairs { "text", false, 0 } do
		it("hands the value " .. tostring(value) .. " to callbacks added before and after", function ()
			local p, resolve = deferred()
			local early = outcome(p)
			assert.same({}, early)
			resolve(value)
			assert.same({ "value", value }, early)
			assert.same({ "value", value }, outcome(p))
		end)
	end

	it("hands nil over, too", function ()
		local result = outcome(promise.resolve(nil))
		assert.equal("value", result[1])
		assert.is_nil(result[2])
	end)

	it("calls every callback, in the order they were added", function ()
		local p, resolve = deferred()
		local seen = {}
		for i = 1, 4 do p:next(function () seen[i] = #seen + 1 end) end
		resolve()
		assert.same({ 1, 2, 3, 4 }, seen)
	end)

	it("shows its value to a callback that adds another", function ()
		local p, resolve = deferred()
		local inner
		p:next(function () inner = outcome(p) end)
		resolve("v")
		assert.same({ "value", "v" }, inner)
	end)

	it("does not settle twice", function ()
		local p, resolve, reject = deferred()
		resolve("first")
		resolve("second")
		reject("third")
		assert.same({ "value", "first" }, outcome(p))
	end)

	it("does not settle otherwise while it waits for another promise", function ()
		local p, resolve, reject = deferred()
		local inner, resolve_inner = deferred()
		resolve(inner)
		reject("too late")
		resolve_inner("inner")
		assert.same({ "value", "inner" }, outcome(p))
	end)

	it("takes over a rejected promise's reason", function ()
		assert.same({ "reason", "r" }, outcome(promise.resolve(promise.reject("r"))))
	end)

	it("is rejected by an error in its function, with a traceback behind text", function ()
		local result = outcome(promise.new(function () error("oh no") end))
		assert.equal("reason", result[1])
		assert.matches("oh no\nstack traceback", result[2])
		local err = {}
		assert.same({ "reason", err }, outcome(promise.new(function () error(err) end)))
	end)

	it("ignores an error after it is settled", function ()
		local p = promise.new(function (resolve)
			resolve("fine")
			error("late")
		end)
		assert.same({ "value", "fine" }, outcome(p))
	end)

	it("chains what callbacks return", function ()
		local p = promise.resolve(1):next(function (v) return v + 1 end):next(function (v)
			return promise.resolve(v * 10)
		end)
		assert.same({ "value", 20 }, outcome(p))
	end)

	it("passes values and reasons through where there is no callback", function ()
		assert.same({ "value", 1 }, outcome(promise.resolve(1):catch(error):next()))
		assert.same({ "reason", 2 }, outcome(promise.reject(2):next(error):next()))
	end)

	it("is fulfilled again by what catch returns", function ()
		local p = promise.reject("bad"):catch(function (reason) return reason .. "!" end)
		assert.same({ "value", "bad!" }, outcome(p))
	end)

	it("is rejected by an error in a callback", function ()
		local err = {}
		assert.same({ "reason", err }, outcome(promise.resolve(1):next(function () error(err) end)))
		assert.same({ "reason", err }, outcome(promise.reject(1):catch(function () error(err) end)))
	end)

	describe("finally", function ()
		it("runs without arguments in both cases and passes the outcome on", function ()
			local calls = {}
			local function count(...) calls[#calls + 1] = select("#", ...) end
			assert.same({ "value", 1 }, outcome(promise.resolve(1):finally(count)))
			assert.same({ "reason", 2 }, outcome(promise.reject(2):finally(count)))
			assert.same({ 0, 0 }, calls)
		end)

		it("replaces the outcome by its own error", function ()
			local err = {}
			local function raise() error(err) end
			assert.same({ "reason", err }, outcome(promise.resolve(1):finally(raise)))
			assert.same({ "reason", err }, outcome(promise.reject(2):finally(raise)))
		end)
	end)

	describe("all", function ()
		it("waits for every one and keeps keys and plain values", function ()
			local p1, resolve1 = deferred()
			local p2, resolve2 = deferred()
			local result = outcome(promise.all { p1, x = p2, [true] = "plain" })
			resolve2("two")
			assert.same({}, result)
			resolve1("one")
			assert.same({ "value", { "one", x = "two", [true] = "plain" } }, result)
		end)

		it("is rejected by the first reason", function ()
			local p1, _, reject1 = deferred()
			local p2, _, reject2 = deferred()
			local result = outcome(promise.all { p1, p2 })
			reject2("second")
			reject1("first")
			assert.same({ "reason", "second" }, result)
		end)

		it("is fulfilled at once by nothing and by settled promises", function ()
			assert.same({ "value", {} }, outcome(promise.all {}))
			assert.same({ "value", { 1, 2 } },
				outcome(promise.all { promise.resolve(1), promise.resolve(2) }))
		end)
	end)

	describe("all_settled", function ()
		it("tells how each ended", function ()
			local p1, resolve = deferred()
			local result = outcome(promise.all_settled { p1, promise.reject("r"), "plain" })
			assert.same({}, result)
			resolve("v")
			assert.same({ "value", {
				{ status = "fulfilled", value = "v" }, { status = "rejected", reason = "r" }, "plain",
			} }, result)
		end)
	end)

	it("race takes the first to settle", function ()
		local p1, resolve1 = deferred()
		local p2, _, reject2 = deferred()
		local result = outcome(promise.race { p1, p2 })
		reject2("faster")
		resolve1("slower")
		assert.same({ "reason", "faster" }, result)
	end)

	it("join calls its function with all the values, nil included", function ()
		local p = promise.join(function (...)
			return { n = select("#", ...), ... }
		end, promise.resolve(1), promise.resolve(nil), promise.resolve(3))
		assert.same({ "value", { n = 3, 1, nil, 3 } }, outcome(p))
	end)

	it("try makes a promise of a value, a promise and an error", function ()
		local err = {}
		assert.same({ "value", 1 }, outcome(promise.try(function () return 1 end)))
		assert.same({ "reason", 2 }, outcome(promise.try(function () return promise.reject(2) end)))
		assert.same({ "reason", err }, outcome(promise.try(function () error(err) end)))
	end)

	it("starts its function through set_nexttick", function ()
		finally(function () promise.set_nexttick(nil) end)
		local later = {}
		promise.set_nexttick(function (f) later[#later + 1] = f end)
		local started = false
		promise.new(function () started = true end)
		assert.is_false(started)
		later[1]()
		assert.is_true(started)
	end)
end)
