-- The plain reads of a turn are delivered in one protected call, one behind the other; nobody but
-- the clock may notice. All peers have sent before the loop runs, so all are readable at once.
local client <const> = require "spec.support.client"
local guard <const> = require "host.guard"
local server <const> = require "net.server"
local time <const> = require "host.loop"
local turns <const> = require "spec.support.turns"

local run_until <const>, recorder <const> = turns.run_until, turns.recorder

describe("reads of one turn", function ()
	local got, conns, peers, errors, listening

	after_each(function ()
		server.set_config {}
		guard.limits {}
		turns.close_all()
		client.close_all()
	end)

	-- `n` connections, whose peers have each sent their number; got: numbers in the order they came.
	local function send(n, onincoming, opts)
		got, conns, peers, errors = {}, {}, {}, {}
		local s <const> = recorder { onconnect = function (c) conns[#conns + 1] = c end,
			onincoming = function (c, data)
				got[#got + 1] = data
				return onincoming and onincoming(c, data)
			end }
		function s.listeners.onerror(err)
			errors[#errors + 1] = err
			return err
		end
		listening = assert(server.listen("127.0.0.1", 0, s.listeners, opts))
		for i = 1, n do peers[i] = assert(client.tcp("127.0.0.1", listening:serverport())) end
		run_until(function () return #conns == n end, 5, "all to connect")
		for i = 1, n do peers[i]:send(tostring(i)) end
		return s
	end

	local function wait_for(n)
		run_until(function () return #got >= n end, 5, n .. " reads")
		local seen <const> = {}
		for _, data in ipairs(got) do seen[data] = (seen[data] or 0) + 1 end
		for data, times in pairs(seen) do assert.equal(1, times, data .. " came more than once") end
	end

	-- Connections but that one.
	local function others(conn)
		local list <const> = {}
		for _, c in ipairs(conns) do list[#list + 1] = c ~= conn and c or nil end
		return list
	end

	it("come each to its own connection, and are answered each on it", function ()
		send(300, function (c, data) c:write("to " .. data .. "\n") end)
		wait_for(300)
		for i = 1, 300 do assert.equal("to " .. i, peers[i]:line()) end
	end)

	it("cost a callback that raises nobody else's", function ()
		send(20, function (c, data)
			c:write("got " .. data .. "\n")
			if tonumber(data) % 3 == 0 then error("refused " .. data) end
		end)
		wait_for(20)
		run_until(function () return #errors == 6 end, 5, "six errors")
		assert.matches("net_reads_spec.lua:%d+: refused %d+\nstack traceback", errors[1])
		for i = 1, 20 do
			assert.equal("got " .. i, peers[i]:line())
			peers[i]:send("again")
		end
		got = {}
		run_until(function () return #got == 20 end, 5, "all once more")
	end)

	it("end the connection alone whose callback raised, if errors are fatal", function ()
		server.set_config { fatal_errors = true }
		local s <const> = send(10, function (_, data)
			if data == "4" or data == "7" then error("refused") end
		end)
		wait_for(10)
		run_until(function () return #server.handles() == 8 end, 5, "the two to end")
		assert.is_nil(s.count.ondisconnect) -- a destroyed one hears nothing
	end)

	it("do not come once a callback before them has closed or destroyed the connection", function ()
		local s <const> = send(10, function (c)
			for i, other in ipairs(others(c)) do
				if i % 2 == 0 then other:close() else other:destroy() end
			end
		end)
		run_until(function () return #server.handles() == 1 end, 5, "the others to end")
		assert.equal(1, #got)
		assert.equal(4, s.count.ondisconnect)
	end)

	it("wait while a callback before them has paused the connection", function ()
		local paused
		send(10, function (c)
			if paused then return end
			paused = others(c)
			for _, other in ipairs(paused) do other:pause() end
		end)
		run_until(function () return paused end)
		turns.run_for(0.05)
		assert.equal(1, #got)
		for _, other in ipairs(paused) do other:resume() end
		wait_for(10)
	end)

	it("are lines once a callback before them has changed the mode", function ()
		local changed
		send(4, function (c)
			if changed then return end
			changed = true
			for _, other in ipairs(others(c)) do other:set_mode("*l") end
		end)
		run_until(function () return changed end)
		for i = 1, 4 do peers[i]:send("\nmore\n") end
		run_until(function () return #got == 8 end, 5, "the rest")
		table.sort(got)
		-- three in two lines each; the first as it came, in one piece behind its number
		assert.same({ "\nmore\n", "more", "more", "more" }, { got[1], got[6], got[7], got[8] })
	end)

	it("go to the listener or the function that a callback before them has set", function ()
		local theirs <const>, own <const>, done = {}, {}, false
		send(9, function (c)
			if done then return end
			done = true
			for i, other in ipairs(others(c)) do
				if i % 2 == 0 then
					other:setlistener { onincoming = function (_, new) theirs[#theirs + 1] = new end }
				else
					other.onincoming = function (_, new) own[#own + 1] = new end
				end
			end
		end)
		run_until(function () return #theirs + #own == 8 end, 5, "the others")
		assert.same({ 1, 4, 4 }, { #got, #theirs, #own })
	end)

	it("go on after a listener table has lost its function and its last connection", function ()
		send(6, function (c)
			for _, other in ipairs(others(c)) do
				other:setlistener {}
				collectgarbage()
			end
		end)
		run_until(function () return #got == 1 end)
		turns.run_for(0.02)
		assert.equal(1, #got)
	end)

	it("tell of the end of a stream behind them", function ()
		local s <const> = send(8, function () end)
		for i = 1, 8 do peers[i]:close() end
		run_until(function () return s.count.ondisconnect == 8 end, 5, "all ends")
		wait_for(8)
		assert.equal("closed", s.why)
	end)

	it("wait with the end of the stream behind them where a callback before them paused", function ()
		local paused, s
		s = send(8, function (c)
			if paused then return end
			paused = others(c)
			for _, other in ipairs(paused) do other:pause() end
		end)
		for i = 1, 8 do peers[i]:close() end
		run_until(function () return s.count.ondisconnect == 1 end, 5, "the first to end")
		turns.run_for(0.05)
		assert.same({ 1, 1 }, { #got, s.count.ondisconnect })
		for _, other in ipairs(paused) do other:resume() end
		wait_for(8)
		run_until(function () return s.count.ondisconnect == 8 end, 5, "the others to end")
		assert.equal("closed", s.why)
	end)

	-- 200 KiB: three times what the cork holds
	it("are answered whole, however much each of them writes", function ()
		local function text(i, size) return (("%d."):format(i)):rep(size):sub(1, size) end
		for _, size in ipairs { 10240, 20000, 70000 } do
			send(20, function (c, data) c:write(text(data, size)) c:write("\n") end)
			wait_for(20)
			for i = 1, 20 do assert.equal(text(i, size), peers[i]:line()) end
			turns.close_all()
			client.close_all()
		end
	end)

	it("may write to each other's connections, in turns", function ()
		send(20, function (_, data)
			for round = 1, 2 do
				for _, other in ipairs(conns) do other:write(data .. "/" .. round .. "\n") end
			end
		end)
		wait_for(20)
		for i = 1, 20 do
			local lines <const> = {}
			for k = 1, 40 do lines[k] = peers[i]:line() end
			for k = 1, 20 do
				assert.same({ got[k] .. "/1", got[k] .. "/2" }, { lines[2 * k - 1], lines[2 * k] })
			end
		end
	end)

	it("charge each connection with its own bytes", function ()
		send(6, function () end)
		for _, c in ipairs(conns) do c:setlimit(100) end
		wait_for(6)
		got = {}
		for i = 1, 6 do peers[i]:send(("x"):rep(i == 1 and 40 or 1)) end
		run_until(function () return #got == 6 end, 5, "all pieces")
		for i = 1, 6 do peers[i]:send("y") end
		run_until(function () return #got == 11 end, 5, "five more")
		turns.run_for(0.05)
		assert.equal(11, #got) -- the one that sent 40 bytes pauses for 0.4 s
		run_until(function () return #got == 12 end, 5, "the last one")
	end)

	it("have each its own time limit", function ()
		local slow <const> = {}
		guard.on_slow(function (_, traceback, what) slow[#slow + 1] = what .. "\n" .. traceback end)
		finally(function () guard.on_slow(function () end) end)
		guard.limits { slow = 0.05, timeout = 0.6 }
		send(12, function (_, data)
			local over <const> = time.monotonic() + (data == "5" and 0.2 or data == "9" and 60 or 0.01)
			while time.monotonic() < over do end
		end)
		run_until(function () return #got == 12 end, 20, "all reads")
		run_until(function () return #errors == 1 end, 5, "the error")
		assert.matches("callback took longer than callback_timeout", errors[1])
		assert.is_true(#slow >= 1 and #slow <= 2, #slow .. " were slow")
		assert.matches("^onincoming\n.*net_reads_spec.lua", slow[1])
	end)

	it("may each hold coroutines that yield, but not yield themselves", function ()
		local resumed = 0
		send(4, function (_, data)
			local co <const> = coroutine.wrap(function () coroutine.yield() resumed = resumed + 1 end)
			co()
			co()
			if data == "2" then coroutine.yield() end
		end)
		wait_for(4)
		assert.equal(4, resumed)
		assert.equal(1, #errors)
		assert.matches("attempt to yield from outside a coroutine", errors[1])
	end)

	it("leave what connections know of themselves as it is", function ()
		local seen <const> = {}
		send(5, function (c, data)
			seen[data] = { c.id, c.conn == c, c.listeners ~= nil, c.created, c.mark }
			c.mark = data
			if data == "3" then error("refused") end
		end)
		wait_for(5)
		local ids <const> = {}
		for i, c in ipairs(conns) do
			local before <const> = seen[c.mark]
			assert.same({ c.id, true, true, c.created }, before)
			assert.is_nil(ids[c.id], i)
			ids[c.id] = true
		end
	end)
end)
