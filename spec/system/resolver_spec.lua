local adns <const> = require "net.adns"
local dns_server <const> = require "spec.support.dns_server"
local turns <const> = require "spec.support.turns"

local A <const>, CNAME <const>, TXT <const>, AAAA <const>, SRV <const>, TLSA <const> =
	1, 5, 16, 28, 33, 52
local name <const>, record <const>, reply <const> =
	dns_server.name, dns_server.record, dns_server.reply

describe("net.adns", function ()
	local running

	local function start(answer, options, tcp)
		running = dns_server.start(answer, tcp)
		options = options or {}
		options.servers = running.address
		adns.settings(options)
	end

	local function ask(...)
		local answer, err, done
		assert(adns.lookup(function (...) answer, err = ... done = true end, ...))
		assert.is_nil(done, "an answer never comes inside the call")
		turns.run_until(function () return done end, 5, "an answer")
		return answer, err
	end

	after_each(function ()
		adns.settings()
		if running then
			running:close()
			running = nil
		end
		turns.close_all()
	end)

	it("answers A and AAAA as lists with fields and words", function ()
		start(function (q)
			return reply(q, q.type == A and { record(A, "\10\1\2\3"), record(A, "\10\1\2\4") }
				or { record(AAAA, ("\0"):rep(15) .. "\1") })
		end)
		local answer = ask("full.example.org", "A")
		assert.equal(2, #answer)
		local found = { answer[1].a, answer[2].a }
		table.sort(found)
		assert.same({ "10.1.2.3", "10.1.2.4" }, found)
		assert.equal("NOERROR", answer.status)
		assert.equal("full.example.org", answer[1].qname)
		assert.equal(answer[1].a, tostring(answer[1]))
		assert.matches("^Status: NOERROR\nfull.example.org\tIN\tA\t10%.1%.2%.", tostring(answer))
		assert.equal("::1", ask("full.example.org", "aaaa")[1].aaaa)
	end)

	it("asks /etc/hosts before any server", function ()
		start(function () end)
		assert.equal("127.0.0.1", ask("localhost", "A")[1].a)
		assert.same({}, running.asked)
	end)

	it("uses the search list for names with fewer dots than ndots", function ()
		start(function (q)
			if q.name == "redis.svc.local" then
				return reply(q, { record(A, "\10\9\8\7") })
			end
			return reply(q, {}, { rcode = 3 })
		end, { search = "ns.svc.local svc.local", ndots = 5 })
		assert.equal("10.9.8.7", ask("redis", "A")[1].a)
		assert.same({ "redis.ns.svc.local 1 udp", "redis.svc.local 1 udp" }, running.asked)
	end)

	it("follows aliases, and takes no record of another name", function ()
		start(function (q)
			return reply(q, { record(CNAME, name "real.example.org"),
				record(TXT, "\5wrong", name "elsewhere.example.org"),
				record(TXT, "\5right", name "REAL.example.org") })
		end)
		local answer = ask("alias.example.org", "TXT")
		assert.equal(1, #answer)
		assert.equal("right", tostring(answer[1]))
	end)

	it("parses SRV, TXT and TLSA", function ()
		start(function (q)
			if q.type == SRV then
				return reply(q, { record(SRV, "\0\1\0\2\20\20" .. name "chat.example.org") })
			elseif q.type == TXT then
				return reply(q, { record(TXT, "\3one\3two") })
			end
			return reply(q, { record(TLSA, "\3\1\1\xab\xcd") })
		end)
		local srv = ask("_chat._tcp.example.org", "SRV")[1].srv
		assert.same({ priority = 1, weight = 2, port = 5140, target = "chat.example.org" },
			{ priority = srv.priority, weight = srv.weight, port = srv.port, target = srv.target })
		assert.equal("1 2 5140 chat.example.org", tostring(srv))
		assert.same({ "one", "two" }, { table.unpack(ask("example.org", "TXT")[1].txt) })
		local tlsa = ask("_443._tcp.example.org", "TLSA")[1]
		assert.equal("\xab\xcd", tlsa.tlsa.data)
		assert.equal("DANE-EE SPKI SHA2-256 abcd", tostring(tlsa))
	end)

	it("answers with no records for a name that is not there, and says so", function ()
		start(function (q) return reply(q, {}, { rcode = 3 }) end)
		local answer = ask("missing.example.org", "A")
		assert.same({ "NXDOMAIN", 0 }, { answer.status, #answer })
		answer = ask("missing.example.org", "SRV")
		assert.same({ "NXDOMAIN", 0 }, { answer.status, #answer })
	end)

	it("gives up on a server that never answers, and says timeout", function ()
		start(function () end, { timeout = 50, tries = 2 })
		local answer, err = ask("silent.example.org", "SRV")
		assert.is_nil(answer)
		assert.equal("timeout", err)
		assert.equal(2, #running.asked)
	end)

	for rcode, what in pairs { [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED" } do
		it("tells when no server has an answer: " .. what, function ()
			start(function (q) return reply(q, {}, { rcode = rcode }) end, { timeout = 100, tries = 2 })
			for _, rtype in ipairs { "A", "TXT" } do
				assert.same({ n = 2, nil, "no name server has an answer" },
					table.pack(ask("broken.example.org", rtype)))
			end
			assert.equal(4, #running.asked)
		end)
	end

	it("asks again over TCP when an answer was cut", function ()
		start(function (q, over)
			return over == "udp" and reply(q, {}, { truncated = true })
				or reply(q, { record(TXT, "\4long") })
		end, nil, true)
		assert.equal("long", tostring(ask("cut.example.org", "TXT")[1]))
		assert.same({ "cut.example.org 16 udp", "cut.example.org 16 tcp" }, running.asked)
	end)

	it("escapes what a name from the net may hide", function ()
		start(function (q)
			return reply(q, { record(SRV, "\0\0\0\0\0\1\7a.b\n\0\\\"\3org\0") })
		end)
		assert.equal([[a\.b\010\000\\\".org]], ask("_x._tcp.example.org", "SRV")[1].srv.target)
	end)

	for what, make in pairs {
		["a pointer to itself"] = function (q)
			return reply(q, { record(TXT, "\1x", "\xc0" .. string.char(12 + #q.question)) })
		end,
		["a pointer behind the end"] = function (q)
			return reply(q, { record(TXT, "\1x", "\xff\xff") })
		end,
		["more records than it has"] = function (q)
			return reply(q, { record(TXT, "\1x") }, { count = 9 })
		end,
		["data longer than the packet"] = function (q)
			return reply(q, { "\xc0\x0c\0\16\0\1\0\0\0\1\xff\xff" })
		end,
		["a name that never ends"] = function (q)
			return reply(q, { record(TXT, "\1x", ("\63" .. ("x"):rep(63)):rep(5) .. "\0") })
		end,
	} do
		it("refuses an answer with " .. what, function ()
			start(make, { timeout = 100, tries = 1 })
			local answer, err = ask("hostile.example.org", "TXT")
			assert.is_nil(answer)
			assert.equal("malformed answer", err)
		end)
	end

	it("leaves out a record whose data is none", function ()
		start(function (q)
			return reply(q, { record(TXT, "\9short"), record(TXT, "\2ok") })
		end)
		local answer = ask("odd.example.org", "TXT")
		assert.same({ 1, "ok" }, { #answer, tostring(answer[1]) })
	end)

	it("ignores answers to questions that were not asked", function ()
		start(function (q)
			return reply({ id = "\0\0", question = q.question }, { record(TXT, "\4evil") })
		end, { timeout = 50, tries = 1 })
		local answer, err = ask("spoofed.example.org", "TXT")
		assert.is_nil(answer)
		assert.equal("timeout", err)
	end)

	it("cancels one question and leaves the others", function ()
		start(function (q)
			return q.name == "stays.example.org" and reply(q, { record(TXT, "\1y") }) or nil
		end, { timeout = 5000 })
		local first, second
		local query = assert(adns.lookup(function (_, err) first = err end, "goes.example.org", "TXT"))
		adns.lookup(function (answer) second = answer end, "stays.example.org", "TXT")
		turns.run_until(function () return #running.asked == 2 end, 2, "both questions")
		assert.is_true(query:cancel())
		assert.equal("canceled", first)
		assert.is_false(query:cancel())
		turns.run_until(function () return second end, 2, "the other answer")
		assert.equal("y", tostring(second[1]))
	end)

	it("ends open questions when the settings change, also inside a callback", function ()
		start(function (q)
			return q.name == "one.example.org" and reply(q, { record(TXT, "\1y") }) or nil
		end, { timeout = 5000 })
		local errs = {}
		adns.lookup(function (_, err) errs[#errs + 1] = err end, "two.example.org", "TXT")
		adns.lookup(function () adns.settings() end, "one.example.org", "TXT")
		turns.run_until(function () return errs[1] end, 2, "the end of the open one")
		assert.same({ "canceled" }, errs)
	end)

	it("takes a callback's error and a new question from inside a callback", function ()
		start(function (q) return reply(q, { record(TXT, "\1y") }) end)
		local got
		adns.lookup(function ()
			adns.lookup(function (answer) got = answer end, "b.example.org", "TXT")
			error "wrong"
		end, "a.example.org", "TXT")
		turns.run_until(function () return got end, 2, "the second answer")
	end)

	it("refuses names and types that are none", function ()
		assert.is_nil((adns.lookup(function () end, "")))
		assert.is_nil((adns.lookup(function () end, "a\0b")))
		assert.is_nil((adns.lookup(function () end, "a", "NOTYPE")))
		local _, err = ask(("x"):rep(70) .. ".org", "TXT")
		assert.equal("invalid name", err)
	end)

	it("has a resolver object and promises as Prosody's callers know them", function ()
		start(function (q)
			return q.name == "a.example.org" and reply(q, { record(TXT, "\1y") }) or nil
		end, { timeout = 50, tries = 1 })
		local answer, err
		adns.resolver():lookup_promise("a.example.org", "TXT"):next(function (a) answer = a end)
		adns.resolver():lookup_promise("b.example.org", "TXT"):catch(function (e) err = e end)
		turns.run_until(function () return answer and err end, 3, "both promises")
		assert.equal("y", tostring(answer[1]))
		assert.equal("timeout", err.text)
	end)
end)
