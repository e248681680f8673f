-- plain lua too
local fsm <const> = require "util.fsm"

local function water(extra)
	local desc = {
		transitions = {
			{ name = "melt", from = "solid", to = "liquid" },
			{ name = "freeze", from = "liquid", to = "solid" },
		},
	}
	for key, value in pairs(extra or {}) do desc[key] = value end
	return fsm.new(desc)
end

describe("util.fsm", function ()
	local log

	before_each(function () log = {} end)

	local function note(name)
		return function (move)
			log[#log + 1] = ("%s %s>%s"):format(name, tostring(move.from), move.to)
		end
	end

	it("moves along its transitions and keeps the attribute", function ()
		local w = water():init("liquid", "tap")
		assert.equal("tap", w.state_attr)
		assert.is_true(w:freeze("cold"))
		assert.equal("solid", w.state)
		assert.equal("cold", w.state_attr)
		assert.is_true(w:melt())
		assert.equal("liquid", w.state)
		assert.is_nil(w.state_attr)
	end)

	it("raises on every move that its state does not allow, and stays", function ()
		for _, case in ipairs { { "liquid", "melt" }, { "solid", "freeze" } } do
			local w = water():init(case[1])
			assert.error_matches(function () w[case[2]](w) end,
				("Invalid state transition: %s cannot %s"):format(case[1], case[2]), 1, true)
			assert.equal(case[1], w.state)
		end
	end)

	it("tells observers in order, before and after the move", function ()
		local machine = water()
		for _, name in ipairs { "transition", "leave/liquid", "transition/freeze", "enter/solid",
			"transitioned/freeze", "transitioned" } do
			machine.events.add_handler(name, note(name))
		end
		machine:init("liquid")
		log = {}
		machine:init("liquid"):freeze()
		assert.same({
			"enter/solid liquid>solid" }, { log[5] })
		assert.equal("transition liquid>solid", log[2])
		assert.equal("leave/liquid liquid>solid", log[3])
		assert.equal("transition/freeze liquid>solid", log[4])
		assert.equal("transitioned/freeze liquid>solid", log[6])
		assert.equal("transitioned liquid>solid", log[7])
	end)

	for _, event in ipairs { "transition", "leave/solid", "transition/melt" } do
		it("lets a handler of " .. event .. " veto", function ()
			local machine = water()
			machine.events.add_handler(event, function () return "too cold" end)
			local w = machine:init("solid", "attr")
			assert.same({ nil, "too cold", n = 2 }, table.pack(w:melt()))
			assert.equal("solid", w.state)
			assert.equal("attr", w.state_attr)
		end)
	end

	it("gives handlers the instance and both attributes", function ()
		local move
		local machine = water { handlers = { transitioned = function (m) move = m end } }
		local w = machine:init("solid", "old")
		w:melt("new")
		assert.equal(w, move.instance)
		assert.same({ "melt", "solid", "old", "liquid", "new" },
			{ move.name, move.from, move.from_attr, move.to, move.to_attr })
	end)

	it("counts a start outside the default state as entering it", function ()
		local machine = water { default_state = "liquid", state_handlers = { solid = note("enter") } }
		machine:init()
		assert.same({}, log)
		machine:init("solid")
		assert.same({ "enter liquid>solid" }, log)
	end)

	it("calls transition handlers before the move", function ()
		local machine
		machine = water { transition_handlers = { melt = function (m)
			log[1] = m.instance.state
		end } }
		machine:init("solid"):melt()
		assert.same({ "solid" }, log)
	end)

	it("allows one name from several states, a list of states and any state", function ()
		local machine = fsm.new { transitions = {
			{ name = "step", from = "a", to = "b" },
			{ name = "step", from = "b", to = "c" },
			{ name = "back", from = { "b", "c" }, to = "a" },
			{ name = "reset", from = "*", to = "a" },
		} }
		local m = machine:init("a")
		m:step()
		m:step()
		assert.equal("c", m.state)
		m:back()
		assert.has_error(function () m:back() end, "Invalid state transition: a cannot back")
		m:step()
		m:reset()
		assert.equal("a", m.state)
	end)

	it("neither leaves nor enters on a move to the same state", function ()
		local machine = fsm.new { transitions = { { name = "spin", from = "a", to = "a" } } }
		for _, name in ipairs { "leave/a", "enter/a", "transitioned" } do
			machine.events.add_handler(name, note(name))
		end
		local m = machine:init("a")
		log = {}
		m:spin()
		assert.same({ "transitioned a>a" }, log)
	end)

	it("raises on a double transition, an unknown start and no start", function ()
		assert.error_matches(function ()
			fsm.new { transitions = {
				{ name = "x", from = "a", to = "b" }, { name = "x", from = "a", to = "c" },
			} }
		end, "Duplicate transition in FSM specification: x from a")
		assert.error_matches(function () water():init("gas") end, "Invalid initial state: gas")
		assert.error_matches(function () water():init() end, "no initial state specified")
	end)

	it("knows machines and their own instances", function ()
		local a, b = water(), water()
		assert.is_true(fsm.is_fsm(a))
		assert.is_false(fsm.is_fsm({}))
		assert.is_true(a:is_instance(a:init("solid")))
		assert.is_false(a:is_instance(b:init("solid")))
	end)
end)
