-- mod_http_openmetrics: valid OpenMetrics text, the host's own numbers, and who may read them.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local ask <const>, start <const> = admin_http.ask, admin_http.start

-- The samples of a scrape by "name{labels}", after looking at the form of every line.
local function scrape(d, headers)
	local status, body, got = ask(d, "GET /metrics", headers)
	assert.equal(200, status, body)
	assert.equal("application/openmetrics-text; version=1.0.0; charset=utf-8", got["content-type"])
	assert.matches("\n# EOF\n$", body)
	local samples, family, seen = {}, nil, {}
	for line in body:gmatch("[^\n]+") do
		local word, name, rest = line:match("^# (%u+) (%S+) ?(.*)$")
		if word then
			if name ~= family then
				assert.is_nil(seen[name], "two families: " .. name)
				family, seen[name] = name, true
			end
			assert.is_true(word ~= "UNIT" or name:sub(-#rest) == rest, line)
		elseif line ~= "# EOF" then
			local sample, value = line:match("^([%w_:]+%b{}) (%S+)$")
			if not sample then sample, value = line:match("^([%w_:]+) (%S+)$") end
			assert.truthy(sample, line)
			assert.equal(family, sample:sub(1, #family), line)
			assert.is_nil(samples[sample], "twice: " .. sample)
			samples[sample] = assert(tonumber((value:gsub("%+Inf", "inf"))), line)
		end
	end
	return samples, body
end

describe("mod_http_openmetrics", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("tells state, connections, work in flight, limits, loop and process", function ()
		local d = start { config = "max_connections = 2", allow = { "max_connections reached" } }
		local held = { d:connect "echo", d:connect "echo" }
		for _, c in ipairs(held) do
			c:send "x\n"
			c:line()
		end
		assert.is_true(d:connect("echo"):closed())
		local m = scrape(d)
		for name, value in pairs {
			['gadwall_state{state="serving"}'] = 1, ['gadwall_state{state="draining"}'] = 0,
			gadwall_ready = 1, gadwall_generation = 1,
			['gadwall_connections{service="echo"}'] = 2,
			['gadwall_connections_handled_total{service="echo",result="accepted"}'] = 2,
			['gadwall_connections_handled_total{service="echo",result="refused"}'] = 1,
			['gadwall_limit_hits_total{limit="max_connections"}'] = 1,
			['gadwall_inflight{module="echo"}'] = 2,
			['gadwall_worker_restarts_total{worker="1.1"}'] = 0,
			gadwall_shutdown_deadline_timestamp_seconds = 0,
		} do
			assert.equal(value, m[name], name)
		end
		for _, name in ipairs { "gadwall_loop_lag_seconds_count", "gadwall_loop_lag_seconds_sum",
			"gadwall_lua_memory_bytes", "process_resident_memory_bytes", "process_cpu_seconds_total",
			"process_start_time_seconds" } do
			assert.is_true(m[name] > 0, name)
		end
		d:stop()
	end)

	it("counts the turns of the loop in buckets that add up", function ()
		local d = start()
		for _ = 1, 20 do ask(d, "GET /livez") end
		local m = scrape(d)
		local last = 0
		for _, le in ipairs { "0.000256", "0.001024", "0.004096", "0.016384", "0.065536",
			"0.262144", "1.048576", "4.194304", "+Inf" } do
			local n = m[('gadwall_loop_lag_seconds_bucket{le="%s"}'):format(le)]
			assert.is_true(n >= last, le)
			last = n
		end
		assert.equal(m.gadwall_loop_lag_seconds_count, last)
		assert.is_true(last >= 20)
		d:stop()
	end)

	it("shows what modules measure", function ()
		local d = start { enable = { "meter" }, modules = { meter = [[
			module:metric("counter", "ducks", "", "ducks seen", { "pond" }):with_labels("no\"rth"):add(3)
			local measure = module:measure("quacks", "amount")
			measure(5)
		]] } }
		local _, body = scrape(d)
		assert.matches('prosody_mod_meter__ducks_total{host="localhost",pond="no\\"rth"} 3\n', body, 1,
			true)
		assert.matches('prosody_mod_meter__quacks{host="localhost"} 5\n', body, 1, true)
		d:stop()
	end)

	it("shows a stop: phase, seconds, deadline, who was told and who was cut", function ()
		local d = start { exit = 75, config = [[
			shutdown_phases = { "lame-duck", { "close-clients", budget = 0.3 },
				{ "watched", budget = 15 }, "quit" }
		]], enable = { "stubborn" }, modules = { stubborn = [[
			module:set_global()
			local listener = { ongoodbye = function () return true end,
				onincoming = function (conn, data) conn:write(data) end }
			module:provides("net", { name = "stubborn", default_port = 0, private = true,
				listener = listener })
			module:provides("shutdown-phase", { name = "watched", after = "close-clients", budget = 30,
				work = function (event)
					local release = event:hold("until told", 30)
					module:shared("/*/stubborn/let").go = release
				end })
			module:depends("admin_http")
			module:provides("admin-http", { route = { ["POST /go"] = function ()
				module:shared("/*/stubborn/let").go()
				return "gone\n"
			end } })
		]] } }
		local echo, stubborn = d:connect "echo", d:connect "stubborn"
		for _, c in ipairs { echo, stubborn } do
			c:send "x\n"
			c:line()
		end
		d:signal "TERM"
		d:wait_log("stopping: watched", 15)
		local m = scrape(d)
		assert.equal(1, m['gadwall_state{state="stopping"}'])
		assert.equal(1, m['gadwall_shutdown_phase{phase="watched"}'])
		assert.equal(0, m['gadwall_shutdown_phase{phase="lame_duck"}'])
		assert.is_true(m['gadwall_shutdown_phase_seconds{phase="close_clients"}'] > 0.2)
		assert.is_true(m.gadwall_shutdown_deadline_timestamp_seconds > os.time() - 5)
		assert.equal(1, m['gadwall_connections_handled_total{service="echo",result="drained"}'])
		assert.equal(1, m['gadwall_connections_handled_total{service="stubborn",result="forced"}'])
		assert.equal(200, (admin_http.post(d, "/go")))
		assert.equal(75, d:wait_exit(15))
	end)

	it("is for those whom openmetrics_allow_ips and _cidr name", function ()
		local d = start { config = [[openmetrics_allow_ips = { "192.0.2.1" }]] }
		local status, body = ask(d, "GET /metrics")
		assert.equal(403, status)
		assert.matches("openmetrics_allow_ips", body)
		d:stop()
		d = start { config = [[
			openmetrics_allow_ips = {}; openmetrics_allow_cidr = "127.0.0.0/8"]] }
		scrape(d)
		d:stop()
	end)

	it("answers on the client listeners too if asked to", function ()
		local more = [[http_ports = { 0 }; http_interfaces = { "127.0.0.1" }]]
		local d = start { enable = { "http" }, config = more }
		assert.equal(404, (ask(d:port "http", "GET /metrics")))
		d:stop()
		d = start { enable = { "http" }, config = more .. "; openmetrics_on_http = true" }
		scrape { admin = d:port "http" }
		scrape(d)
		d:stop()
	end)

	it("says so when statistics are off, and keeps counting with an interval", function ()
		local d = start { config = "statistics = false" }
		assert.equal(404, (ask(d, "GET /metrics")))
		d:stop()
		d = start { config = "statistics_interval = 3600" }
		d:run("drain")
		assert.equal(1, scrape(d)['gadwall_state{state="draining"}'])
		d:stop()
	end)
end)
