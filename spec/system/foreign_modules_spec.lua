-- Modules of Debian's packages, unmodified, and modules in the manner of the community's: each runs
-- on gadwall and on real Prosody, and both must do the same.

local both <const> = require "spec.support.both"
local client <const> = require "spec.support.client"
local wait <const> = require "spec.support.wait"

-- Lines of a log that have the text, without what stands before the message.
local function lines(host, text)
	local found = {}
	for line in host:log():gmatch("[^\n]+") do
		local at = line:find(text, 1, true)
		if at then found[#found + 1] = line:sub(at) end
	end
	return found
end

describe("on gadwall and on Prosody", function ()
	after_each(both.finish_all)
	local same <const> = both.same(assert, pending)

	it("http_libjs serves files, folders and refusals alike", function ()
		local seen = same({
			enable = { "http", "http_libjs" }, modules = { http_libjs = both.original "http_libjs" },
			config = 'libjs_path = "DATA/js"',
			files = { ["js/a.js"] = "let a = 1\n", ["js/sub/b.css"] = "b {}\n", ["secret"] = "no" },
		}, function (_, port)
			local got = {}
			for _, path in ipairs { "/share/a.js", "/share/sub/b.css", "/share/sub", "/share/sub/",
				"/share/none.js", "/share/../secret", "/share/%2e%2e/secret", "/share/a.js?x=1", "/share",
				"/elsewhere" } do
				local r = both.curl(port, path)
				got[path] = { r.status, r.status == 200 and r.body, r.status == 200
					and r.headers["content-type"], r.headers.location, r.headers["content-length"] ~= nil }
			end
			local first
			wait.until_true(function () -- of a file that is new here there is no date yet
				first = both.curl(port, "/share/a.js")
				return first.headers["last-modified"]
			end, 20, "a date of the file")
			got.again = both.curl(port, "/share/a.js", "-H",
				"If-None-Match: " .. (first.headers.etag or "none")).status
			got.since = both.curl(port, "/share/a.js", "-H",
				"If-Modified-Since: " .. (first.headers["last-modified"] or "none")).status
			local head = both.curl(port, "/share/a.js", "--head")
			got.head = { head.status, head.body, head.headers["content-length"] }
			return got
		end)
		assert.equal("let a = 1\n", seen["/share/a.js"][2])
		assert.equal(304, seen.again)
	end)

	it("http_openmetrics shows what modules report, also on stats-update", function ()
		local seen = same({
			enable = { "http_openmetrics", "meter" },
			modules = { http_openmetrics = both.original "http_openmetrics", meter = [[
				local amount = module:measure("amount", "amount", { initial = 3 })
				local counter = module:measure("counter", "counter")
				local sizes = module:measure("sizes", "sizes")
				local dist = module:measure("dist", "distribution")
				local gauge = module:metric("gauge", "level", "", "A level", { "side" })
				local hist = module:metric("histogram", "wait", "seconds", "Waiting", {},
					{ buckets = { 0.5, 2 } })
				local total = module:metric("counter", "jobs", "", "Jobs done", {})
				local ticks = 0
				counter(2) counter(3) sizes(500) sizes(70000) dist(1) dist(5)
				gauge:with_labels("left"):set(1.5)
				hist:with_labels():sample(0.25) hist:with_labels():sample(1) hist:with_labels():sample(9)
				total:with_labels():add(7)
				module:hook_global("stats-update", function ()
					ticks = ticks + 1
					amount(10 + ticks)
					gauge:with_labels("right"):set(ticks)
				end)
			]] },
			config = 'statistics = "internal"; statistics_interval = "manual"',
		}, function (_, port)
			local got = {}
			for i = 1, 2 do
				local r = both.curl(port, "/metrics")
				got[i] = { r.status, r.headers["content-type"] }
				for line in r.body:gmatch("[^\n]+") do
					-- A metric without a unit has no UNIT line here; Prosody's is empty.
					if line:find("prosody_mod_meter", 1, true) and not line:find "^# UNIT .* $" then
						table.insert(got[i], (line:gsub("(_created{.*}) [%d.]+$", "%1 TIME")))
					end
				end
				table.sort(got[i], function (a, b) return tostring(a) < tostring(b) end)
			end
			return got
		end)
		assert.is_true(#seen[1] > 10)
	end)

	it("measure_active_users counts from the files of a store that Prosody has written", function ()
		local function login(ago)
			return ('return {\n\t["login"] = {\n\t\t["timestamp"] = %d;\n\t};\n};\n'):format(os.time() - ago)
		end
		local seen = same({
			enable = { "measure_active_users", "asker" },
			modules = { measure_active_users = both.original "measure_active_users", asker = [[
				local active = module:depends "measure_active_users"
				module:add_timer(0.1, function () active.update_calculations() end)
			]] },
			config = 'log = { debug = "DATA/../log" }; statistics = "internal"',
			files = { ["localhost/lastlog2/a.dat"] = login(60), ["localhost/lastlog2/b%40x.dat"] = login(60),
				["localhost/lastlog2/c.dat"] = login(3 * 86400), ["localhost/lastlog2/d.dat"] = login(1e7) },
		}, function (host)
			host:wait_log "Active users"
			return lines(host, "Active users")
		end)
		assert.is_truthy(seen[1]:find(": 2 (24h), 3 (7d), 3 (30d)", 1, true))
	end)

	it("log_auth logs what the host's events say", function ()
		local seen = same({
			enable = { "log_auth", "doorman" }, config = 'log_auth_ips = "all"',
			modules = { log_auth = both.original "log_auth", doorman = [[
				local log = require "util.logger".init "door"
				module:add_timer(0.05, function ()
					module:fire_event("authentication-failure", { condition = "bad", session =
						{ username = "u", ip = "192.0.2.1", log = log } })
					module:fire_event("authentication-success", { session = { username = "u", log = log } })
					log("info", "all said")
				end)
			]] },
		}, function (host)
			host:wait_log "all said"
			local got = lines(host, "Failed authentication")
			return table.move(lines(host, "Successful authentication"), 1, 9, #got + 1, got)
		end)
		assert.equal(2, #seen)
	end)

	it("reload_modules reloads its modules when the config is reloaded", function ()
		local seen = same({
			enable = { "reload_modules", "victim", "other" }, config = 'reload_modules = { "victim" }',
			modules = { reload_modules = both.original "reload_modules", victim = [[
				local runs = 1
				function module.save() return { runs = runs } end
				function module.restore(data)
					runs = data.runs + 1
					module:log("info", "victim run %d", runs)
				end
			]], other = [[module:log("info", "other loaded")
				module:add_timer(0.05, function () prosody.reload_config() end)]] },
		}, function (host)
			host:wait_log "victim run 2"
			return { lines(host, "victim run"), lines(host, "other loaded") }
		end)
		assert.same({ { "victim run 2" }, { "other loaded" } }, seen)
	end)

	it("a listener made with socket.unix and wrapserver takes connections", function ()
		local seen = same({
			enable = { "pipe" }, config = 'pipe_path = "DATA/pipe"',
			modules = { pipe = [[
				local server = require "net.server"
				local path = module:get_option_string("pipe_path")
				os.remove(path)
				local sock = require "socket.unix"()
				sock:settimeout(0)
				assert(sock:bind(path))
				assert(sock:listen())
				local listener = {}
				function listener.onconnect(conn) conn:write("hello\n") end
				function listener.onincoming(conn, data)
					if data:find("bye") then conn:write("bye\n") conn:close() else conn:write(data:upper()) end
				end
				function listener.ondisconnect(conn, err) module:log("info", "pipe closed: %s", err) end
				local handle = assert(server.wrapserver(sock, path, 0, listener, "*a"))
				function module.unload() handle:close() end
			]] },
		}, function (host)
			local got = {}
			for i = 1, 2 do
				local c = assert(client.unix(host.dir .. "/data/pipe"))
				got[i] = { c:line() }
				c:send("some words\n")
				table.insert(got[i], (c:line()))
				if i == 1 then
					c:send("bye")
					table.insert(got[i], (c:read_all()))
				end
				c:close()
			end
			host:wait_log "pipe closed: .*\n?.*"
			return got
		end)
		assert.equal("SOME WORDS", seen[2][2])
	end)

	it("a log sink of a module gets every line of its level, with its arguments", function ()
		local seen = same({
			enable = { "jsonlog" },
			modules = { jsonlog = [[
				module:set_global()
				local json, path = require "util.json", module:get_option_string("sink_path")
				local function sink_maker()
					return function (source, level, message, ...)
						if source ~= "talker" then return end
						local file = io.open(path, "a")
						file:write(json.encode { source = source, level = level, message = message,
							args = { n = select("#", ...), ... } }, "\n")
						file:close()
					end
				end
				require "core.loggingmanager".register_sink_type("jsonsink", sink_maker)
				local logger = require "util.logger"
				logger.add_simple_sink(sink_maker(), { "info", "warn", "error" })
				local log = logger.init "talker"
				log("info", "plain")
				log("warn", "with %s and %d", "text", 7)
				log("debug", "not this")
				log("error", "%%")
				module:log("info", "talked")
			]] },
			config = 'sink_path = "DATA/sink"',
		}, function (host)
			host:wait_log "talked"
			local file = assert(io.open(host.dir .. "/data/sink"))
			local got = {}
			for line in file:lines() do
				got[#got + 1] = require "util.json".decode(line)
			end
			file:close()
			return got
		end)
		assert.equal(3, #seen)
	end)
end)
