-- The wall clock is set back and forward by an hour, and the whole host is stopped for a while: no
-- deadline fires early, no worker is ended. (libfaketime stands between the host and its clock.)
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

local folder <const> = io.popen("ls -d $PWD/.deps/peers/usr/lib/*/faketime 2>/dev/null"):read("l")
local sanitizer <const> = (os.getenv("GADWALL") or ""):find("asan", 1, true)

describe("a wall clock that is set", function ()
	after_each(daemon.finish_all)

	local function start(spec)
		local dir <const> = process.temp_dir()
		local file <const> = dir .. "/clock"
		process.write_file(file, "+0")
		spec.env = {
			LD_PRELOAD = folder .. "/libfaketime.so.1", FAKETIME_TIMESTAMP_FILE = file,
			FAKETIME_DONT_FAKE_MONOTONIC = "1", FAKETIME_NO_CACHE = "1",
		}
		local d <const> = shutdown.start(spec)
		-- In one step, so that nobody reads half a line.
		local function set(hours)
			process.write_file(file .. ".new", hours .. "h")
			assert(os.rename(file .. ".new", file))
		end
		return d, set
	end

	local function it_with_clock(name, fn)
		it(name, function ()
			if not folder then
				return pending("needs libfaketime")
			elseif sanitizer then
				return -- a sanitizer wants to be the first library
			end
			fn()
		end)
	end

	it_with_clock("by an hour back and forward moves no timer and ends no worker", function ()
		local d <const>, set <const> = start {
			config = "worker_timeout = 3\nnetwork_settings = { read_timeout = 4 }",
			modules = { ticks = [[
				module:set_global()
				local time = require "util.time"
				local last, count, worst = time.monotonic(), 0, 0
				module:add_timer(0.05, function ()
					local now = time.monotonic()
					worst = math.min(worst, now - last - 0.05)
					last, count = now, count + 1
					return 0.05
				end)
				-- A busy machine delays one of them; the set clock would make it come at once.
				prosody.ticks = function () return count, worst < -0.03 and worst or "never early" end
			]] }, enable = { "graceful_shutdown", "ticks" },
		}
		local control <const> = shutdown.control(d)
		local c <const> = shutdown.client(d)
		local real <const> = os.time()
		for _, hours in ipairs { "+1", "-1", "+1", "+0", "-1" } do
			set(hours)
			wait.until_true(function ()
				local off <const> = tonumber((control "return os.time()")) - os.time()
				return math.abs(off - tonumber(hours) * 3600) < 60
			end, 5, "the worker's clock at " .. hours)
			wait.sleep(0.7)
			c:send("still\n")
			assert.equal("still", c:line())
		end
		assert.is_true(os.time() - real < 3000) -- the machine's own clock was left alone
		local ticks <const>, early <const> = control("return prosody.ticks()"):match("(%d+) (.*)")
		assert.equal("never early", early)
		assert.is_true(tonumber(ticks) > 20, ticks .. " ticks")
		assert.equal("0", d:state().restarts)
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15))
	end)

	it_with_clock("while it stops moves no deadline of the stop", function ()
		local d <const>, set <const> = start {
			exit = 75, config = [[
				lameduck_period = 1.5; hammer_time = 20; shutdown_timeout = 10
				shutdown_phases = { "lame-duck", "stop-accepting", { "close-clients", budget = 1 },
					"stop-services", "quit" }
			]],
			modules = { holder = [[
				module:set_global()
				module:hook("shutdown/close-clients", function (event) event:hold("for ever") end)
			]] }, enable = { "graceful_shutdown", "lameduck", "holder" },
		}
		local c <const> = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		for _, hours in ipairs { "+1", "-1", "+1", "-1" } do
			set(hours)
			wait.sleep(0.3)
		end
		d:wait_log("stopping: close%-clients")
		set("+1")
		wait.sleep(0.2)
		set("-1")
		assert.equal(75, d:wait_exit(20))
		local report <const> = shutdown.report(d)
		assert.equal("lame-duck", report.phases[1].phase)
		assert.is_true(report.phases[1].seconds >= 1.49, tostring(report.phases[1].seconds))
		assert.is_true(report.phases[3].seconds >= 0.99, tostring(report.phases[3].seconds))
		assert.is_true(report.seconds < 12, tostring(report.seconds))
		assert.equal(0, #d:log_lines("hammer %("))
		c:close()
	end)
end)

describe("a host that is stopped as a whole and continued", function ()
	after_each(daemon.finish_all)

	-- GADWALL_STOPPED: the 20 s of the issue by hand; here in the ratio of the suite's timeouts.
	local seconds <const> = tonumber(os.getenv("GADWALL_STOPPED") or 3)

	local function freeze(d)
		local pids <const> = { d.keeper_pid, d:worker_pid() }
		for _, pid in ipairs(pids) do process.kill(pid, "STOP") end
		wait.sleep(seconds)
		for i = #pids, 1, -1 do process.kill(pids[i], "CONT") end
	end

	it("ends no worker and goes on serving", function ()
		local d <const> = shutdown.start { config = ("worker_timeout = %g"):format(seconds / 2) }
		local c <const> = shutdown.client(d)
		local pid <const> = d:worker_pid()
		freeze(d)
		c:send("on\n")
		assert.equal("on", c:line())
		wait.sleep(seconds / 2 + 0.5)
		assert.equal("0", d:state().restarts)
		assert.equal(pid, d:worker_pid())
		d:signal("TERM")
		assert.equal(0, d:wait_exit(15))
	end)

	it("in the middle of a stop still ends it in order, without the hammer", function ()
		local d <const> = shutdown.start { exit = false, enable = { "graceful_shutdown", "lameduck" },
			config = ("lameduck_period = 1; hammer_time = %g; worker_timeout = %g; shutdown_timeout = %g")
				:format(seconds, seconds / 2, seconds * 0.9) }
		local c <const> = shutdown.client(d)
		d:signal("TERM")
		d:wait_log("stopping: lame%-duck")
		freeze(d)
		assert.is_number(d:wait_exit(20))
		local report <const> = shutdown.report(d)
		assert.truthy(report.phases[1].seconds >= 1)
		assert.equal("quit", report.phases[#report.phases].phase)
		assert.equal(0, #d:log_lines("hammer %("))
		assert.same({ "bye: SIGTERM" }, shutdown.rest(c))
		c:close()
	end)
end)
