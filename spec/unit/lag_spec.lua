local loop <const> = require "host.loop"
local timer <const> = require "util.timer"

describe("host.loop.lag", function ()
	it("is a small number of seconds while turns are short", function ()
		timer.add_task(0.01, function () loop.quit() end)
		loop.run()
		local lag <const> = loop.lag()
		assert.is_number(lag)
		assert.is_true(lag >= 0)
	end)

	it("sees a turn that takes long", function ()
		timer.add_task(0.01, function ()
			local clock <const> = loop.monotonic()
			repeat until loop.monotonic() - clock > 0.05
		end)
		timer.add_task(0.02, function () loop.quit() end)
		loop.run()
		assert.is_true(loop.lag() >= 0.05)
	end)
end)
