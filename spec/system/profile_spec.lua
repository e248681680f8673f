-- `profile` in the console: where CPU time goes, by Lua function, in every worker.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait_until <const> = require "spec.support.wait"

-- Works half of the time, in a Lua function, in a C function, and in a coroutine.
local burner <const> = [[
	local timer <const> = require "util.timer"
	local function count_up() local n = 0 for i = 1, 3e5 do n = n + i % 3 end return n end
	local function repeats() local s = ("x"):rep(2e6) return #s:reverse() end
	local function sleeper()
		while true do for _ = 1, 5 do count_up() end coroutine.yield() end
	end
	local co <const> = coroutine.create(sleeper)
	timer.add_task(0.01, function ()
		count_up() repeats() coroutine.resume(co)
		return 0.04
	end)
]]

local function start(more)
	return daemon.start { fds = not more, modules = { burner = burner }, config = [[
		modules_enabled = { "admin_shell", "burner" }; slow_callback = "never"
	]] .. (more or "") }
end

local function last(lines)
	return lines[#lines]
end

-- Folded stacks of a profile, as text.
local function take(d, name)
	local lines
	-- CPU time is what is counted: on a machine that gives us none, once more.
	wait_until(function ()
		lines = d:console("profile 1 " .. name)
		return (tonumber(last(lines):match("^OK: ([%d.]+) s of CPU time")) or 0) > 0.1
	end, 60, "some CPU time")
	local path <const> = d.dir .. "/data/" .. name
	return assert(process.read_file(path .. ".folded")), assert(process.read_file(path .. ".svg")),
		lines
end

describe("profile", function ()
	after_each(daemon.finish_all)

	it("names Lua functions with file and line, C functions by their library's name", function ()
		local d <const> = start()
		local folded, svg, lines = take(d, "one")
		local where <const> = "modules/mod_burner.lua:"
		assert.matches("count_up " .. where .. "2 %d+\n", folded)
		assert.matches("repeats " .. where .. "3;%[C%] string%.re%l+ %d+\n", folded)
		-- A coroutine has a stack of its own.
		assert.matches("\nfunction " .. where .. "4;count_up " .. where .. "2 %d+\n", "\n" .. folded)
		assert.is_nil(folded:match("[^\n]*boot%.lua[^\n]*"))
		for line in folded:gmatch("[^\n]+") do
			assert.matches("^[^;%c]+.* %d+$", line)
		end
		assert.matches("<svg", svg, 1, true)
		assert.matches("count_up " .. where .. "2", svg, 1, true)
		assert.matches("| sampling for 1 s", table.concat(lines, "\n"), 1, true)
		assert.matches("%%  ", lines[2])
		d:stop()
	end)

	it("costs nothing but while it runs: no timer, no signal, no hook stays", function ()
		local d <const> = start()
		take(d, "once")
		local pid <const> = d:worker_pid()
		local timers <const> = process.read_file(("/proc/%d/timers"):format(pid)) or ""
		-- The one of the time limits ticks by CLOCK_MONOTONIC (1); a profile's counts CPU time.
		assert.is_nil(timers:find("ClockID: %-"))
		assert.matches("^Result: nil", last(d:console "> return debug.gethook()"))
		d:stop()
	end)

	it("is taken by every worker at once, in files of their own", function ()
		local d <const> = start "workers = 2"
		d:wait_log("worker g1%.2 is ready", 60)
		-- On a busy machine a worker may get no CPU time within a second.
		wait_until(function ()
			local _, _, lines = take(d, "both")
			-- The one that speaks answers: the first that was ready.
			local text <const> = table.concat(lines, "\n")
			local other <const> = text:match("| worker ([12]): .*/data/both%-%1%.svg")
			assert.is_not_nil(other)
			local path <const> = d.dir .. "/data/both-" .. other
			assert.is_not_nil(process.read_file(path .. ".svg")) -- the answer comes when it is there
			return process.read_file(path .. ".folded"):find("count_up", 1, true)
		end, 60, "samples of the second worker")
		d:stop()
	end)

	it("names the worker that has not written its own", function ()
		local d <const> = start "workers = 2; worker_timeout = 300"
		d:wait_log("worker g1%.2 is ready", 60)
		local asked <const> = d:console "> return prosody.worker"
		local other <const> = 3 - tonumber(last(asked):match "%d+")
		local pid <const> = d:status().generations[1].workers[other].pid
		process.kill(pid, "STOP")
		local text <const> = last(d:console("profile 0.1 alone", 30))
		process.kill(pid, "CONT")
		assert.matches(("^Error: .*see .*/alone%%.svg.*worker %d: no answer within 4 s"):format(other),
			text)
		assert.is_not_nil(process.read_file(d.dir .. "/data/alone.folded"))
		wait_until(function ()
			return process.read_file(("%s/data/alone-%d.folded"):format(d.dir, other))
		end, 30, "the profile of who was late")
		d:stop()
	end)

	it("refuses what cannot be, and a second one at a time", function ()
		local d <const> = start()
		assert.matches("^Error: a profile takes up to 600 seconds", last(d:console "profile 601"))
		assert.matches("^Error: a profile takes up to 600 seconds", last(d:console "profile 0s"))
		assert.matches("^Error: .*is not a time", last(d:console "profile soon"))
		local first <const> = d:connect(d:socket_path())
		first:send "profile 600 long\n"
		assert.equal("| sampling for 600 s", first:line())
		assert.matches("^Error: a profile is being taken", last(d:console "profile 1 second"))
		first:close() -- who leaves early has what was found so far
		wait_until(function ()
			return process.read_file(d.dir .. "/data/long.svg")
		end, 60, "the profile of who left")
		assert.matches("^Error: cannot write /no/such/place",
			last(d:console "profile 0.1 /no/such/place"))
		d:stop()
	end)

	it("leaves the time limits of callbacks in force", function ()
		local d <const> = daemon.start { allow = { "traceback", "%.lua:", "A callback took" },
			modules = { endless = [[
				local ran = false
				require "util.timer".add_task(0.3, function () while true do ran = not ran end end)
			]] }, config = [[ modules_enabled = { "admin_shell", "endless" }
				slow_callback = 0.1; callback_timeout = 1; worker_timeout = 60 ]] }
		d:console "profile 3 endless"
		local log <const> = d:log()
		assert.matches("callback took longer than callback_timeout", log, 1, true)
		assert.matches("A callback took %d+%.%d+ s.*mod_endless.lua:2", log)
		d:stop()
	end)
end)
