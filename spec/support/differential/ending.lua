-- The end of everything: setquitting and loop. Runs last.

local socket <const> = require "socket"

return {
	{ "setquitting is taken back", function (t)
		local _, _, record = t.accept("server", { quiet = true })
		t.values("setquitting", t.server.setquitting(true))
		t.wait(function () return record.count.disconnect == 2 end)
		t.server.setquitting(false)
		local _, peer, later = t.accept("server", { quiet = true })
		peer:send("x")
		t.wait(function () return later.data == "x" end)
		t.values("goes on", later.data)
	end },
	{ "setquitting tells every connection and loop returns", function (t)
		t.accept("server", { quiet = true, ondisconnect = function (_, err)
			t.values("ended", err)
		end })
		t.server.setquitting(true)
		t.values("loop", t.server.loop())
		t.server.setquitting(false)
	end },
	{ "setquitting lets output go", function (t)
		local conn, peer = t.accept("server", { quiet = true })
		conn:write("last words")
		t.server.setquitting(true)
		t.values("loop", t.server.loop())
		t.server.setquitting(false)
		t.values("peer", t.read(peer, 11))
	end },
	{ "setquitting in a timer ends the loop", function (t)
		t.serve("server", { quiet = true })
		t.server.add_task(0.01, function () t.server.setquitting(true) end)
		local begin <const> = socket.gettime()
		t.values("loop", t.server.loop())
		t.values("soon", socket.gettime() - begin < 0.5)
		t.server.setquitting(false)
	end },
	{ "shutdown_deadline cuts who does not read", function (t)
		-- The second closes of the probes before, 1 s after each setquitting, do not end with it.
		t.idle(1.2)
		t.config { shutdown_deadline = 0.3 }
		local ends <const> = {}
		local conn, _, _, listening = t.accept("server", { quiet = true,
			ondisconnect = function (handle) ends[handle] = (ends[handle] or 0) + 1 end })
		conn:write(("x"):rep(8000000))
		t.idle(0.02)
		local begin <const> = socket.gettime()
		t.server.setquitting(true)
		t.values("loop", t.server.loop())
		local took <const> = socket.gettime() - begin
		t.values("in time", took > 0.2, took < 6)
		t.values("fd", conn:getfd(), listening:getfd())
		t.values("told", ends[conn], ends[listening])
		t.server.setquitting(false)
	end },
}
