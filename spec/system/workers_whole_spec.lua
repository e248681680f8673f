-- workers = N is one host: one console, counts of all workers, one drain, upgrade and stop.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "util.json"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Says which worker has accepted, and counts it in metrics of each kind.
local who <const> = [[
	module:set_global()
	local met <const> = module:metric("counter", "met", "", "By worker", { "worker" })
	local sizes <const> = module:metric("histogram", "sizes", "bytes", "", {}, { buckets = { 1, 10 } })
	local ages <const> = module:metric("summary", "ages", "seconds", "", {})
	local level <const> = module:metric("gauge", "level", "", "", {})
	module:provides("net", { name = "who", default_port = 0, listener = {
		onconnect = function (conn)
			met:with_labels("all"):add(1)
			met:with_labels(prosody.worker):add(1)
			sizes:with_labels():sample(5)
			ages:with_labels():sample(0.5)
			level:with_labels():set(7)
			conn:write(prosody.worker .. "\n")
		end,
		onincoming = function (conn, data) conn:write(data) end,
	} })
]]

local function start(workers, config)
	return daemon.start { fds = false, modules = { who = who }, allow = { "A callback took" },
		config = ([[
		workers = %d; who_interfaces = { "127.0.0.1" }; upgrade_probation = 0.2
		modules_enabled = { "admin_shell", "who", "health", "http_openmetrics", "lameduck",
			"graceful_shutdown" }
		admin_http_ports = { 0 }; admin_http_interfaces = { "127.0.0.1" }
		%s
	]]):format(workers, config or "") }
end

local function status(d)
	local _, out = d:run("status", "--json")
	return json.decode(out)
end

local function service(object, name)
	for _, entry in ipairs(object.services) do
		if entry.service == name then return entry end
	end
end

-- All workers of a generation, once they serve.
local function serving(d, count, generation)
	local list
	wait.until_true(function ()
		for _, entry in ipairs(status(d).generations) do
			if entry.generation == (generation or 1) then list = entry.workers end
		end
		for _, worker in ipairs(list or {}) do
			if worker.state ~= "serving" then return false end
		end
		return list and #list == count
	end, 20, "all workers serve")
	return list
end

-- One connection for each worker and more: worker → list of clients.
local function connect_all(d, workers)
	local port <const>, by_worker <const>, count, found = d:port "who", {}, 0, 0
	repeat
		local c <const> = d:connect(port)
		local worker <const> = tonumber(c:line())
		found = found + (by_worker[worker] and 0 or 1)
		by_worker[worker] = by_worker[worker] or {}
		table.insert(by_worker[worker], c)
		count = count + 1
		assert.is_true(count < 200, "every worker accepts some")
	until found == workers
	return by_worker, count
end

local function metrics(d)
	local c <const> = d:connect(d:port "admin_http")
	c:send "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	local text <const> = c:read_all()
	c:close()
	return text
end

-- Asks the console for the version, over and over. fn is called between; counts are returned.
local function console_loop(d, rounds, fn)
	local path <const>, count <const> = d:socket_path(), { refused = 0, cut = 0, answered = 0 }
	for round = 1, rounds do
		local c <const> = client.unix(path, 10)
		local line
		if not c then
			count.refused = count.refused + 1
		else
			c:send "version\n"
			line = c:line()
			c:close()
			count[line and "answered" or "cut"] = count[line and "answered" or "cut"] + 1
		end
		fn(round)
	end
	return count
end

describe("workers = N as one host", function ()
	after_each(daemon.finish_all)

	it("sums connections, accepted and what is in flight in status and metrics", function ()
		local d <const> = start(3)
		serving(d, 3)
		local by_worker, count = connect_all(d, 3)
		local object <const> = status(d)
		local entry <const> = service(object, "who")
		assert.same({ count, count, 0 }, { entry.connections, entry.accepted, entry.refused })
		assert.same({ total = count, by_module = { who = count } }, object.in_flight)
		for _, worker in ipairs(object.generations[1].workers) do
			assert.is_true(worker.rss_bytes > 0 and worker.lua_bytes > 0)
		end
		local text <const> = metrics(d)
		assert.matches(('gadwall_connections{service="who"} %d\n'):format(count), text, 1, true)
		assert.matches(('gadwall_inflight{module="who"} %d\n'):format(count), text, 1, true)
		assert.matches(('service="who",result="accepted"} %d\n'):format(count), text, 1, true)
		by_worker[3][1]:close()
		wait.until_true(function () return status(d).in_flight.total == count - 1 end, 5)
		d:stop()
	end)

	it("sums what the metrics of modules count, and what loops and CPU have done", function ()
		local d <const> = start(2, "worker_timeout = 300")
		local second <const> = serving(d, 2)[2]
		local by_worker <const>, count <const> = connect_all(d, 2)
		-- The numbers of a name; a pattern for what follows it.
		local function values(text, name)
			local list <const> = {}
			for value in text:gmatch("\n" .. name .. " (%S+)") do list[#list + 1] = tonumber(value) end
			return list
		end
		for _ = 1, 2 do -- asking changes nothing
			local text <const> = metrics(d)
			local function sum(name) return values(text, "prosody_mod_who__" .. name)[1] end
			assert.same({ count, #by_worker[1], #by_worker[2] }, { sum 'met_total{worker="all"}',
				sum 'met_total{worker="1"}', sum 'met_total{worker="2"}' })
			assert.same({ 0, count, count, count, count * 5 }, { sum 'sizes_bytes_bucket{le="1"}',
				sum 'sizes_bytes_bucket{le="10"}', sum 'sizes_bytes_bucket{le="%+Inf"}',
				sum "sizes_bytes_count", sum "sizes_bytes_sum" })
			assert.same({ count, count / 2 }, { sum "ages_seconds_count", sum "ages_seconds_sum" })
			assert.equal(7, sum "level")
			local turns <const> = values(text, "gadwall_loop_lag_seconds_count")[1]
			local buckets <const> = values(text, "gadwall_loop_lag_seconds_bucket%b{}")
			assert.equal(turns, buckets[#buckets])
			assert.is_true(values(text, "process_cpu_seconds_total")[1] > 0)
		end
		local first <const> = values(metrics(d), "gadwall_loop_lag_seconds_count")[1]
		for _ = 1, 300 do -- turns of the second worker alone
			assert(by_worker[2][1]:send "x")
			assert.equal("x", by_worker[2][1]:read(1))
		end
		local text = metrics(d)
		assert.is_true(values(text, "gadwall_loop_lag_seconds_count")[1] >= first + 300)
		process.kill(second.pid, "STOP") -- its last answer stands
		text = metrics(d)
		assert.equal(count, values(text, 'prosody_mod_who__met_total{worker="all"}')[1])
		assert.equal(count,
			values(text, 'gadwall_connections_handled_total{service="who",result="accepted"}')[1])
		assert.is_true(values(text, "gadwall_loop_lag_seconds_count")[1] >= first + 300)
		process.kill(second.pid, "CONT")
		d:stop()
	end)

	it("loses no count of a worker that dies", function ()
		local d <const> = start(2)
		serving(d, 2)
		local by_worker <const>, count <const> = connect_all(d, 2)
		local function counted()
			local text <const> = metrics(d)
			local function value(name) return tonumber(text:match("\n" .. name .. " (%S+)")) end
			return { value 'gadwall_connections_handled_total{service="who",result="accepted"}',
				value 'prosody_mod_who__met_total{worker="all"}',
				value 'prosody_mod_who__sizes_bytes_bucket{le="10"}' },
				value "gadwall_loop_lag_seconds_count"
		end
		local expected <const> = { count, count, count }
		local before <const>, turns = counted()
		assert.same(expected, before)
		for _ = 1, 2 do -- also if it dies before it was asked again
			local old <const> = status(d).generations[1].workers[2].pid
			process.kill(old, "KILL")
			wait.until_true(function ()
				local now <const> = status(d).generations[1].workers[2]
				return now.pid ~= old and now.state == "serving"
			end, 20, "another second worker")
			local now <const>, now_turns = counted()
			assert.same(expected, now)
			assert.is_true(now_turns > turns)
			turns = now_turns
		end
		assert.equal(count, service(status(d), "who").accepted)
		assert.equal(#by_worker[1], service(status(d), "who").connections)
		d:stop()
	end)

	it("shows and closes the connections of all in its console", function ()
		local d <const> = start(2, "worker_timeout = 300")
		local second <const> = serving(d, 2)[2]
		local by_worker <const>, count <const> = connect_all(d, 2)
		local lines, last = d:console "conn list who"
		assert.equal(("OK: %d connections"):format(count), last)
		assert.equal(count, #lines - 1)
		local found <const>, id = { ["1.1"] = 0, ["1.2"] = 0 }, nil
		for i = 1, count do
			local conn, worker = lines[i]:match "^| (%S+) .* (%S+)$"
			found[worker] = found[worker] + 1
			id = worker == "1.2" and conn or id
		end
		assert.same({ ["1.1"] = #by_worker[1], ["1.2"] = #by_worker[2] }, found)
		local shown <const> = table.concat((d:console("conn show " .. id)), "\n")
		assert.matches("worker +1%.2", shown)
		assert.matches("service +who", shown)
		assert.equal(("OK: %s closes when its queue is empty"):format(id),
			select(2, d:console("conn close " .. id)))
		wait.until_true(function ()
			return select(2, d:console "conn list who") == ("OK: %d connections"):format(count - 1)
		end, 10, "one connection less")
		assert.matches("^Error: no connection", select(2, d:console("conn show " .. id)))
		process.kill(second.pid, "STOP")
		lines, last = d:console "conn list who"
		assert.equal(("OK: %d connections"):format(#by_worker[1]), last)
		assert.equal("! worker 2 does not answer", lines[1])
		process.kill(second.pid, "CONT")
		d:stop()
	end)

	it("is answered for by the first worker alone; one that is stopped holds nobody up", function ()
		local d <const> = start(2, "worker_timeout = 300") -- nobody ends it, however slow this is
		local list <const> = serving(d, 2)
		process.kill(list[2].pid, "STOP")
		for _ = 1, 8 do
			local workers <const> = status(d).generations[1].workers
			assert.is_true(workers[1].rss_bytes > 0)
			assert.equal(json.null, workers[2].rss_bytes)
			assert.equal("serving", workers[2].state)
		end
		process.kill(list[2].pid, "CONT")
		wait.until_true(function ()
			return status(d).generations[1].workers[2].rss_bytes ~= json.null
		end, 5)
		d:stop()
	end)

	it("has a console that is never refused while its first worker is killed", function ()
		local d <const> = start(3, "restart_limit = { 16, 60 }")
		serving(d, 3)
		local kills = 0
		local count <const> = console_loop(d, 60, function (round)
			if round % 20 == 10 then
				wait.until_true(function ()
					return #d:log_lines "worker g1%.1 is ready" == kills + 1
				end, 20, "the next first worker")
				local pid
				for found in d:log():gmatch "worker g1%.1 started, pid (%d+)" do pid = found end
				process.kill(tonumber(pid), "KILL")
				kills = kills + 1
			end
		end)
		assert.equal(3, kills)
		assert.equal(0, count.refused)
		-- what the dead one had accepted is cut, nothing else
		assert.is_true(count.cut <= kills, count.cut .. " cut")
		-- the last death may not have been seen yet
		wait.until_true(function () return serving(d, 3)[1].restarts == 3 end, 20, "three restarts")
		d:stop()
	end)

	it("is drained when the last connection of any worker has gone", function ()
		local d <const> = start(2)
		serving(d, 2)
		local by_worker <const> = connect_all(d, 2)
		local drain <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d:socket_path(), "drain", "--wait" },
			stdout = d.dir .. "/drain",
		}
		for _, c in ipairs(by_worker[1]) do c:close() end
		for i = 2, #by_worker[2] do by_worker[2][i]:close() end
		wait.until_true(function () return status(d).in_flight.total == 1 end, 10)
		assert.is_nil(drain:status())
		assert.equal("draining", status(d).state)
		by_worker[2][1]:close()
		assert.equal(0, drain:wait_exit(20))
		assert.equal(0, (d:run "undrain"))
		serving(d, 2)
		d:stop()
	end)

	it("stops as one: no worker closes the listeners while another is in lame-duck", function ()
		local d <const> = start(2, "lameduck_period = 4")
		serving(d, 2)
		local by_worker <const>, port = connect_all(d, 2), d:port "who"
		for _, c in ipairs(by_worker[1]) do c:close() end
		wait.until_true(function () return status(d).in_flight.total == #by_worker[2] end, 10)
		d:signal "TERM"
		d:wait_log "g1%.1%].*stopping: lame%-duck ended"
		for _ = 1, 5 do
			local c <const> = d:connect(port)
			assert.matches("^[12]$", c:line())
			c:close()
		end
		d:wait_log "g1%.2%].*stopping: lame%-duck ended"
		assert.equal(0, d:wait_exit(40))
		local first <const> = d:log():find "g1%.1%][^\n]*stopping: stop%-accepting"
		assert.is_true(first > d:log():find "g1%.2%][^\n]*stopping: lame%-duck ended")
		d:stop()
	end)

	it("stops at once when told to while a worker waits for its neighbour", function ()
		local d <const> = start(2, "lameduck_period = 60; shutdown_timeout = 200; hammer_time = 300")
		serving(d, 2)
		local by_worker <const> = connect_all(d, 2)
		for _, c in ipairs(by_worker[1]) do c:close() end
		wait.until_true(function () return status(d).in_flight.total == #by_worker[2] end, 10)
		d:signal "TERM"
		d:wait_log "g1%.1%].*stopping: lame%-duck ended"
		assert.equal(0, (d:run("stop", "--abort")))
		serving(d, 2)
		d:signal "TERM"
		wait.until_true(function ()
			return #d:log_lines "g1%.1%].*stopping: lame%-duck ended" == 2
		end, 20)
		wait.sleep(1.2) -- within a second it would be the same request once more
		d:run("stop", "--now")
		assert.is_number(d:wait_exit(30))
		d:destroy()
	end)

	it("has one report: counts are summed, holders those of all, the worst result wins", function ()
		local d <const> = daemon.start { fds = false, exit = 75, allow = { "expired", "was held by" },
			modules = { who = who, slow = [[
				module:set_global()
				module:hook("lameduck-started", function (event)
					if prosody.worker == 2 then event:hold("slow") end
				end)
			]] }, config = [[
				workers = 2; who_interfaces = { "127.0.0.1" }; shutdown_report = "report.json"
				modules_enabled = { "admin_shell", "who", "slow", "lameduck", "graceful_shutdown" }
				lameduck_period = 0.5; lameduck_hook_timeout = 0.3
			]] }
		serving(d, 2)
		local _, count = connect_all(d, 2)
		local _, out = d:run("stop", "--json")
		assert.equal(75, d:wait_exit(40))
		assert.equal(1, #d:log_lines "shutdown report: ")
		local built <const> = json.decode(process.read_file(d.dir .. "/data/report.json"))
		assert.same({ "expired", 75 }, { built.result, built.exit })
		assert.same({ "slow" }, { built.holders[1].hold, built.holders[2] })
		local closed = 0
		for _, phase in ipairs(built.phases) do
			for _, number in pairs(phase.closed or {}) do closed = closed + number end
		end
		assert.equal(count, closed)
		assert.matches('"exit":75', out, 1, true)
		d:stop()
	end)

	it("finishes as one: none tears down before the last session of all, one report", function ()
		local d <const> = start(2, 'shutdown_report = "report.json"')
		serving(d, 2)
		local by_worker <const> = connect_all(d, 2)
		d:signal "USR1"
		wait.until_true(function () return d:state().state == "finishing" end, 10, "finishing")
		for _, c in ipairs(by_worker[1]) do c:close() end
		for i = 2, #by_worker[2] do by_worker[2][i]:close() end
		wait.until_true(function () return status(d).in_flight.total == 1 end, 10)
		wait.sleep(0.5) -- what must not happen now
		assert.equal(0, #d:log_lines "idle wait ended")
		local late <const> = d:connect(d:port "who") -- the listener is open, as while draining
		assert.is_string(late:line())
		assert.equal(0, (d:run "undrain"))
		serving(d, 2)
		d:signal "USR1"
		wait.until_true(function () return d:state().state == "finishing" end, 10, "finishing")
		late:close()
		by_worker[2][1]:close()
		assert.equal(0, d:wait_exit(20))
		assert.equal(1, #d:log_lines "shutdown report: ")
		local built <const> = json.decode(process.read_file(d.dir .. "/data/report.json"))
		assert.same({ "clean", 0, "finish", false },
			{ built.result, built.exit, built.verb, built.evict })
		d:stop()
	end)

	it("finishes when its wait is over, with what all of them had to cut in one report", function ()
		local d <const> = daemon.start { fds = false, exit = 75,
			allow = { "idle wait ended expired", "A callback took" },
			modules = { who = who }, config = [[
				workers = 2; who_interfaces = { "127.0.0.1" }; finish_idle_wait = 1
				modules_enabled = { "admin_shell", "who", "lameduck", "graceful_shutdown" }
				shutdown_report = "report.json"
			]] }
		serving(d, 2)
		local by_worker <const> = connect_all(d, 2)
		for _, c in ipairs(by_worker[1]) do c:close() end
		d:signal "USR1"
		assert.equal(75, d:wait_exit(30))
		assert.equal(1, #d:log_lines "shutdown report: ")
		local built <const> = json.decode(process.read_file(d.dir .. "/data/report.json"))
		assert.same({ "expired", 75, "finish" }, { built.result, built.exit, built.verb })
	end)

	it("is upgraded as one, and the console is the new generation's", function ()
		local d <const> = start(2)
		serving(d, 2)
		local by_worker <const> = connect_all(d, 2)
		assert.equal(0, (d:run "upgrade"))
		serving(d, 2, 2)
		assert.equal(2, status(d).generation)
		by_worker[2][1]:send "still\n"
		assert.equal("still", by_worker[2][1]:line())
		local count <const> = console_loop(d, 10, function () end)
		assert.same({ refused = 0, cut = 0, answered = 10 }, count)
		for _, list in pairs(by_worker) do
			for _, c in ipairs(list) do c:close() end
		end
		assert.equal(0, (d:run "stop"))
		assert.equal(0, d:wait_exit(20))
		d:stop()
	end)
end)
