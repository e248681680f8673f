-- plain lua too
local wait <const> = require "spec.support.wait"

describe("spec.support.wait", function()
	it("returns the first true value", function()
		local calls = 0
		local value = wait(function()
			calls = calls + 1
			return calls == 3 and "third"
		end, 1)
		assert.equal("third", value)
		assert.equal(3, calls)
	end)

	it("raises after the deadline and names what was waited for", function()
		local begin = wait.now()
		local ok, err = pcall(wait, function() return false end, 0.1, "a port")
		assert.is_false(ok)
		assert.matches("timed out after 0.1 s waiting for a port", err)
		assert.is_true(wait.now() - begin < 5)
	end)

	it("gives nil and timeout where a timeout is no fault", function()
		local value, err = wait.try(function() return false end, 0.05)
		assert.is_nil(value)
		assert.equal("timeout", err)
	end)

	it("waits for its time, and at most five times as long where the machine is loaded", function()
		assert.is_false(wait.over(0.9, 1))
		assert.is_false(wait.over(0.04, 0.05))
		assert.is_true(wait.over(0.05, 0.05))
		assert.is_true(wait.over(5, 1))
	end)

	it("calls the turn between two looks", function()
		local turns = 0
		wait(function() return turns >= 2 end, 1, "two turns", function() turns = turns + 1 end)
		assert.equal(2, turns)
	end)
end)
