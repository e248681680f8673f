-- Reading: sizes, partial reads, pauses, limits, timeouts.

local socket <const> = require "socket"

return {
	{ "a short read comes with timeout", function (t)
		local _, peer, record = t.accept("server")
		peer:send("short")
		t.wait(function () return record.data == "short" end)
	end },
	{ "reads as long as the read size", function (t)
		local _, peer, record = t.accept("server", nil, { read_size = 4 })
		peer:send("abcdefghij")
		t.wait(function () return record.data == "abcdefghij" end)
	end },
	{ "a read exactly as long as the read size", function (t)
		local _, peer, record = t.accept("server", nil, { read_size = 4 })
		peer:send("abcd")
		t.wait(function () return record.data == "abcd" end)
		t.idle(0.01)
	end },
	{ "lines", function (t)
		local _, peer, record = t.accept("server", nil, { read_size = "*l" })
		peer:send("one\r\ntwo\n\nfour\n")
		t.wait(function () return record.data == "onetwofour" end)
	end },
	{ "whatever there is", function (t)
		local _, peer, record = t.accept("server", nil, { read_size = "*a" })
		peer:send("all of it\nat once")
		t.wait(function () return #record.data == 17 end)
	end },
	{ "set_mode changes the size", function (t)
		local conn, peer, record = t.accept("server", nil, { read_size = 2 })
		peer:send("abcd")
		t.wait(function () return record.data == "abcd" end)
		conn:set_mode(3)
		peer:send("efghij")
		t.wait(function () return record.data == "abcdefghij" end)
	end },
	{ "set_mode from lines to bytes", function (t)
		local conn, peer, record = t.accept("server", nil, { read_size = "*l" })
		peer:send("a line\n")
		t.wait(function () return record.data == "a line" end)
		conn:set_mode(4)
		peer:send("12345678")
		t.wait(function () return record.data == "a line12345678" end)
	end },
	{ "set_mode back to the setting", function (t)
		local conn, peer, record = t.accept("server", nil, { read_size = 2 })
		peer:send("abcd")
		t.wait(function () return record.data == "abcd" end)
		conn:set_mode(nil)
		peer:send("efghij")
		t.wait(function () return record.data == "abcdefghij" end)
	end },
	{ "set_mode to lines inside onincoming", function (t)
		local _, peer, record = t.accept("server", { onincoming = function (conn)
			conn:set_mode("*l")
		end })
		peer:send("bytes")
		t.wait(function () return record.data == "bytes" end)
		peer:send("a line\nanother\n")
		t.wait(function () return record.data == "bytesa lineanother" end)
	end },
	{ "input of any bytes", function (t)
		local all <const> = {}
		for i = 0, 255 do all[#all + 1] = string.char(i) end
		local bytes <const> = table.concat(all)
		local _, peer, record = t.accept("server", { quiet = true })
		peer:send(bytes)
		t.wait(function () return #record.data == 256 end)
		t.values("the same", record.data == bytes)
	end },
	{ "much input", function (t)
		local bytes <const> = ("0123456789abcdef"):rep(4096)
		local _, peer, record = t.accept("server", { quiet = true })
		local sent = 0
		t.wait(function ()
			if sent < #bytes then
				local n, _, part = peer:send(bytes, sent + 1)
				sent = n or part or sent
			end
			return #record.data == #bytes
		end)
		t.values("the same", record.data == bytes)
	end },
	{ "what was sent before the accept", function (t)
		local _, port, record = t.serve("server")
		local peer <const> = t.peer(port)
		peer:send("early")
		socket.sleep(0.01)
		t.wait(function () return record.data == "early" end)
	end },
	{ "data and the end together", function (t)
		local _, port, record = t.serve("server")
		local peer <const> = t.peer(port)
		peer:send("last words")
		peer:close()
		socket.sleep(0.01)
		t.wait(function () return record.count.disconnect end)
	end },
	{ "whatever there is, and the end", function (t)
		local _, port, record = t.serve("server", nil, { read_size = "*a" })
		local peer <const> = t.peer(port)
		peer:send("last words")
		peer:close()
		socket.sleep(0.01)
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a read exactly as long as the read size, and the end", function (t)
		local _, port, record = t.serve("server", nil, { read_size = 4 })
		local peer <const> = t.peer(port)
		peer:send("abcdefgh")
		peer:close()
		socket.sleep(0.01)
		t.wait(function () return record.count.disconnect end)
	end },
	{ "more comes while a handler reads, and the end", function (t)
		local first = true
		local _, peer, record
		_, peer, record = t.accept("server", { onincoming = function ()
			if first then
				first = false
				peer:send("second")
				peer:close()
			end
		end })
		peer:send("first")
		t.wait(function () return record.count.disconnect end)
	end },
	{ "close in onincoming with the last bytes", function (t)
		local _, port, record = t.serve("server", { onincoming = function (conn)
			conn:close()
		end })
		local peer <const> = t.peer(port)
		peer:send("last words")
		peer:close()
		socket.sleep(0.01)
		t.wait(function () return record.count.disconnect end)
		t.idle(0.01)
		t.values("count", record.count.disconnect)
	end },
	{ "a line without an end", function (t)
		local _, peer, record = t.accept("server", nil, { read_size = "*l" })
		peer:send("no newline")
		peer:close()
		t.wait(function () return record.count.disconnect end)
		t.values("data", record.data)
	end },
	{ "the remote end closes", function (t)
		local _, peer, record = t.accept("server")
		peer:close()
		t.wait(function () return record.count.disconnect end)
		t.idle(0.01)
		t.values("count", record.count.disconnect)
	end },
	{ "the remote end resets", function (t)
		local _, peer, record = t.accept("server")
		peer:setoption("linger", { on = true, timeout = 0 })
		peer:close()
		t.wait(function () return record.count.disconnect end)
	end },
	{ "the remote end closes its half", function (t)
		local _, peer, record = t.accept("server")
		peer:send("x")
		t.wait(function () return record.data == "x" end)
		peer:shutdown("send")
		t.wait(function () return record.count.disconnect end)
		t.values("peer", t.read(peer, 1))
	end },
	{ "the remote end closes its half while an answer waits", function (t)
		local _, peer, record = t.accept("server", { onincoming = function (conn)
			conn:write("answer")
		end })
		peer:send("x")
		peer:shutdown("send")
		t.values("peer", t.read(peer, 7))
		t.wait(function () return record.count.disconnect end)
	end },
	{ "two writes while reading is paused", function (t)
		local conn, peer, record = t.accept("server")
		conn:pause()
		peer:send("x")
		t.idle(0.01)
		peer:send("y")
		t.idle(0.02)
		t.values("paused", record.data)
		conn:resume()
		t.wait(function () return record.data == "xy" end)
	end },
	{ "pause in onincoming", function (t)
		local conn, peer, record = t.accept("server", { onincoming = function (conn)
			conn:pause()
		end }, { read_size = 4 })
		peer:send("abcdefgh")
		t.wait(function () return record.count.incoming end)
		t.idle(0.02)
		t.values("data", record.data)
		conn:resume()
		t.wait(function () return record.data == "abcdefgh" end, 0.1)
	end },
	{ "the end while reading is paused", function (t)
		local conn, peer, record = t.accept("server")
		conn:pause()
		peer:send("x")
		peer:close()
		t.idle(0.03)
		t.values("paused", record.data, record.count.disconnect)
		conn:resume()
		t.wait(function () return record.count.disconnect end)
	end },
	{ "pausefor resumes by itself", function (t)
		local conn, peer, record = t.accept("server")
		conn:pausefor(0.06)
		peer:send("x")
		t.idle(0.02)
		t.values("paused", record.data)
		t.wait(function () return record.data == "x" end)
	end },
	{ "pausefor replaces itself", function (t)
		local conn, peer, record = t.accept("server")
		local begin <const> = socket.gettime()
		conn:pausefor(0.02)
		conn:pausefor(0.1)
		peer:send("x")
		t.wait(function () return record.data == "x" end)
		t.values("after the second", socket.gettime() - begin > 0.08)
	end },
	{ "pausefor false takes the end of the pause away", function (t)
		local conn, peer, record = t.accept("server")
		conn:pausefor(0.03)
		conn:pausefor(false)
		peer:send("x")
		t.idle(0.08)
		t.values("paused", record.data)
		conn:resume()
		t.wait(function () return record.data == "x" end)
	end },
	{ "resume ends a pausefor", function (t)
		local conn, peer, record = t.accept("server")
		local begin <const> = socket.gettime()
		conn:pausefor(1.5)
		peer:send("x")
		t.idle(0.02)
		t.values("paused", record.data)
		conn:resume()
		t.wait(function () return record.data == "x" end)
		t.values("soon", socket.gettime() - begin < 1.2)
	end },
	{ "a close during a pausefor", function (t)
		local conn, peer, record = t.accept("server")
		conn:pausefor(0.03)
		peer:send("x")
		t.idle(0.01)
		conn:close()
		t.idle(0.06)
		t.values("heard", record.data, record.count.disconnect)
	end },
	{ "a read limit slows down", function (t)
		local conn, peer, record = t.accept("server", { quiet = true }, { read_size = 100 })
		conn:setlimit(4000)
		local begin <const> = socket.gettime()
		peer:send(("x"):rep(800))
		t.wait(function () return #record.data == 800 end)
		local took <const> = socket.gettime() - begin
		t.values("slow", took > 0.12, took < 1.5)
		conn:setlimit(0)
		peer:send(("x"):rep(800))
		t.wait(function () return #record.data == 1600 end)
		t.values("fast", socket.gettime() - begin - took < 0.15)
	end },
	{ "a connection that is silent", function (t)
		t.config { read_timeout = 0.15 }
		local begin <const> = socket.gettime()
		local conn, peer, record = t.accept("server")
		t.wait(function () return record.count.disconnect end)
		t.values("in time", socket.gettime() - begin > 0.1, socket.gettime() - begin < 1.5)
		t.values("peer", t.read(peer, 1))
		t.values("fd", conn:getfd())
	end },
	{ "a connection that is silent and has output", function (t)
		t.config { read_timeout = 0.15 }
		local conn, _, record = t.accept("server")
		conn:pause_writes()
		conn:write("held")
		t.wait(function () return record.count.disconnect end)
	end },
	{ "a silent connection is kept by true", function (t)
		t.config { read_timeout = 0.12 }
		local calls = 0
		local _, _, record = t.accept("server", { also = { "readtimeout" },
			onreadtimeout = function ()
				calls = calls + 1
				return calls < 3
			end })
		t.wait(function () return record.count.disconnect end)
		t.values("calls", calls)
	end },
	{ "a silent connection is kept by anything true", function (t)
		t.config { read_timeout = 0.12 }
		local calls = 0
		local _, _, record = t.accept("server", { onreadtimeout = function ()
			calls = calls + 1
			return calls < 2 and "yes" or nil
		end })
		t.wait(function () return record.count.disconnect end)
		t.values("calls", calls)
	end },
	{ "an error in onreadtimeout", function (t)
		t.config { read_timeout = 0.12 }
		local _, _, record = t.accept("server", { onreadtimeout = function ()
			error("of the probe")
		end })
		t.wait(function () return record.count.disconnect or record.raised end, 0.4)
	end },
	{ "setreadtimeout ends it earlier", function (t)
		local conn, _, record = t.accept("server")
		local begin <const> = socket.gettime()
		conn:setreadtimeout(0.12)
		t.wait(function () return record.count.disconnect end)
		t.values("in time", socket.gettime() - begin > 0.08)
	end },
	{ "setreadtimeout false waits for ever", function (t)
		t.config { read_timeout = 0.1 }
		local conn, _, record = t.accept("server")
		conn:setreadtimeout(false)
		t.idle(0.3)
		t.values("ended", record.count.disconnect)
	end },
	{ "input puts the read timeout off", function (t)
		t.config { read_timeout = 0.2 }
		local _, peer, record = t.accept("server", { quiet = true })
		for i = 1, 4 do
			t.idle(0.08)
			peer:send("x")
			t.wait(function () return #record.data == i end)
		end
		t.values("ended", record.count.disconnect)
	end },
	{ "a pause stops the read timeout", function (t)
		t.config { read_timeout = 0.1 }
		local conn, _, record = t.accept("server")
		conn:pause()
		t.idle(0.3)
		t.values("ended", record.count.disconnect)
		conn:resume()
		t.wait(function () return record.count.disconnect end)
	end },
}
