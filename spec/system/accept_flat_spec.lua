-- Module reloads and connects leave memory, descriptors and registry references flat.
-- spec/soak/flat_spec.lua does the same with the numbers of the issue.
local accept <const> = require "spec.support.accept"
local flat <const> = require "spec.support.accept_flat"
local daemon <const> = require "spec.support.daemon"

describe("what stays after", function ()
	after_each(daemon.finish_all)

	it("300 module reloads is what was there before", function ()
		flat.reloads(100, 300)
	end)

	it("300 loads and unloads of a module that removes nothing itself is what was before", function ()
		flat.loads(50, 300)
	end)

	it("20000 connects is what was there before", function ()
		flat.connects(10000, 20000)
	end)

	it("100 config reloads is what was there before", function ()
		flat.config_reloads(20, 100)
	end)
end)

describe("a module that is reloaded in a loop", function ()
	after_each(daemon.finish_all)

	it("refuses nobody who connects meanwhile, and cuts nobody off", function ()
		local d <const>, port <const> = flat.start()
		local loops <const> = accept.connect_loops(d.dir, port, 2)
		local console <const> = flat.console(d)
		for _ = 1, 2000 do console("module reload probe") end
		local sums <const> = loops:stop()
		assert.equal(0, sums.refused + sums.reset + sums.eof + sums.timeout + sums.other)
		assert.is_true(sums.answered > 200)
	end)
end)
