local daemon <const> = require "spec.support.daemon"
local datagram <const> = require "net.datagram"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local socket <const> = require "socket"
local turns <const> = require "spec.support.turns"
local wait <const> = require "spec.support.wait"

describe("net.datagram", function ()
	local open

	before_each(function () open = {} end)
	after_each(function ()
		server.gate(true)
		for _, s in ipairs(open) do s:close() end
		daemon.finish_all()
	end)

	local function keep(s, err)
		assert(s, err)
		open[#open + 1] = s
		return s
	end

	it("answers whoever sends, packet by packet, empty ones too", function ()
		local listening = keep(datagram.listen("127.0.0.1", 0, { onincoming = function (s, data, ip, port)
			s:sendto("<" .. data .. ">", ip, port)
		end }))
		local got = {}
		local peer = keep(datagram.client("127.0.0.1", listening:port(),
			{ onincoming = function (_, data) got[#got + 1] = data end }))
		for _, text in ipairs { "one", "", ("x"):rep(9000) } do
			assert.equal(#text, peer:send(text))
		end
		turns.run_until(function () return #got == 3 end, 2, "three answers")
		assert.same({ "<one>", "<>", "<" .. ("x"):rep(9000) .. ">" }, got)
	end)

	it("speaks IPv6, beside IPv4 on the same port", function ()
		local got
		local v4 = keep(datagram.listen("*", 0, { onincoming = function () end }))
		local v6 = datagram.listen("::", v4:port(), { onincoming = function (_, _, ip) got = ip end })
		if not v6 then return pending "needs IPv6" end
		keep(v6)
		keep(datagram.client("::1", v4:port())):send("x")
		turns.run_until(function () return got end, 2, "the packet")
		assert.equal("::1", got)
	end)

	it("hears of a peer that is not there, and goes on", function ()
		local free = keep(datagram.listen("127.0.0.1", 0, {}))
		local port = free:port()
		free:close()
		local err
		local peer = keep(datagram.client("127.0.0.1", port,
			{ onincoming = function () end, onerror = function (_, why) err = why end }))
		peer:send("x")
		turns.run_until(function () return err end, 2, "the refusal")
		assert.equal("connection refused", err)
		assert.equal("127.0.0.1", (peer:getpeername()))
	end)

	it("keeps its place after an error in a callback, and may be closed inside one", function ()
		local count = 0
		local listening = keep(datagram.listen("127.0.0.1", 0, { onincoming = function (s, data)
			count = count + 1
			if data == "bad" then error "wrong" end
			if data == "end" then s:close() end
		end }))
		local peer = keep(datagram.client("127.0.0.1", listening:port()))
		for _, text in ipairs { "bad", "good", "end", "late" } do peer:send(text) end
		turns.run_until(function () return listening:getfd() < 0 end, 2, "the close")
		assert.equal(3, count)
	end)

	it("does not read while the gate is shut; what came waits", function ()
		local got
		local listening = keep(datagram.listen("127.0.0.1", 0,
			{ onincoming = function (_, data) got = data end }))
		local peer = keep(datagram.client("127.0.0.1", listening:port()))
		server.gate(false)
		peer:send("waits")
		turns.run_for(0.03)
		assert.is_nil(got)
		server.gate(true)
		turns.run_until(function () return got end, 2, "the packet")
	end)

	it("refuses what is no address or is taken", function ()
		local taken = keep(datagram.listen("127.0.0.1", 0, {}))
		assert.same({ nil, "address already in use" },
			{ table.unpack({ datagram.listen("127.0.0.1", taken:port(), {}) }, 1, 2) })
		assert.has_error(function () datagram.listen("nowhere", 1, {}) end)
	end)

	it("gives its object to watchfd like LuaSocket's", function ()
		local listening = keep(datagram.listen("127.0.0.1", 0))
		local got
		local watch = server.watchfd(listening, function () got = { listening:receivefrom() } end)
		keep(datagram.client("127.0.0.1", listening:port())):send("seen")
		turns.run_until(function () return got end, 2, "the packet")
		watch:close()
		assert.same({ "seen", "127.0.0.1" }, { got[1], got[2] })
	end)

	it("is held by the keeper: packets wait while the worker is replaced", function ()
		local probe = keep(datagram.listen("127.0.0.1", 0, {}))
		local port = probe:port()
		probe:close()
		local d = daemon.start {
			config = ('modules_enabled = { "udp" }; udp_port = %d'):format(port), fds = false,
			modules = { udp = [[
				local datagram = require "net.datagram"
				local s = assert(datagram.listen("127.0.0.1", module:get_option_integer("udp_port"),
					{ onincoming = function (s, data, ip, port) s:sendto(data, ip, port) end }))
				function module.unload() s:close() end
			]] },
			allow = { "killed", "SIGKILL", "signal 9" },
		}
		local peer = keep(assert(socket.udp()))
		peer:settimeout(5)
		assert(peer:setpeername("127.0.0.1", port))
		peer:send("one")
		assert.equal("one", peer:receive())
		local before = d:worker_pid()
		process.kill(before, 9)
		peer:send("two")
		assert.equal("two", peer:receive())
		wait.until_true(function () return d:worker_pid() ~= before end, 5, "the next worker")
		d:stop()
	end)
end)
