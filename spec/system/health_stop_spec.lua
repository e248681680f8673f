-- What probes and people see while a host comes, is drained, comes back and goes: one word for a
-- state wherever it is read, and an answer to the last phase.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local notify <const> = require "spec.support.notify_socket"
local wait <const> = require "spec.support.wait"

local ask <const>, start <const> = admin_http.ask, admin_http.start

local witness <const> = [[
	module:set_global()
	module:hook("lifecycle-changed", function (event)
		module:log("info", "moved to %s", event.to)
	end)
	local release
	module:hook("server-stopping", function (event) release = event:hold("until told", 20) end)
	module:depends("admin_http")
	module:provides("admin-http", { route = { ["POST /go"] = function ()
		release()
		return "gone\n"
	end } })
]]

-- The word of the state in every place that says it.
local function words(d, socket)
	local status = d:status()
	local _, text = d:run("shell", "server", "state")
	local health = admin_http.health(d, "/readyz")
	local _, metrics = ask(d, "GET /metrics")
	local told = {}
	for line in d:log():gmatch("moved to (%S+)") do told[#told + 1] = line end
	return {
		json = status.state, console = text:match("^gadwall %S+%s+(%a+)"), health = health.status,
		live = (select(2, ask(d, "GET /livez")):match("^%a+")),
		metric = metrics:match('\ngadwall_state{state="(%a+)"} 1\n'), event = told[#told],
		keeper = d:state().state, notify = socket:status():match("%a+"),
		ready = { status.ready, health.ready, (ask(d, "GET /readyz")) == 200,
			metrics:match("\ngadwall_ready (%d)\n") == "1" },
	}
end

local function all(word, ready)
	return { json = word, console = word, health = word, live = word, metric = word, event = word,
		keeper = word, notify = word, ready = { ready, ready, ready, ready } }
end

describe("the state of a host", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("is one word in console, JSON, health, metric, event, state file and STATUS", function ()
		local socket = notify.open()
		local d = start { enable = { "witness" }, modules = { witness = witness },
			env = { NOTIFY_SOCKET = socket.path }, exit = false }
		local function is(word, ready)
			wait(function () return (socket:status():match("%a+")) == word end, 10, "STATUS " .. word)
			assert.same(all(word, ready), words(d, socket))
		end
		is("serving", true)
		d:run("drain")
		is("draining", false)
		d:run("undrain")
		is("serving", true)
		d:signal "TERM"
		d:wait_log("stopping: stop%-services", 20)
		is("stopping", false)
		local health = admin_http.health(d, "/readyz")
		assert.same({ "stop-services", d:status().phase }, { health.phase, health.phase })
		assert.is_true(health.retry_after >= 1 and health.retry_after <= 25)
		assert.equal("until told", d:status().stop.holders[1].hold)
		assert.equal(200, (admin_http.post(d, "/go")))
		assert.equal(0, d:wait_exit(20))
		socket:close()
	end)

	it("is 503 for probes before any listener closes, and no probe is refused", function ()
		local d = start { exit = false, config = "lameduck_period = 1.5; lameduck_probe_window = 60" }
		local echo = d:port "echo"
		local seen, served, refused, closed_at, down_at = {}, 0, 0, nil, nil
		ask(d, "GET /readyz")
		d:signal "TERM"
		for i = 1, 100000 do
			local before = #d:log_lines("Deactivated service 'admin_http'") > 0
			local c = client.tcp("127.0.0.1", echo, 5)
			local open = c and c:send("x\n") and c:line(2) == "x"
			if c then c:close() end
			local status, body = ask(d, "GET /readyz")
			if not status and (before or d.keeper:status()) then break end
			local ended = not status and d.keeper:wait_exit(5) -- it closed in between
			if ended then break end
			seen[#seen + 1] = status and body or "refused"
			refused = refused + (status and 0 or 1)
			served = served + (open and 1 or 0)
			down_at = down_at or status == 503 and i or nil
			closed_at = closed_at or not open and i or nil
		end
		assert.equal(0, refused, table.concat(seen))
		assert.is_true(served > 3, served .. " served")
		assert.is_true(down_at < (closed_at or math.huge),
			("503 at %d, closed at %s"):format(down_at, tostring(closed_at)))
		assert.equal(0, d:wait_exit(20))
	end)

	it("is answered while a slow reader takes the last bytes", function ()
		local d = start { enable = { "pour" }, exit = false, allow = { "callback", "pour" },
			modules = { pour = [[
			local listener = {}
			function listener.onconnect(conn) conn:write(("x"):rep(8000000)) end
			module:provides("net", { name = "pour", default_port = 0, private = true,
				listener = listener })
		]] }, config = [[ shutdown_phases = { "lame-duck", { "stop-accepting", budget = 1 },
			{ "close-clients", budget = 0.2 }, { "quit", budget = 3 } } ]] }
		local slow = d:connect "pour"
		d:signal "TERM"
		d:wait_log("stopping: quit", 15)
		local answers = 0
		wait(function ()
			local status, body = ask(d, "GET /readyz")
			if status then
				assert.same({ 503, "stopping\n" }, { status, body })
				assert.same({ 5, "stopping" }, { (d:run "status"), d:state().state })
				answers = answers + 1
			end
			return answers >= 3
		end, 15, "answers in phase quit")
		slow:close()
		d:wait_exit(20)
	end)
end)
