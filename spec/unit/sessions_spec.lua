describe("core.sessions", function ()
	local sessions, tasks

	before_each(function ()
		tasks = {}
		package.preload["util.timer"] = function ()
			return { add_task = function (_, fn) tasks[#tasks + 1] = fn end, stop = function () end }
		end
		package.loaded["util.timer"], package.loaded["core.sessions"] = nil, nil
		sessions = require "core.sessions"
	end)
	after_each(function ()
		package.loaded["util.timer"], package.loaded["core.sessions"] = nil, nil
		package.preload["util.timer"] = nil
	end)

	it("adds the connections that are counted elsewhere, by module and service", function ()
		local chat <const>, told = { module = "chat", service = "lines" }, nil
		local open = 2
		sessions.count_connections {
			counted = function () return open, { { chat, open } } end,
			on_closed = function (fn) told = fn end,
		}
		local done <const> = sessions.begin("chat", "import", "lines")
		local snapshot, services = sessions.snapshot()
		assert.same({ total = 3, by_module = { chat = 3 } }, snapshot)
		assert.same({ lines = 3 }, services)
		assert.equal(2, sessions.connections())
		assert.equal(3, sessions.total("lines"))
		assert.equal(0, sessions.total("other"))
		assert.is_nil(told)

		local seen <const> = {}
		local stop <const> = sessions.on_fall(function (total, service)
			seen[#seen + 1] = total .. service
		end)
		open = 1
		told(chat)
		done()
		assert.same({ "2lines", "1lines" }, seen)
		stop()
		assert.is_nil(told)
	end)

	it("asks for zeros alone as long as nobody wants each fall", function ()
		local asked <const> = {}
		sessions.count_connections {
			counted = function () return 0, {} end,
			on_closed = function (fn, at_zero) asked[#asked + 1] = fn and (at_zero and "zero" or "each")
				or "nothing" end,
		}
		local drain <const> = sessions.on_fall(function () end, true)
		local progress <const> = sessions.on_fall(function () end)
		progress()
		drain()
		assert.same({ "zero", "each", "zero", "nothing" }, asked)
	end)

	it("counts work until it is done, once", function ()
		local done = sessions.begin("jobs", "import", "batch")
		assert.equal(1, sessions.total())
		assert.equal(1, sessions.total("batch"))
		assert.equal(1, (sessions.jobs()))
		done()
		done()
		assert.equal(0, sessions.total())
		assert.equal(0, (sessions.jobs()))
	end)

	it("forgets names whose count is zero", function ()
		sessions.begin("jobs", "import")()
		local snapshot = sessions.snapshot()
		assert.same({}, snapshot.by_module)
		local _, jobs = sessions.jobs()
		assert.same({}, jobs)
	end)

	it("tells each fall of the count with what is left", function ()
		local seen = {}
		local stop = sessions.on_fall(function (total, service)
			seen[#seen + 1] = total .. (service or "")
		end)
		local one, two = sessions.begin("a", "x", "s"), sessions.begin("a", "y")
		one()
		two()
		assert.same({ "1s", "0" }, seen)
		stop()
		sessions.begin("a", "z")()
		assert.equal(2, #seen)
	end)

	it("logs lost work with its name and counts it as ended", function ()
		local logger = require "util.logger"
		local lines = {}
		local sink = logger.add_simple_sink(function (_, _, message) lines[#lines + 1] = message end)
		do
			local _ = sessions.begin("jobs", "import")
		end
		collectgarbage()
		collectgarbage()
		for _, task in ipairs(tasks) do task() end
		logger.remove_sink(sink)
		assert.equal(0, sessions.total())
		assert.truthy(table.concat(lines, "\n"):find("mod_jobs began 'import'", 1, true))
	end)

	it("calls nothing a leak once the host ends", function ()
		do
			local _ = sessions.begin("jobs", "import")
		end
		sessions.shut()
		collectgarbage()
		collectgarbage()
		assert.equal(0, #tasks)
	end)
end)
