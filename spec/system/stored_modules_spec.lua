-- Modules of Prosody's community that Debian's packages lack, unmodified, on gadwall and on real
-- Prosody. They are not here: `make compat-stored STORED=DIR` runs this against a copy of theirs
-- (DIR has mod_NAME folders). What the packages have, foreign_modules_spec.lua holds in every run.

local both <const> = require "spec.support.both"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local prosody <const> = require "spec.support.prosody"
local wait <const> = require "spec.support.wait"

local stored <const> = os.getenv "STORED"

local function config(text)
	return ('plugin_paths = { "DATA/../modules", %q }\n'):format(stored) .. (text or "")
end

describe("#stored, on gadwall and on Prosody,", function ()
	after_each(both.finish_all)
	if not stored then return end
	local same <const> = both.same(assert, pending)

	it("mod_http_index lists apps with a title", function ()
		local seen = same({
			enable = { "http_index", "app" }, config = config 'http_external_url = "http://x.test/"',
			modules = { app = [[
				module:depends "http"
				module:provides("http", { name = "app", title = "An <app>", route = { GET = "yes" } })
				module:provides("http", { name = "silent", route = { GET = "yes" } })
			]] },
		}, function (_, port)
			local r = both.curl(port, "/")
			local links = {}
			for link in r.body:gmatch "<li.-</li>" do links[#links + 1] = link:gsub("%s+", " ") end
			return { r.status, r.headers["content-type"], links, both.curl(port, "/none").status }
		end)
		assert.equal(200, seen[1])
		assert.matches("An &lt;app&gt;", table.concat(seen[3]))
	end)

	it("mod_http_favicon serves its icon, or the one that is configured", function ()
		local seen = same({ enable = { "http_favicon" }, config = config() }, function (_, port)
			local r = both.curl(port, "/favicon.ico")
			return { r.status, r.body, r.headers["content-type"] }
		end)
		assert.same({ 200, "image/x-icon" }, { seen[1], seen[3] })
	end)

	for _, name in ipairs { "http_dir_listing", "http_dir_listing2" } do
		it("mod_" .. name .. " lists folders for mod_http_files", function ()
			local seen = same({
				enable = { "http_files", name }, allow = { "unknown%-option" },
				config = config 'http_dir_listing = true; http_files_dir = "DATA/www"',
				files = { ["www/a&b.txt"] = "1", ["www/sub/c.css"] = "2", ["www/.hidden"] = "3" },
			}, function (_, port)
				local got = {}
				for _, path in ipairs { "/files/", "/files/sub/", "/files/sub/c.css", "/files/none/" } do
					local r = both.curl(port, path)
					-- Attributes have no order; the version is in the footer.
					got[path] = { r.status, r.status == 200 and r.body:gsub("<footer>.-</footer>", "")
						:gsub("<(%a+) (%a+='[^']*') (%a+='[^']*')>", function (tag, a, b)
							return ("<%s %s %s>"):format(tag, a < b and a or b, a < b and b or a)
						end) }
				end
				return got
			end)
			assert.equal(200, seen["/files/"][1])
			assert.matches("a&amp;b.txt", seen["/files/"][2])
		end)
	end

	it("mod_log_json writes one object a line", function ()
		local seen = same({
			enable = { "log_json", "talker" }, allow = { "." },
			config = config [[log = { debug = "*console"; { to = "json", levels = { min = "info" },
				filename = "DATA/log.json", formatted_as = "text" }; { to = "file", levels = { min = "debug" },
				filename = "DATA/../log" } }]],
			modules = { talker = [[module:add_timer(0.1, function ()
				module:log("warn", "%s of %d and %q", "one", 2, nil)
				module:log("debug", "not shown")
				module:log("info", "all said")
			end)]] },
		}, function (host)
			local path = host.dir .. "/data/log.json"
			wait.until_true(function ()
				return (process.read_file(path) or ""):find("all said", 1, true)
			end, 10, "the last line")
			local got = {}
			for line in process.read_file(path):gmatch "[^\n]+" do
				local object = require "util.json".decode(line)
				if object and object.source:find "talker" then
					got[#got + 1] = { object.source, object.level, object.message, object.text,
						table.concat(object.args, " ", 1, math.min(#object.args, 2)),
						object.datetime:gsub("%d", "0") }
				end
			end
			return got
		end)
		assert.equal(2, #seen)
	end)

	it("mod_portcheck says what is bound", function ()
		local seen = same({
			enable = { "portcheck", "http", "asker" }, config = config(),
			modules = { asker = [[
				module:set_global()
				module:add_timer(0.2, function ()
					local check = module:shared("admin_shell/commands").portcheck
					local port = module:get_option("http_ports")[1]
					local said = {}
					local session = { print = function (text) said[#said + 1] = text end }
					check(session, ("portcheck 127.0.0.1:%d"):format(port))
					said[2] = tostring((pcall(check, session, "portcheck 127.0.0.1:9")))
					said[3] = tostring((pcall(check, session, ("portcheck [::1]:%d"):format(port))))
					module:log("info", "portcheck: %s", table.concat(said, " "))
				end)
			]] },
		}, function (host)
			return { host:wait_log("portcheck: [^\n]*"):match "portcheck: (.*)" }
		end)
		assert.same({ "OK false false" }, seen)
	end)

	it("mod_debug_traceback writes a file when its signal comes", function ()
		local seen = same({
			enable = { "posix", "debug_traceback" }, config = config(), allow = { "traceback" },
		}, function (host)
			local found
			for _ = 1, 2 do
				host:signal "USR1"
				wait.until_true(function ()
					local pipe <close> = io.popen("cat " .. host.dir .. "/data/traceback-* 2>/dev/null")
					local text = pipe:read "a"
					local _, ends = text:gsub("End of traceback", "")
					found = text
					return ends >= 1
				end, 10, "the file")
			end
			return { found:find "Traceback generated at" ~= nil,
				found:find "mod_debug_traceback.lua" ~= nil }
		end)
		assert.same({ true, true }, seen)
	end)

	it("mod_measure_lua reports what Lua holds", function ()
		local seen = same({
			enable = { "measure_lua", "http_openmetrics" },
			modules = { http_openmetrics = both.original "http_openmetrics" },
			config = config 'statistics = "internal"; statistics_interval = "manual"',
		}, function (_, port)
			local r = both.curl(port, "/metrics")
			local got = {}
			for line in r.body:gmatch "[^\n]+" do
				if line:find "lua_" and not line:find "^# UNIT .* $" then
					got[#got + 1] = line:gsub(" [%d.e+]+$", " N")
				end
			end
			table.sort(got)
			return got
		end)
		assert.is_true(#seen >= 4)
	end)

	-- Seconds from the first signal to server-stopping, and to the end of the process.
	local function timeline(host, child, signals)
		local began = wait.now()
		for _ = 1, signals do
			host:signal "TERM"
			wait.sleep(0.15)
		end
		wait.until_true(function () return host:log():find "driver: stopping" end, 20, "server-stopping")
		local stopping = wait.now() - began
		wait.until_true(function () return child:status() end, 20, "the end")
		return { stopping = stopping, ended = wait.now() - began, code = child:status().exit }
	end

	local watcher <const> = [[
		module:set_global()
		module:hook("server-stopping", function () module:log("info", "driver: stopping") end)
	]]

	-- Prosody's resumes it early with each further signal, by chance (facts 4.1); here the driver is
	-- called once, and a signal that comes later hurries the stop as a whole.
	for signals, word in pairs { [1] = "as on Prosody", [3] = "as after one signal" } do
		it(("mod_graceful_shutdown keeps its pauses after %d SIGTERM, %s"):format(signals, word),
			function ()
				local d = daemon.start { modules = { watcher = watcher }, config = ([[
					modules_enabled = { "graceful_shutdown", "watcher" }; interfaces = { "127.0.0.1" }
					plugin_paths = { "modules", %q }]]):format(stored) }
				local ours = timeline(d, d.keeper, signals)
				local p = prosody.start { modules = { watcher = watcher },
					enable = { "graceful_shutdown", "watcher" }, prepare = function (dir)
						return ("plugin_paths = { %q, %q }\n"):format(dir .. "/modules", stored)
					end }
				local theirs = timeline(p, p.process, signals)
				local text <const> = "%d SIGTERM: server-stopping after %.2f s (%.2f), end after %.2f (%.2f)"
				print(text:format(signals,
					ours.stopping, theirs.stopping, ours.ended, theirs.ended))
				assert.is_true(ours.stopping >= 1.9 and ours.stopping < 3.5)
				assert.is_true(ours.ended >= 2.9 and ours.ended < 6)
				assert.equal(theirs.code, ours.code)
				if signals == 1 then
					assert.is_true(math.abs(ours.stopping - theirs.stopping) < 1)
				end
			end)
	end
end)
