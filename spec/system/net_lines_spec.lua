-- Lines of one read are delivered in one protected call; nobody but the clock may notice.
local time <const> = require "host.loop"
local client <const> = require "spec.support.client"
local guard <const> = require "host.guard"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"

local run_until <const>, recorder <const> = turns.run_until, turns.recorder

describe("lines", function ()
	local got, conn, errors

	after_each(function ()
		server.set_config {}
		guard.limits {}
		turns.close_all()
		client.close_all()
	end)

	-- Sends `text` in one piece to a listener in line mode; `onincoming(conn, line)` sees the lines.
	local function send(text, onincoming, mode)
		got, errors = {}, {}
		local s <const> = recorder { onincoming = function (c, line, err)
			got[#got + 1] = line
			assert(err == nil or err == "closed")
			return onincoming and onincoming(c, line)
		end }
		function s.listeners.onlinetoolong()
			return true
		end
		function s.listeners.onerror(err)
			errors[#errors + 1] = err
			return err
		end
		local listening <const> = assert(server.listen("127.0.0.1", 0, s.listeners,
			{ read_size = mode or "*l" }))
		local c <const> = recorder()
		conn = assert(server.addclient("127.0.0.1", listening:serverport(), c.listeners))
		run_until(function () return s.count.onconnect and c.count.onconnect end, 5, "both to connect")
		conn:write(text)
		return s, c
	end

	local function wait_for(lines)
		run_until(function () return #got >= #lines end, 5, #lines .. " lines")
		assert.same(lines, got)
	end

	it("come one by one, without their ends", function ()
		send("a\nb\r\n\nc\n")
		wait_for { "a", "b", "", "c" }
	end)

	it("keep their ends in mode *L", function ()
		send("a\nb\r\n\nc\n", nil, "*L")
		wait_for { "a\n", "b\r\n", "\n", "c\n" }
	end)

	it("are cut in the other mode from the next on", function ()
		send("a\nb\r\nc\r\n", function (c, line)
			c:set_mode(line == "a" and "*L" or "*l")
		end)
		wait_for { "a", "b\r\n", "c" }
	end)

	it("keep their ends from the next on behind one that was too long", function ()
		server.set_config { line_limit = 8 }
		send("a\n" .. ("x"):rep(100) .. "\nb\n", nil, "*L")
		wait_for { "a\n", "b\n" }
	end)

	it("cost a callback that raises its own line only", function ()
		send("a\nbad\nb\nbad\nc\n", function (_, line)
			if line == "bad" then error("refused") end
		end)
		wait_for { "a", "bad", "b", "bad", "c" }
		run_until(function () return #errors == 2 end, 5, "both errors")
		assert.matches("refused", errors[1])
	end)

	it("end the connection at an error, if errors are fatal", function ()
		server.set_config { fatal_errors = true }
		local s <const>, c <const> = send("a\nbad\nb\n", function (_, line)
			if line == "bad" then error("refused") end
		end)
		run_until(function () return c.count.ondisconnect end, 5, "the end")
		assert.same({ "a", "bad" }, got)
		assert.truthy(s)
	end)

	it("wait from the next on when a callback pauses", function ()
		local theirs
		send("a\nb\nc\n", function (c, line)
			theirs = c
			if line == "b" then c:pause() end
		end)
		wait_for { "a", "b" }
		theirs:resume()
		wait_for { "a", "b", "c" }
	end)

	it("are none any more once a callback has changed the mode", function ()
		send("a\nb\nc\n", function (c, line)
			if line == "a" then c:set_mode("*a") end
		end)
		wait_for { "a", "b\nc\n" }
	end)

	it("go to the new listener once a callback has set it", function ()
		local theirs <const> = {}
		send("a\nb\nc\n", function (c, line)
			if line == "a" then
				c:setlistener { onincoming = function (_, new) theirs[#theirs + 1] = new end }
			end
		end)
		run_until(function () return #theirs == 2 end, 5, "two lines")
		assert.same({ "b", "c" }, theirs)
		assert.same({ "a" }, got)
	end)

	it("go to the function that a callback has assigned", function ()
		local second <const> = {}
		send("a\nb\nc\nd\n", function (c, line)
			if line == "b" then
				c.onincoming = function (_, more)
					second[#second + 1] = more
					if more == "c" then c.onincoming = nil end
				end
			end
		end)
		wait_for { "a", "b", "d" }
		assert.same({ "c" }, second)
	end)

	-- What a connection knows of itself must not depend on whose lines are being delivered.
	it("change nothing of what connections know", function ()
		local seen <const> = {}
		local function know(c)
			return { c.id, c.created, c.listeners, c.conn == c, c.nothing, c.mark, c.write, tostring(c) }
		end
		send("first\nassigns\nmore\nraises\ncloses\n", function (c, line)
			if line == "assigns" then c.mark = 1 end
			seen[line] = { own = know(c), other = know(conn), same = c.id ~= conn.id }
			if line == "raises" then error("refused") end
			if line == "closes" then
				c:close()
				seen.closed = { c.id, c.conn, c.write }
			end
		end)
		wait_for { "first", "assigns", "more", "raises", "closes" }
		local own <const>, other <const> = seen.first.own, seen.first.other
		assert.same({ true, conn.id }, { seen.first.same, other[1] })
		assert.same({ true, true }, { own[4], other[4] })
		assert.same({}, { own[5], own[6], other[5], other[6] })
		own[6] = 1
		for _, line in ipairs { "assigns", "more", "raises", "closes" } do
			assert.same({ own = own, other = other, same = true }, seen[line])
		end
		assert.same({ own[1], nil, own[7] }, seen.closed)
	end)

	it("end with the connection that a callback closes", function ()
		local _, c <const> = send("a\nb\nc\n", function (theirs, line)
			if line == "b" then theirs:close() end
		end)
		run_until(function () return c.count.ondisconnect end, 5, "the end")
		assert.same({ "a", "b" }, got)
	end)

	it("go on behind one that was longer than allowed", function ()
		server.set_config { line_limit = 8 }
		send("a\n" .. ("x"):rep(100) .. "\nb\n")
		wait_for { "a", "b" }
	end)

	it("are each under callback_timeout, not together", function ()
		guard.limits { timeout = 1 }
		local function busy(seconds)
			local till <const> = time.monotonic() + seconds
			while time.monotonic() < till do end
		end
		send("a\nb\nc\nlong\nlast\n", function (_, line)
			busy(line == "long" and 20 or 0.4)
		end)
		wait_for { "a", "b", "c", "long", "last" }
		run_until(function () return #errors == 1 end, 5, "the error")
		assert.matches("callback_timeout", errors[1])
	end)
end)
