local adns <const> = require "net.adns"
local basic <const> = require "net.resolvers.basic"
local chain <const> = require "net.resolvers.chain"
local client <const> = require "spec.support.client"
local connect <const> = require "net.connect"
local dns_server <const> = require "spec.support.dns_server"
local manual <const> = require "net.resolvers.manual"
local server <const> = require "net.server"
local service <const> = require "net.resolvers.service"
local turns <const> = require "spec.support.turns"

local A <const>, AAAA <const>, SRV <const> = 1, 28, 33
local name <const>, record <const>, reply <const> =
	dns_server.name, dns_server.record, dns_server.reply

describe("net.connect", function ()
	local names, port, accepted

	local function listen(listeners)
		local handle = assert(server.listen("127.0.0.1", 0, listeners or {
			onconnect = function () accepted = accepted + 1 end, onincoming = function () end }))
		return handle:serverport()
	end

	before_each(function ()
		accepted = 0
		port = listen()
	end)

	after_each(function ()
		adns.settings()
		if names then
			names:close()
			names = nil
		end
		turns.close_all()
		client.close_all()
	end)

	local function serve_names(answer, options)
		names = dns_server.start(answer)
		options = options or {}
		options.servers = names.address
		adns.settings(options)
	end

	-- What the listeners heard, once they heard something.
	local function try(resolver, options)
		local heard = {}
		local data = {}
		local p = connect.connect(resolver, {
			onattach = function (_, d) heard.attached = d == data end,
			onconnect = function (conn) heard.conn = conn end,
			onfail = function (d, err) heard.failed = d == data and err end,
			onincoming = function () end,
		}, options, data)
		turns.run_until(function () return heard.conn or heard.failed end, 6, "an end")
		return heard, p
	end

	it("attaches the caller's data and listeners, then tells that it is connected", function ()
		local heard = try(manual.new { { "tcp4", "127.0.0.1", port } })
		assert.is_true(heard.attached)
		assert.equal(port, heard.conn:port())
		turns.run_until(function () return accepted == 1 end, 2, "the other side")
	end)

	it("goes on to the next target after a refusal", function ()
		local free = client.free_port()
		local heard = try(manual.new { { "tcp4", "127.0.0.1", free }, { "tcp4", "no address", 1 },
			{ "tcp4", "127.0.0.1", port } })
		assert.equal(port, heard.conn:port())
	end)

	it("tells the last error when nobody answers", function ()
		local heard = try(manual.new { { "tcp4", "127.0.0.1", client.free_port() } })
		assert.equal("connection refused", heard.failed)
		assert.equal("unable to resolve service", try(manual.new {}).failed)
	end)

	it("tries the next target beside one that does not answer, and leaves no other open", function ()
		-- RFC 5737: nobody is there; where that is refused at once, the next is tried at once.
		local heard = try(manual.new { { "tcp4", "192.0.2.1", 9 }, { "tcp4", "127.0.0.1", port } })
		assert.equal(port, heard.conn:port())
		turns.run_until(function () return accepted == 1 end, 2, "the other side")
		assert.equal(2, server.stats().connections)
	end)

	it("calls nobody after cancel", function ()
		local called
		local p = connect.connect(manual.new { { "tcp4", "127.0.0.1", port } }, {
			onconnect = function () called = true end, onfail = function () called = true end })
		p:cancel()
		turns.run_for(0.05)
		assert.is_nil(called)
	end)

	it("resolves names, families in turn, and leaves out what is not wanted", function ()
		serve_names(function (q)
			return reply(q, q.type == A and { record(A, "\127\0\0\1"), record(A, "\127\0\0\2") }
				or { record(AAAA, ("\0"):rep(15) .. "\1") })
		end)
		local function targets(extra)
			local got, done = {}, nil
			local r = basic.new("two.example.org", 80, "tcp", extra)
			local function take(kind, ip)
				if not kind then done = true return end
				got[#got + 1] = kind .. " " .. ip
				r:next(take)
			end
			r:next(take)
			turns.run_until(function () return done end, 3, "all targets")
			return got
		end
		local all = targets()
		assert.equal(3, #all)
		assert.not_equal(all[1]:sub(1, 4), all[2]:sub(1, 4))
		table.sort(all)
		assert.same({ "tcp4 127.0.0.1", "tcp4 127.0.0.2", "tcp6 ::1" }, all)
		local v4 = targets { use_ipv6 = false }
		table.sort(v4)
		assert.same({ "tcp4 127.0.0.1", "tcp4 127.0.0.2" }, v4)
		assert.same({ "tcp6 ::1" }, targets { use_ipv4 = false })
	end)

	it("takes addresses as they are, in brackets too", function ()
		for text, want in pairs { ["127.0.0.1"] = "tcp4 127.0.0.1", ["::1"] = "tcp6 ::1",
			["[::1]"] = "tcp6 ::1" } do
			basic.new(text, 1):next(function (kind, ip) assert.equal(want, kind .. " " .. ip) end)
		end
	end)

	it("follows SRV records by priority, and the default port where there are none", function ()
		serve_names(function (q)
			if q.name == "_test._tcp.example.org" then
				return reply(q, { record(SRV, (">I2I2I2"):pack(2, 0, 9) .. name "b.example.org"),
					record(SRV, (">I2I2I2"):pack(1, 0, port) .. name "a.example.org") })
			elseif q.type == SRV then
				return reply(q, q.name:find "refused" and
					{ record(SRV, ("\0"):rep(6) .. name ".") } or {}, {})
			end
			return reply(q, q.type == A and { record(A, "\127\0\0\1") } or {})
		end)
		assert.equal(port, try(service.new("example.org", "test")).conn:port())
		assert.equal(port, try(service.new("plain.example.org", "test", "tcp",
			{ default_port = port })).conn:port())
		assert.equal("zero SRV records found", try(service.new("plain.example.org", "test")).failed)
		assert.equal("service explicitly unavailable",
			try(service.new("refused.example.org", "test")).failed)
		assert.equal(port, try(chain.new { service.new("plain.example.org", "test"),
			manual.new { { "tcp4", "127.0.0.1", port } } }).conn:port())
	end)

	it("fails in its time when the name server never answers", function ()
		serve_names(function () end, { timeout = 50, tries = 1 })
		assert.equal("timeout", try(basic.new("silent.example.org", port)).failed)
	end)

	it("says that a name does not exist", function ()
		serve_names(function (q) return reply(q, {}, { rcode = 3 }) end)
		assert.equal("NXDOMAIN in A lookup", try(basic.new("none.example.org", port)).failed)
	end)
end)

describe("net.resolvers.service.order", function ()
	it("keeps priorities apart and gives weight its share", function ()
		local first = {}
		for _ = 1, 400 do
			local order = service.order { { priority = 1, weight = 10, target = "late" },
				{ priority = 0, weight = 90, target = "heavy" },
				{ priority = 0, weight = 10, target = "light" } }
			assert.equal("late", order[3].target)
			first[order[1].target] = (first[order[1].target] or 0) + 1
		end
		assert.is_true(first.heavy > 300 and first.heavy < 400 and first.light > 5)
	end)
end)
