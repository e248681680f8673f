-- plain lua too
local new <const> = require "util.events".new

-- A handler that notes its name and returns `ret`.
local function note(list, name, ret)
	return function ()
		list[#list + 1] = name
		return ret
	end
end

describe("util.events", function ()
	local e, seen

	before_each(function ()
		e, seen = new(), {}
	end)

	it("passes the data to the handlers of the event, and of no other", function ()
		local got = {}
		e.add_handler("a", function (data) got[#got + 1] = data end)
		local data = {}
		e.fire_event("a", data)
		e.fire_event("b", {})
		assert.equal(1, #got)
		assert.equal(data, got[1])
	end)

	it("passes exactly one argument", function ()
		local count
		e.add_handler("a", function (...) count = select("#", ...) end)
		e.fire_event("a", 1, 2, 3)
		assert.equal(1, count)
	end)

	it("takes any value as an event's name", function ()
		for _, name in ipairs { {}, 5, true, print } do
			e.add_handler(name, note(seen, name))
			e.fire_event(name)
			assert.equal(name, seen[#seen])
		end
	end)

	it("runs higher priorities first, fractions and negative ones included", function ()
		for _, priority in ipairs { -1, 10, 0.5, 0, 1, -0.25 } do
			e.add_handler("a", note(seen, priority), priority)
		end
		e.fire_event("a")
		assert.same({ 10, 1, 0.5, 0, -0.25, -1 }, seen)
	end)

	it("runs handlers of one priority in the order they were added", function ()
		local expected = {}
		for i = 1, 50 do
			e.add_handler("a", note(seen, i), 3)
			expected[i] = i
		end
		e.fire_event("a")
		assert.same(expected, seen)
	end)

	it("keeps one entry of a function that is added twice, with the last priority", function ()
		local twice = note(seen, "twice")
		e.add_handler("a", twice, 5)
		e.add_handler("a", note(seen, "other"), 3)
		e.add_handler("a", twice, 1)
		e.fire_event("a")
		assert.same({ "other", "twice" }, seen)
	end)

	it("keeps the place of a function that is added again with the same priority", function ()
		local first = note(seen, "first")
		e.add_handler("a", first)
		e.add_handler("a", note(seen, "second"))
		e.add_handler("a", first)
		e.fire_event("a")
		assert.same({ "first", "second" }, seen)
	end)

	for _, value in ipairs { "text", 0, true, false } do
		it("ends the chain at the return value " .. tostring(value), function ()
			e.add_handler("a", note(seen, 1), 2)
			e.add_handler("a", note(seen, 2, value), 1)
			e.add_handler("a", note(seen, 3), 0)
			assert.equal(value, e.fire_event("a"))
			assert.same({ 1, 2 }, seen)
		end)
	end

	it("lets an error of a handler go to the caller", function ()
		e.add_handler("a", function () error("oh", 0) end)
		assert.has_error(function () e.fire_event("a") end, "oh")
	end)

	it("no longer calls a removed handler", function ()
		local h = note(seen, "h")
		e.add_handler("a", h)
		e.fire_event("a")
		e.remove_handler("a", h)
		e.fire_event("a")
		assert.same({ "h" }, seen)
		assert.is_nil(e.get_handlers("a"))
		assert.is_nil(e._event_map.a)
	end)

	it("ignores the removal of what was never added", function ()
		e.remove_handler("a", print)
		e.add_handler("a", note(seen, "h"))
		e.remove_handler("a", print)
		e.fire_event("a")
		assert.same({ "h" }, seen)
	end)

	it("adds and removes maps of handlers", function ()
		local map = { a = note(seen, "a"), b = note(seen, "b") }
		e.add_handlers(map)
		e.fire_event("a")
		e.fire_event("b")
		e.remove_handlers(map)
		e.fire_event("a")
		assert.same({ "a", "b" }, seen)
	end)

	it("counts handlers added or removed during a fire from the next fire on", function ()
		local late, gone = note(seen, "late"), note(seen, "gone")
		e.add_handler("a", function ()
			e.add_handler("a", late)
			e.remove_handler("a", gone)
		end, 1)
		e.add_handler("a", gone)
		e.fire_event("a")
		assert.same({ "gone" }, seen)
		e.fire_event("a")
		assert.same({ "gone", "late" }, seen)
	end)

	it("gives the handlers of an event in order", function ()
		e.add_handler("a", print, 1)
		e.add_handler("a", type, 2)
		assert.same({ type, print }, e.get_handlers("a"))
		assert.is_nil(e.get_handlers("b"))
	end)

	it("calls one handler as it would in a fire, and knows which events are wrapped", function ()
		local hooked
		e.set_debug_hook(function (handler, event, data)
			hooked = event
			return handler(data)
		end)
		assert.equal(3, e.call(function (data) return data + 1 end, "a", 2))
		assert.equal("a", hooked)
		local function wrapper(handlers, event, data) return handlers(event, data) end
		e.add_wrapper("a", wrapper)
		assert.is_true(e.is_wrapped("a"))
		assert.is_false(e.is_wrapped("b"))
		e.add_wrapper(false, wrapper)
		assert.is_true(e.is_wrapped("b"))
	end)

	it("fires without allocating", function ()
		e.add_handler("a", function () end)
		e.add_handler("a", function () end)
		e.fire_event("a")
		collectgarbage()
		collectgarbage("stop")
		local before = collectgarbage("count")
		for _ = 1, 1000 do e.fire_event("a", before) end
		local grown = collectgarbage("count") - before
		collectgarbage("restart")
		assert.is_true(grown < 1, "1000 fires took " .. grown .. " KiB")
	end)

	describe("internals that net.http.server relies on", function ()
		it("are the list built on demand and the map of priorities", function ()
			e.add_handler("a", print, 7)
			assert.is_nil(rawget(e._handlers, "a"))
			assert.same({ print }, e._handlers.a)
			assert.same({ print }, rawget(e._handlers, "a"))
			assert.equal(7, e._event_map.a[print])
		end)

		it("let a metatable of one's own build the lists", function ()
			local wildcard = note(seen, "wildcard")
			setmetatable(e._handlers, { __index = function (handlers, event)
				rawset(handlers, event, event ~= "none" and { wildcard })
				return rawget(handlers, event)
			end })
			e.fire_event("GET /x")
			e.fire_event("none")
			assert.same({ "wildcard" }, seen)
		end)

		it("empty the list by an assignment that a metatable can see", function ()
			local emptied = {}
			getmetatable(e._handlers).__newindex = function (handlers, event, list)
				if list == nil then emptied[#emptied + 1] = event end
				rawset(handlers, event, list)
			end
			e.add_handler("a", print)
			assert.same({ "a" }, emptied)
		end)
	end)

	describe("wrappers", function ()
		local function wrapper(name)
			return function (handlers, event, data)
				seen[#seen + 1] = name
				return handlers(event, data)
			end
		end

		it("run last added first, the event's before the global ones, then the handlers", function ()
			e.add_handler("a", note(seen, "handler", "ret"))
			e.add_wrapper("a", wrapper "a1")
			e.add_wrapper("a", wrapper "a2")
			e.add_wrapper(false, wrapper "g1")
			e.wrappers.add_handler(false, wrapper "g2")
			assert.equal("ret", e.fire_event("a"))
			assert.same({ "a2", "a1", "g2", "g1", "handler" }, seen)
		end)

		it("see every event when they are global, even without handlers", function ()
			e.add_wrapper(false, wrapper "g")
			e.fire_event("x")
			e.fire_event("y")
			assert.same({ "g", "g" }, seen)
		end)

		it("stop when they are removed", function ()
			local w, g = wrapper "w", wrapper "g"
			e.add_wrapper("a", w)
			e.add_wrapper(false, g)
			e.remove_wrapper("a", w)
			e.wrappers.remove_handler(false, g)
			e.remove_wrapper("never", w)
			e.fire_event("a")
			assert.same({}, seen)
		end)

		it("may change the data and the return value, and call the handlers twice", function ()
			e.add_handler("a", function (data) return data + 1 end)
			e.add_wrapper("a", function (handlers, event, data)
				return handlers(event, data * 10) + handlers(event, data)
			end)
			assert.equal(41 + 5, e.fire_event("a", 4))
		end)
	end)

	describe("the debug hook", function ()
		it("calls handlers instead, until it is taken away", function ()
			local h = note(seen, "h", "ret")
			e.add_handler("a", h)
			local function hook(handler, event, data)
				assert.equal(h, handler)
				seen[#seen + 1] = event .. data
				return handler(data)
			end
			assert.is_nil(e.set_debug_hook(hook))
			assert.equal("ret", e.fire_event("a", "!"))
			assert.equal(hook, e.set_debug_hook(nil))
			e.fire_event("a", "!")
			assert.same({ "a!", "h", "h" }, seen)
		end)
	end)
end)
