-- add_task and timer.

local socket <const> = require "socket"

return {
	{ "a timer's arguments", function (t)
		local id, done
		id = t.server.add_task(0.01, function (now, ...)
			t.values("realtime", math.abs(now - socket.gettime()) < 0.5)
			t.values("its id", (...) == id, select("#", ...))
			done = true
		end)
		t.values("id", id ~= nil)
		t.wait(function () return done end)
	end },
	{ "a timer's parameter", function (t)
		local done
		t.server.add_task(0, function (_, _, param)
			t.values("param", param)
			done = true
		end, "mine")
		t.wait(function () return done end)
	end },
	{ "a timer that returns a number is armed again", function (t)
		local calls = 0
		t.server.add_task(0, function ()
			calls = calls + 1
			return calls < 3 and 0.005 or nil
		end)
		t.wait(function () return calls == 3 end)
		t.idle(0.02)
		t.values("calls", calls)
	end },
	{ "a timer that returns a number as text ends", function (t)
		local calls = 0
		t.server.add_task(0, function ()
			calls = calls + 1
			return "0.001"
		end)
		t.wait(function () return calls > 0 end)
		t.idle(0.02)
		t.values("calls", calls)
	end },
	{ "timers go in the order of their times", function (t)
		local order = ""
		for i, delay in ipairs { 0.02, 0.01, 0.03, 0 } do
			t.server.add_task(delay, function () order = order .. i end)
		end
		t.wait(function () return #order == 4 end)
		t.values("order", order)
	end },
	{ "a timer that is stopped does not come", function (t)
		local came = false
		local id <const> = t.server.add_task(0.01, function () came = true end)
		t.server.timer.stop(id)
		t.idle(0.03)
		t.values("came", came)
		t.try("again", function () t.server.timer.stop(id) end)
		t.try("reschedule", function () t.server.timer.reschedule(id, 1) end)
	end },
	{ "a timer that stops itself is not armed again", function (t)
		local calls = 0
		t.server.add_task(0, function (_, id)
			calls = calls + 1
			t.server.timer.stop(id)
			return 0.001
		end)
		t.idle(0.03)
		t.values("calls", calls)
	end },
	{ "a timer stops another one that is due", function (t)
		local order, other = "", nil
		t.server.add_task(0.005, function ()
			order = order .. "a"
			t.server.timer.stop(other)
		end)
		other = t.server.add_task(0.006, function () order = order .. "b" end)
		socket.sleep(0.02)
		t.idle(0.03)
		t.values("order", order)
	end },
	{ "a timer is moved forward and back", function (t)
		local order = ""
		local late <const> = t.server.add_task(5, function () order = order .. "late " end)
		local soon <const> = t.server.add_task(0.005, function () order = order .. "soon " end)
		t.server.timer.reschedule(late, 0.01)
		t.server.timer.reschedule(soon, 0.03)
		t.wait(function () return #order == 10 end)
		t.values("order", order)
	end },
	{ "an error in a timer is logged and ends it", function (t)
		local calls, after = 0, nil
		t.server.add_task(0, function ()
			calls = calls + 1
			error("of the probe")
		end)
		t.server.add_task(0.02, function () after = true end)
		t.wait(function () return after end)
		t.values("calls", calls)
	end },
	{ "a timer added by a timer", function (t)
		local order = ""
		t.server.add_task(0, function ()
			order = order .. "a"
			t.server.add_task(0, function () order = order .. "b" end)
		end)
		t.wait(function () return order == "ab" end)
		t.values("order", order)
	end },
	{ "a timer's absolute time", function (t)
		local monotonic <const> = require "util.time".monotonic
		local at <const> = t.server.timer.to_absolute_time(monotonic() + 10)
		t.values("close", math.abs(at - socket.gettime() - 10) < 0.5)
	end },
}
