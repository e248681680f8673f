-- A console client that left in the turn in which its `log follow` or `profile` began was never
-- seen to leave: who waited asked for the close by a promise, whose function ran a turn later.

local engine <const> = require "core.console.engine"
local promise <const> = require "util.promise"
local registry <const> = require "core.console.registry"
local wait <const> = require "core.console.wait"

describe("regress: a command whose client leaves at once", function ()
	-- The console with one command, and what promises start later, as in a worker.
	local function console(handler)
		local later <const> = {}
		promise.set_nexttick(function (fn) later[#later + 1] = fn end)
		finally(function () promise.set_nexttick(nil) end)
		local commands <const> = registry.new({}, {})
		commands:add { name = "linger", desc = "waits", args = {}, handler = handler }
		return engine.new(commands, function () return true end), function ()
			for _, fn in ipairs(later) do fn() end
		end
	end

	it("ends", function ()
		local ended = false
		local session <const>, turn <const> = console(function (self)
			wait.until_closed(self.session)
			ended = true
			return true
		end)
		session:line "linger"
		assert.equal(1, wait.count())
		session:close()
		turn()
		assert.is_true(ended)
		assert.equal(0, wait.count())
	end)

	it("hears of it also when it asks afterwards", function ()
		local told = 0
		local session <const> = console(function () return true end)
		session:close()
		session.out.on_close(function () told = told + 1 end)
		assert.equal(1, told)
	end)
end)
