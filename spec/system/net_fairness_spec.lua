-- Nobody starves, spins or brings the process down: writers without end, sockets that others hold,
-- full memory, one address that connects too often.

local client <const> = require "spec.support.client"
local host_loop <const> = require "host.loop"
local host_net <const> = require "host.net"
local process <const> = require "spec.support.process"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"
local unistd <const> = require "posix.unistd"

local run_until <const> = turns.run_until

-- An address of this machine that limits apply to, or nil.
local function own_address()
	local seen = {}
	for line in (process.read_file("/proc/net/fib_trie") or ""):gmatch("[^\n]+") do
		local address = line:match("|%-%- (%d+%.%d+%.%d+%.%d+)")
		if address then
			seen.last = address
		elseif line:find("32 host LOCAL", 1, true) and not seen.last:find("^127%.") then
			return seen.last
		end
	end
end

describe("the loop", function ()
	after_each(function ()
		host_net.limits {}
		turns.close_all()
		client.close_all()
	end)

	it("serves others beside one that writes whenever it has drained", function ()
		local written, got = 0, 0
		local s = assert(server.listen("127.0.0.1", 0, {
			onconnect = function (conn) conn:write("x") end,
			ondrain = function (conn)
				if written > 1e9 then return end -- nobody else was served
				written = written + conn:write(("x"):rep(1000))
			end,
		}))
		assert(server.addclient("127.0.0.1", s:serverport(), {
			onincoming = function (_, data) got = got + #data end,
		}))
		local ticks = 0
		server.add_task(0.001, function ()
			ticks = ticks + 1
			return 0.001
		end)
		turns.run_until(function ()
			return ticks > 20 and written > 100000 and got > 100000
		end, 10, "ticks beside a writer")
		assert.is_true(written < 1e9, ticks .. " ticks")
	end)

	it("hears class admin before those who came first", function ()
		local order = {}
		local function note(word)
			return { onincoming = function () order[#order + 1] = word end }
		end
		local ordinary = assert(server.listen("127.0.0.1", 0, note "client"))
		local admin = assert(server.listen("127.0.0.1", 0, note "admin", { class = "admin" }))
		local peers = {}
		for i = 1, 20 do peers[i] = assert(client.tcp("127.0.0.1", ordinary:serverport())) end
		local operator = assert(client.tcp("127.0.0.1", admin:serverport()))
		run_until(function () return #server.handles() == 21 end)
		for i = 1, 20 do peers[i]:send("x") end
		operator:send("x")
		run_until(function () return #order == 21 end)
		assert.equal("admin", order[1])
	end)

	-- Callbacks that each hold the loop for longer than a tick of the kernel's clock.
	local function hog(fn)
		return { onincoming = function ()
			local over = host_loop.monotonic() + 0.012
			repeat until host_loop.monotonic() > over
			fn()
		end }
	end

	it("hears class admin after one callback although it came in the middle of a flood", function ()
		local order, operator = {}, nil
		local ordinary = assert(server.listen("127.0.0.1", 0, hog(function ()
			order[#order + 1] = "client"
			if #order == 10 then operator:send("x") end
		end)))
		local admin = assert(server.listen("127.0.0.1", 0, { onincoming = function ()
			order[#order + 1] = "admin"
		end }, { class = "admin" }))
		operator = assert(client.tcp("127.0.0.1", admin:serverport()))
		local peers = {}
		for i = 1, 100 do peers[i] = assert(client.tcp("127.0.0.1", ordinary:serverport())) end
		run_until(function () return #server.handles() == 101 end)
		for i = 1, 100 do peers[i]:send("x") end
		run_until(function () return #order == 101 end, 20)
		local at = 0
		for i, word in ipairs(order) do at = word == "admin" and i or at end
		assert.is_true(at == 11 or at == 12, "came at place " .. at)
	end)

	it("accepts class admin and hears it after one callback each in a flood", function ()
		local order, port, operator = {}, nil, nil
		local ordinary = assert(server.listen("127.0.0.1", 0, hog(function ()
			order[#order + 1] = "client"
			if #order == 10 then
				operator = assert(client.tcp("127.0.0.1", port))
				operator:send("x")
			end
		end)))
		local admin = assert(server.listen("127.0.0.1", 0, {
			onconnect = function () order[#order + 1] = "connect" end,
			onincoming = function () order[#order + 1] = "admin" end,
		}, { class = "admin" }))
		port = admin:serverport()
		local peers = {}
		for i = 1, 100 do peers[i] = assert(client.tcp("127.0.0.1", ordinary:serverport())) end
		run_until(function () return #server.handles() == 100 end)
		for i = 1, 100 do peers[i]:send("x") end
		run_until(function () return #order == 102 end, 20)
		local places = {}
		for i, word in ipairs(order) do places[word] = i end
		assert.is_true(places.connect <= 12 and places.admin <= 14,
			("came at places %d and %d"):format(places.connect, places.admin))
	end)

	it("follows a listener that changes its class", function ()
		local heard = {}
		local s = assert(server.listen("127.0.0.1", 0, { onconnect = function (conn)
			heard[#heard + 1] = conn:class()
		end }))
		for _, class in ipairs { "admin", "client", "admin" } do
			s:setclass(class)
			assert(client.tcp("127.0.0.1", s:serverport()))
			run_until(function () return heard[#heard] == class end)
		end
	end)

	it("does not spin on a listener that it let go and that another still holds", function ()
		local s = assert(server.listen("127.0.0.1", 0, {}))
		local port, held = s:serverport(), require "host.sys".dup(s:getfd())
		turns.run_for(0.01)
		s:destroy()
		for _ = 1, 3 do assert(client.tcp("127.0.0.1", port)) end
		turns.run_for(0.02)
		local cpu = os.clock()
		local done
		server.add_task(0.5, function () done = true host_loop.quit() end)
		host_loop.run()
		assert.is_true(done)
		assert.is_true(os.clock() - cpu < 0.05, "used " .. os.clock() - cpu .. " s")
		unistd.close(held)
	end)

	it("does not spin on a paused connection whose peer has gone", function ()
		local s = assert(server.listen("127.0.0.1", 0, { onconnect = function (c) c:pause() end }))
		local peer = assert(client.tcp("127.0.0.1", s:serverport()))
		run_until(function () return server.handles()[1] end)
		peer:send("x")
		peer:reset()
		turns.run_for(0.02)
		local cpu = os.clock()
		server.add_task(0.3, function () host_loop.quit() end)
		host_loop.run()
		assert.is_true(os.clock() - cpu < 0.05, "used " .. os.clock() - cpu .. " s")
		assert.equal("open", server.handles()[1]:state())
	end)

	it("outlives a full Lua memory", function ()
		local guard = require "host.guard"
		local s = assert(server.listen("127.0.0.1", 0, {
			onincoming = function (conn, data) conn:write(data) end,
		}))
		local peers = {}
		for i = 1, 50 do peers[i] = assert(client.tcp("127.0.0.1", s:serverport())) end
		run_until(function () return #server.handles() == 50 end)
		for i = 1, 50 do peers[i]:send(("x"):rep(8000)) end
		for _ = 1, 5 do assert(client.tcp("127.0.0.1", s:serverport())) end
		local hoard, run = {}, host_loop.run
		collectgarbage()
		finally(function () guard.limits { memory = 0 } end)
		guard.limits { memory = math.floor(collectgarbage("count") * 1024) + 100000 }
		pcall(function () for i = 1, 1e7 do hoard[i] = { i } end end)
		local full = #hoard
		for _ = 1, 100 do run(true) end
		guard.limits { memory = 0 }
		hoard = nil -- luacheck: ignore 311 331
		collectgarbage()
		assert.is_true(full > 100)
		assert.is_true(#server.handles() < 55, "nobody was turned away")
		local peer = assert(client.tcp("127.0.0.1", s:serverport()))
		peer:send("still here\n")
		turns.run_for(0.05)
		assert.equal("still here", peer:line())
	end)

	local address <const> = own_address()
	if address then
		it("turns away an address with too many connections and lets it back in", function ()
			assert(host_net.limits { max_connections_per_ip = 3 })
			local s = assert(server.listen("*", 0, {}))
			local peers = {}
			for i = 1, 5 do peers[i] = assert(client.tcp(address, s:serverport())) end
			run_until(function () return s:stats().refused == 2 end)
			assert.equal(3, s:stats().connections)
			assert.is_true(peers[5]:closed())
			peers[1]:close()
			run_until(function () return s:stats().connections == 2 end)
			assert(client.tcp(address, s:serverport()))
			run_until(function () return s:stats().connections == 3 end)
			assert(client.tcp("127.0.0.1", s:serverport()))
			run_until(function () return s:stats().connections == 4 end)
		end)

		it("turns away an address that connects too fast, beyond a burst of twice the rate", function ()
			assert(host_net.limits { max_connection_rate_per_ip = 5 })
			local s = assert(server.listen("*", 0, {}))
			for _ = 1, 15 do assert(client.tcp(address, s:serverport())) end
			run_until(function () return s:stats().accepted + s:stats().refused == 15 end)
			assert.equal(10, s:stats().accepted)
			run_until(function ()
				assert(client.tcp(address, s:serverport()))
				return s:stats().accepted == 11
			end, 3)
		end)

		it("lets the networks of limits_exempt connect as they like", function ()
			assert(host_net.limits { max_connection_rate_per_ip = 1, max_connections_per_ip = 1,
				limits_exempt = { (address:gsub("%d+$", "0/24")) } })
			local s = assert(server.listen("*", 0, {}))
			for _ = 1, 10 do assert(client.tcp(address, s:serverport())) end
			run_until(function () return s:stats().accepted == 10 end)
		end)
	end
end)
