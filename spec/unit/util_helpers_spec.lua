-- plain lua too
local debug_util <const> = require "util.debug"
local events <const> = require "util.events"
local helpers <const> = require "util.helpers"

describe("util.helpers", function ()
	local lines

	local function logger(level, message, ...)
		lines[#lines + 1] = level .. " " .. message:format(...)
	end

	before_each(function () lines = {} end)

	it("logs events, handlers and how a chain ends, until it is reverted", function ()
		local e = events.new()
		e.add_handler("x", function () return "done" end)
		assert.equal(e, helpers.log_events(e, "name", logger))
		assert.equal("done", e.fire_event("x"))
		assert.equal("debug name firing event: x", lines[1])
		assert.matches("calling handler for x: function", lines[2])
		assert.matches("event chain ended for x by function.* with result: done", lines[3])
		helpers.revert_log_events(e)
		helpers.revert_log_events(e)
		assert.equal("done", e.fire_event("x"))
		assert.equal(3, #lines)
	end)

	it("logs an error of a handler and lets it through", function ()
		local e = events.new()
		e.add_handler("x", function () error("bad") end)
		helpers.log_events(e, "name", logger)
		assert.error_matches(function () e.fire_event("x") end, "bad")
		assert.matches("^error error in event handler .*bad", lines[3])
	end)

	it("refuses what is no events object", function ()
		assert.has_error(function () helpers.log_events {} end)
	end)

	it("shows events with handlers in order, priorities and upvalues", function ()
		local e, secret_password, count = events.new(), "hush", 5
		local function late() return secret_password, count end
		e.add_handler("b", late, -1)
		e.add_handler("b", print, 7)
		e.add_handler("a", print)
		local text = helpers.show_events(e)
		assert.matches("^a\n  0: .*\n\nb\n  7: .*\n  %-1: ", text)
		assert.matches("count = 5", text)
		assert.is_nil(text:find("hush", 1, true))
		assert.is_nil(helpers.show_events(e, "b"):find("^a"))
		assert.equal("", helpers.show_events(e, "none"))
	end)

	it("reads and writes upvalues by name", function ()
		local a, b = 1, nil
		local function f() return a, b end
		assert.equal(1, helpers.get_upvalue(f, "a"))
		assert.is_nil(helpers.get_upvalue(f, "b"))
		assert.is_nil(helpers.get_upvalue(f, "none"))
		assert.is_true(helpers.set_upvalue(f, "b", 2))
		assert.is_false(helpers.set_upvalue(f, "none", 2))
		assert.same({ 1, 2 }, { f() })
		assert.same({ a = 1, b = 2 }, helpers.get_upvalues(f))
	end)
end)

describe("util.debug", function ()
	it("lists local variables of a level and of a coroutine", function ()
		local here = "value"
		local found
		for _, var in ipairs(debug_util.get_locals_table(nil, 1)) do
			if var.name == "here" then found = var.value end
		end
		assert.equal(here, found)
		local thread = coroutine.create(function (inner) -- luacheck: ignore 212/inner
			coroutine.yield()
		end)
		coroutine.resume(thread, 42)
		assert.same({ name = "inner", value = 42 }, debug_util.get_locals_table(thread, 1)[1])
	end)

	it("writes variables, hides passwords and breaks long lines", function ()
		local write = debug_util.string_from_var_table
		assert.is_nil(write {})
		assert.equal('{ a = 1, b = "x" }',
			write { { name = "a", value = 1 }, { name = "b", value = "x" } })
		assert.equal("{ my_password = <hidden> }", write { { name = "my_password", value = "x" } })
		assert.is_nil(write { { name = "(temporary)", value = 1 } })
		assert.equal("{ aaaa = 1,\n  bbbb = 2 }",
			write({ { name = "aaaa", value = 1 }, { name = "bbbb", value = 2 } }, 10, "  "))
		assert.matches("…", write({ { name = "a", value = ("x"):rep(100) } }, 20))
	end)

	it("writes a traceback with local variables, here and of a coroutine", function ()
		local marker = "m" .. 1
		local text = debug_util.traceback("message")
		assert.matches("^message\nstack traceback:\n", text)
		assert.matches('marker = "' .. marker .. '"', text)
		local thread = coroutine.create(function ()
			local deep = 7
			coroutine.yield(deep)
		end)
		coroutine.resume(thread)
		assert.matches("deep = 7", debug_util.traceback(thread, "m"))
		local err = {}
		assert.equal(err, debug_util.traceback(err))
	end)
end)

describe("util.import", function ()
	it("gives named fields of a module, or the module", function ()
		finally(function () _G.import = nil end)
		require "util.import"
		local import = _G.import
		assert.same({ string.len, string.rep }, { import("string", "len", "rep") })
		assert.equal(string, import "string")
		assert.equal(events.new, import("util.events", "new"))
	end)
end)

describe("util.dependencies", function ()
	it("loads what there is and says what is missing", function ()
		local dependencies = require "util.dependencies"
		assert.equal(events, dependencies.softreq "util.events")
		local library, err = dependencies.softreq "no.such.library"
		assert.is_nil(library)
		assert.matches("not found", err)
		assert.is_true(dependencies.check_dependencies())
	end)
end)
