local fake_timer <const> = require "spec.support.fake_timer"

describe("core.holds", function ()
	local holds, clock

	setup(function ()
		-- The real timers need the loop; every set here gets its own clock anyway.
		package.preload["util.timer"] = package.preload["util.timer"] or function ()
			return { add_task = function () end, stop = function () end }
		end
		holds = require "core.holds"
	end)
	teardown(function ()
		for _, name in ipairs { "core.holds", "core.phases", "core.sessions", "util.timer" } do
			package.loaded[name] = nil
		end
		package.preload["util.timer"] = nil
	end)
	before_each(function () clock = fake_timer.new() end)

	local function new(opts)
		opts = opts or {}
		opts.now, opts.timer = clock.now, clock
		return holds.new(opts)
	end

	it("tells when the last hold is released, and not before", function ()
		local empty = 0
		local set = new { on_empty = function () empty = empty + 1 end }
		local one, two = set:hold("one"), set:hold("two")
		one()
		assert.equal(0, empty)
		two()
		assert.equal(1, empty)
	end)

	it("ignores a second release of the same hold", function ()
		local empty = 0
		local set = new { on_empty = function () empty = empty + 1 end }
		local release = set:hold("one")
		set:hold("other")
		release()
		release()
		assert.equal(1, set.size)
		assert.equal(0, empty)
	end)

	it("ends a hold at its own limit, tells its on_expire and names it", function ()
		local told, empty = 0, 0
		local set = new { on_empty = function () empty = empty + 1 end }
		local release = set:hold("write history", 2, function () told = told + 1 end, nil, "chat")
		clock.advance(1.9)
		assert.equal(0, told)
		clock.advance(0.2)
		assert.equal(1, told)
		assert.equal(1, empty)
		local late = set:expired_holders()[1]
		assert.equal("chat", late.module)
		assert.equal("write history", late.hold)
		assert.equal(2, math.floor(late.seconds))
		release()
		assert.equal(1, empty)
	end)

	it("goes on when on_expire raises", function ()
		local empty = 0
		local set = new { on_empty = function () empty = empty + 1 end }
		set:hold("bad", 1, function () error("planted") end)
		clock.advance(2)
		assert.equal(1, empty)
	end)

	it("leaves no timer behind after a release", function ()
		local set = new()
		set:hold("one", 60)()
		assert.equal(0, clock.pending())
	end)

	it("returns who still holds when it is closed, and does nothing afterwards", function ()
		local empty = 0
		local set = new { on_empty = function () empty = empty + 1 end }
		local release = set:hold("request", nil, nil, { id = "conn55d0" }, "http")
		clock.advance(3)
		local left = set:close()
		assert.equal(1, #left)
		assert.same({ "http", "request", "conn55d0" }, { left[1].module, left[1].hold, left[1].conn })
		assert.equal(3, left[1].since)
		release()
		set:hold("late")
		assert.equal(0, set.size)
		assert.equal(0, empty)
		assert.equal(0, clock.pending())
	end)

	it("counts down to its deadline and never below zero", function ()
		local set = new { deadline = clock.now() + 5 }
		clock.advance(2)
		assert.equal(3, set:remaining())
		clock.advance(10)
		assert.equal(0, set:remaining())
		assert.equal(math.huge, new():remaining())
	end)

	it("gives an event its methods without replacing what is there", function ()
		local set = new { deadline = clock.now() + 5 }
		local own = function () return "mine" end
		local event = holds.attach({ remaining = own, reason = "x" }, set)
		assert.equal("mine", event:remaining())
		assert.equal(clock.now() + 5, event.deadline)
		local release = event:hold("one")
		assert.equal(1, set.size)
		release()
		assert.equal(0, set.size)
	end)

	it("lets go of everything a module holds when the module is unloaded", function ()
		local empty = 0
		local set = new { on_empty = function () empty = empty + 1 end }
		set:hold("a", 60, nil, nil, "gone")
		set:hold("b", nil, nil, nil, "gone")
		local other = set:hold("c", nil, nil, nil, "stays")
		holds.release_module("gone")
		assert.equal(1, set.size)
		assert.equal(0, empty)
		other()
		assert.equal(1, empty)
	end)

	it("knows the module of a function by its environment", function ()
		local env = setmetatable({ module = { name = "chat" } }, { __index = _G })
		local chunk = load("return function () return tostring(1) end", "@x.lua", "t", env)
		assert.equal("chat", holds.module_of(chunk()))
		assert.is_nil(holds.module_of(load("return 1", "@x.lua")))
	end)

	it("knows the module of a function without globals by its file", function ()
		local fn = load("return function () return 1 end", "@modules/mod_echo.lua")()
		assert.equal("echo", holds.module_of(fn))
	end)

	it("names the module whose handler takes the hold", function ()
		local set = new()
		local env = setmetatable({ module = { name = "chat" } }, { __index = _G })
		local handler = load("return function (event) event:hold('x') tostring(1) end",
			"@mod_chat.lua", "t", env)()
		handler(holds.attach({}, set))
		assert.equal("chat", set:holders()[1].module)
	end)
end)
