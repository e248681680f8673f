-- The number of the issue: 10,000 certificate reloads under handshakes, none failed. `make soak`.

local daemon <const> = require "spec.support.daemon"
local soak <const> = require "spec.support.soak"
local tls_reloads <const> = require "spec.support.tls_reloads"

describe("#soak certificates that are reloaded 10000 times", function ()
	after_each(daemon.finish_all)

	it("fail no handshake", function ()
		local result <const> = tls_reloads.run(10000, soak.clock())
		soak.say("%d certificate reloads, %d handshakes", result.reloads, result.handshakes)
		assert.equal("", result.faults)
		assert.equal(2, result.certificates)
	end)
end)
