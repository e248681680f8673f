-- plain lua too
local new <const> = require "util.events".new

-- A handler that notes its name and returns `ret`.
local function note(list, name, ret)
	return function ()
		list[#list + 1] = name
		return ret
	end
end

describe("util.events isolation", function ()
	local e, errors, seen

	before_each(function ()
		e, seen = new(), {}
	end)

	local function isolated(mode)
		errors = {}
		return new {
			isolate = function (event) return event == "life" and mode or nil end,
			on_error = function (...) errors[#errors + 1] = { ... } end,
		}
	end

	for _, mode in ipairs { "all", "first" } do
		it("in mode " .. mode .. " runs the rest behind a handler that raises", function ()
			e = isolated(mode)
			local bad = function () error("broken") end
			e.add_handler("life", bad, 1)
			e.add_handler("life", note(seen, "rest"))
			e.fire_event("life")
			assert.same({ "rest" }, seen)
			assert.equal("life", errors[1][1])
			assert.equal(bad, errors[1][2])
			assert.matches("util_events_isolation_spec%.lua:%d+: broken", errors[1][3])
			assert.matches("traceback", errors[1][3])
		end)
	end

	it("in mode all ignores return values", function ()
		e = isolated "all"
		e.add_handler("life", note(seen, 1, false))
		e.add_handler("life", note(seen, 2, true))
		assert.is_nil(e.fire_event("life"))
		assert.same({ 1, 2 }, seen)
	end)

	it("in mode first ends at the first value, behind handlers that raise", function ()
		e = isolated "first"
		e.add_handler("life", function () error("x") end, 3)
		e.add_handler("life", note(seen, 1, false), 2)
		e.add_handler("life", note(seen, 2, true), 1)
		assert.is_false(e.fire_event("life"))
		assert.same({ 1 }, seen)
		assert.equal(1, #errors)
	end)

	it("leaves other events as they are", function ()
		e = isolated "all"
		e.add_handler("other", function () error("out", 0) end)
		assert.has_error(function () e.fire_event("other") end, "out")
		assert.same({}, errors)
	end)

	it("reports errors that are no text", function ()
		e = isolated "all"
		e.add_handler("life", function () error({}) end)
		e.add_handler("life", function () error(nil) end)
		e.fire_event("life")
		assert.matches("^table: ", errors[1][3])
		assert.matches("^nil", errors[2][3])
	end)

	it("can be declared later, for events that have handlers and have fired", function ()
		e.add_handler("life", function () error("late") end, 1)
		e.add_handler("life", note(seen, "rest"))
		assert.has_error(function () e.fire_event("life") end)
		local reports = 0
		e.set_isolation(function () return "all" end, function () reports = reports + 1 end)
		e.fire_event("life")
		assert.same({ "rest" }, seen)
		assert.equal(1, reports)
		e.set_isolation(nil)
		assert.has_error(function () e.fire_event("life") end)
	end)

	it("holds under a debug hook and without on_error", function ()
		e = new { isolate = function () return "all" end }
		e.add_handler("life", function () error("quiet") end, 1)
		e.add_handler("life", note(seen, "rest"))
		e.set_debug_hook(function (handler, _, data) return handler(data) end)
		e.fire_event("life")
		assert.same({ "rest" }, seen)
	end)

	it("lets handlers yield", function ()
		e = isolated "all"
		e.add_handler("life", function () coroutine.yield("waiting") end, 1)
		e.add_handler("life", note(seen, "rest"))
		local fire = coroutine.wrap(function () e.fire_event("life") end)
		assert.equal("waiting", fire())
		assert.same({}, seen)
		fire()
		assert.same({ "rest" }, seen)
	end)
end)
