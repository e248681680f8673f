-- plain lua too
local sslconfig <const> = require "util.sslconfig"

describe("util.sslconfig", function ()
	it("lets later tables win, field by field", function ()
		local final = sslconfig.new():apply { protocol = "tlsv1_2", depth = 1 }
			:apply { depth = 2 }:apply(nil):final()
		assert.same({ protocol = "tlsv1_2", depth = 2 }, final)
	end)

	it("adds flags up, and takes away those that are false", function ()
		local final = sslconfig.new():apply { options = { "no_ticket", "no_compression" } }
			:apply { options = { no_ticket = false, single_dh_use = true } }
			:apply { verifyext = "crl_check", options = "no_renegotiation" }:final()
		assert.same({ "no_compression", "no_renegotiation", "single_dh_use" }, final.options)
		assert.same({ "crl_check" }, final.verifyext)
	end)

	it("joins lists of ciphers and curves with colons", function ()
		local final = sslconfig.new():apply { ciphers = { "A", "!B" }, curveslist = { "X", "Y" },
			ciphersuites = "C" }:final()
		assert.same({ ciphers = "A:!B", curveslist = "X:Y", ciphersuites = "C" }, final)
	end)

	it("spells a lowest protocol as LuaSec wants it, without changing its own settings", function ()
		local config = sslconfig.new():apply { protocol = "tlsv1_2+", options = { "no_ticket" } }
		for _ = 1, 2 do
			local final = config:final()
			assert.equal("sslv23", final.protocol)
			assert.same({ "no_sslv2", "no_sslv3", "no_ticket", "no_tlsv1", "no_tlsv1_1" },
				final.options)
		end
		assert.equal("tlsv1_3", sslconfig.new():apply { protocol = "tlsv1_3" }:final().protocol)
	end)

	it("reads relative paths from its folder", function ()
		local final = sslconfig._new(nil, "/etc/x"):apply { certificate = "certs/a.crt",
			key = "/else/a.key", cafile = "ca.pem" }:final()
		assert.same({ certificate = "/etc/x/certs/a.crt", key = "/else/a.key",
			cafile = "/etc/x/ca.pem" }, final)
	end)

	it("gives its factory the final settings and itself", function ()
		local builder
		builder = sslconfig._new(function (settings, from)
			assert.equal(builder, from)
			return settings.depth
		end)
		assert.equal(3, builder:apply { depth = 3 }:build())
		assert.same({ nil, "no context factory" }, { sslconfig.new():build() })
	end)

	it("clones into a builder of its own", function ()
		local one = sslconfig._new(function (settings) return settings.options end, "/x")
			:apply { options = { "a" }, key = "k" }
		local two = one:clone():apply { options = { a = false, b = true }, key = "l" }
		assert.same({ "a" }, one:build())
		assert.same({ "b" }, two:build())
		assert.equal("/x/k", one:final().key)
	end)
end)
