local ip <const> = require "util.ip"
local net <const> = require "util.net"

describe("util.net", function ()
	for text, bytes in pairs { ["127.0.0.1"] = "\127\0\0\1", ["::"] = ("\0"):rep(16),
		["2001:db8::1"] = "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\1" } do
		it("turns " .. text .. " into bytes and back", function ()
			assert.equal(bytes, net.pton(text))
			assert.equal(text, net.ntop(bytes))
		end)
	end
	for _, text in ipairs { "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::g", "1.2.3.4\0", "host", "1" } do
		it(("finds no address in %q"):format(text), function ()
			assert.is_nil((net.pton(text)))
		end)
	end
	it("lists this machine's addresses, which are some", function ()
		for _, address in ipairs(assert(net.local_addresses("both", true))) do
			assert.is_string(net.pton(address))
		end
		assert.has_error(function () net.local_addresses("all") end)
		assert.is_nil((net.ntop("abc")))
	end)
end)

describe("util.ip", function ()
	for _, case in ipairs {
		{ "192.168.1.7", "192.168.0.0/16", true }, { "192.169.1.7", "192.168.0.0/16", false },
		{ "10.0.0.1", "10.0.0.1", true }, { "10.0.0.1", "10.0.0.2/32", false },
		{ "2001:db8::1", "2001:db8::/32", true }, { "::ffff:10.0.0.1", "10.0.0.0/8", true },
		{ "10.0.0.1", "::/0", true }, { "10.1.2.3", "::ffff:10.0.0.0/104", true },
		{ "fe80::1", "fe80::/10", true }, { "fec0::1", "fe80::/10", false },
	} do
		it(("%s is %s %s"):format(case[1], case[3] and "in" or "not in", case[2]), function ()
			local network, bits = ip.parse_cidr(case[2])
			assert.equal(case[3], ip.match(ip.new_ip(case[1]), network, bits))
		end)
	end

	it("compares addresses, not their spelling", function ()
		assert.equal(ip.new_ip("2001:DB8:0::1"), ip.new_ip("2001:db8::1"))
		assert.equal("2001:db8::1", ip.new_ip("2001:DB8:0::1").normal)
		assert.equal("2001:DB8:0::1", tostring(ip.new_ip("2001:DB8:0::1")))
	end)

	it("knows bits, zones, prefixes and mapped forms", function ()
		assert.equal("00001010000000000000000000000001", ip.new_ip("10.0.0.1").bits)
		assert.equal("eth0", ip.new_ip("fe80::1%eth0").zone)
		assert.equal(96 + 8, ip.commonPrefixLength(ip.new_ip("10.0.0.1"), ip.new_ip("10.128.0.1")))
		assert.equal("::ffff:10.0.0.1", ip.new_ip("10.0.0.1").toV4mapped.normal)
		assert.equal("10.0.0.0", ip.truncate(ip.new_ip("10.7.7.7"), 8).normal)
	end)

	it("refuses what is no address of the family asked for", function ()
		assert.same({ nil, "invalid-ipv6" }, { ip.new_ip("10.0.0.1", "IPv6") })
		assert.same({ nil, "invalid-ipv4" }, { ip.new_ip("::1", "IPv4") })
		assert.is_nil((ip.new_ip("none")))
	end)

	for address, want in pairs {
		["::1"] = { 2, 0, 50 }, ["2002::1"] = { 14, 2, 30 }, ["fe80::1"] = { 2, 1, 40 },
		["fd00::1"] = { 14, 13, 3 }, ["10.0.0.1"] = { 14, 4, 35 }, ["127.0.0.1"] = { 2, 4, 35 },
		["ff05::1"] = { 5, 1, 40 }, ["2001:db8::1"] = { 14, 1, 40 },
	} do
		it("gives " .. address .. " scope, label and precedence of RFC 6724", function ()
			local a = ip.new_ip(address)
			assert.same(want, { a.scope, a.label, a.precedence })
		end)
	end

	it("tells private addresses", function ()
		for _, a in ipairs { "10.0.0.1", "172.31.0.1", "192.168.0.1", "100.64.0.1", "127.0.0.1",
			"169.254.0.1", "fe80::1", "fd00::1" } do
			assert.is_true(ip.new_ip(a).private, a)
		end
		for _, a in ipairs { "8.8.8.8", "172.32.0.1", "2001:db8::1" } do
			assert.is_false(ip.new_ip(a).private, a)
		end
	end)
end)
