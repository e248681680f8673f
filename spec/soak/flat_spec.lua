-- The numbers of the issue: 10,000 module reloads, 1,000,000 connects. `make soak`.
local daemon <const> = require "spec.support.daemon"
local flat <const> = require "spec.support.accept_flat"
local soak <const> = require "spec.support.soak"

describe("#soak what stays after", function ()
	after_each(daemon.finish_all)

	it("10000 module reloads is what was there before", function ()
		soak.say("%s", flat.reloads(500, 10000))
	end)

	it("10000 loads and unloads is what was there before", function ()
		soak.say("%s", flat.loads(500, 10000))
	end)

	it("1000000 connects is what was there before", function ()
		soak.say("%s", flat.connects(20000, 1000000))
	end)

	it("1000 config reloads is what was there before", function ()
		soak.say("%s", flat.config_reloads(50, 1000))
	end)
end)
