local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local wait_until <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "helper" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local helper <const> = [[
	module:hook("spec-event", function (event) event.seen = true end, 7)
	module:add_item("shell-command", {
		section = "helper", section_desc = "for a spec", name = "greet", desc = "says hello",
		args = { { name = "who", type = "string" } },
		handler = function (self, who)
			self.session.print("width", self.session.width)
			return true, "hello " .. who
		end,
	})
	local env = module:shared("/*/admin_shell/env")
	env.legacy = {}
	function env.legacy:hi(name) self.session.print(name) return true, "as in 0.12" end
]]

local function start(extra)
	return daemon.start { config = config .. (extra or ""), modules = { helper = helper } }
end

local function text(lines)
	return table.concat(lines, "\n")
end

describe("console commands", function()
	after_each(daemon.finish_all)

	it("list, load, reload and unload modules", function()
		local d <const> = start()
		d:write_module("more", "module:log('info', 'more is here')")
		local c <const> = d:connect(d:port "echo")
		assert.matches("| echo +localhost", text((d:console "module list")))
		assert.same({ "| localhost: loaded", "OK: loaded on 1 host" }, (d:console "module load more"))
		assert.matches("^Error: cannot load: localhost: loaded already",
			select(2, d:console "module load more"))
		assert.same({ "| localhost: unloaded", "OK: unloaded on 1 host" },
			(d:console "module unload more"))
		assert.matches("did you mean 'echo'", select(2, d:console "module reload ecoh"))
		assert.same({ "| localhost: reloaded", "OK: reloaded on 1 host" },
			(d:console 'module:reload("echo")'))
		c:send "same connection\n"
		assert.equal("same connection", c:line())
		assert.matches("listens: echo 127.0.0.1 port %d+", text((d:console "module info echo")))
		d:stop()
	end)

	it("say what is wrong with a module that does not load, and keep the old one", function()
		local d <const> = daemon.start { config = config, modules = { helper = helper },
			allow = { "stack traceback", "bad_one" } }
		d:write_module("bad_one", "this is not Lua")
		assert.matches("^Error: cannot load: .*mod_bad_one.lua:1:",
			select(2, d:console "module load bad_one"))
		d:write_module("helper", "error('no more')")
		assert.matches("^Error: cannot reload: .*no more", select(2, d:console "module reload helper"))
		assert.equal("OK: hello you", select(2, d:console "helper greet you"))
		d:stop()
	end)

	it("show and change options, and compare with the file", function()
		local d <const> = start "echo_greeting = 'hi' -- not read by anyone\n"
		assert.matches("^OK: hi %(.*gadwall.cfg.lua:%d+%)$",
			select(2, d:console "config get echo_greeting"))
		assert.matches("^OK: 25 %(default%)", select(2, d:console "config get shutdown_timeout"))
		assert.matches("^Error: 'nothing_such' is not set",
			select(2, d:console "config get nothing_such"))
		assert.equal("OK: no difference", select(2, d:console "config diff"))
		assert.matches("^OK: shutdown_timeout = 9", select(2, d:console "config set shutdown_timeout 9"))
		assert.matches("| %* shutdown_timeout: running 9, file nil", text((d:console "config diff")))
		d:stop()
	end)

	it("say which options of the file wait for an upgrade", function()
		local d <const> = start()
		d:write_config(config .. "workers = 2\n")
		assert.equal(0, (d:run "reload"))
		assert.same({ "| * workers: running nil, file 2 (takes effect after: upgrade)",
			"OK: 1 option differs" }, (d:console "config diff"))
		d:write_config(config .. "workers = 3\n")
		assert.matches("running nil, file 3 %(takes", text((d:console "config diff")))
		d:write_config(config)
		assert.matches("running 2, file nil", text((d:console "config diff")))
		assert.equal(0, (d:run "reload"))
		assert.equal("OK: no difference", select(2, d:console "config diff"))
		d:stop()
	end)

	it("reload the config, or name every fault and keep the old one", function()
		local d <const> = daemon.start { config = config, modules = { helper = helper },
			allow = { "error" } }
		d:write_config(config .. "shutdown_timeout = 11\n")
		assert.equal("OK: config reloaded; changed: shutdown_timeout", select(2, d:console "reload"))
		assert.matches("^OK: 11 ", select(2, d:console "config get shutdown_timeout"))
		d:write_config(config .. "shutdown_timeout = 'soon'\nlamduck_period = 3\n")
		local lines, last = d:console "reload"
		assert.equal("Error: cannot reload: 2 faults (the config in force stays)", last)
		assert.matches("! .*gadwall.cfg.lua:%d+:%d+: error: .*shutdown_timeout", text(lines))
		assert.matches("did you mean 'lameduck_period'", text(lines))
		assert.matches("^OK: 11 ", select(2, d:console "config get shutdown_timeout"))
		d:stop()
	end)

	it("list the apps of mod_http with their addresses", function ()
		local d <const> = daemon.start { modules = { ducks = [[
			module:depends "http"
			module:provides("http", { route = { GET = function () return "quack" end } })
		]] }, config = [[ modules_enabled = { "admin_shell", "ducks" }
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" } ]] }
		local lines <const>, last <const> = d:console "http list"
		assert.equal("OK: 1 app", last)
		assert.matches(("| ducks +ducks +localhost +http://localhost:%d/ducks$"):format(d:port "http"),
			lines[1])
		assert.equal("OK: 0 apps", select(2, d:console "http list nowhere"))
		d:console "module unload ducks"
		assert.equal("OK: 0 apps", select(2, d:console "http list"))
		d:stop()
	end)

	it("say what is not there, and where to look", function ()
		local d <const> = start()
		for line, words in pairs {
			["reload ech"] = "cannot reload: module 'ech' is not loaded (did you mean 'echo'?)",
			["module unload x"] = "cannot unload: module 'x' is not loaded "
				.. "('module list' shows those that are)",
			["reload echo --host x"] = "cannot reload: no host 'x' ('host list' shows them)",
			["module load echo x"] = "cannot load: no host 'x' ('host list' shows them)",
		} do
			assert.equal("Error: " .. words, select(2, d:console(line)))
		end
		local _, answer <const> = d:console '{"argv":["reload"],"json":true}'
		assert.matches('"changed":%[%]', answer)
		d:stop()
	end)

	it("list hosts and ports, and close a port while connections go on", function()
		local d <const> = start()
		assert.matches("| localhost +local, implicit", text((d:console "host list")))
		local port <const> = d:port "echo"
		local c <const> = d:connect(port)
		assert.matches("| echo +client +127.0.0.1 +" .. port, text((d:console "port list")))
		assert.matches("^Error: no open port 1", select(2, d:console "port close 1"))
		assert.matches("^OK: 1 closed", select(2, d:console("port close " .. port)))
		-- Where a user may not attach a socket filter, who connects in the last 2 ms is still let in.
		wait_until(function ()
			local late <const> = client.tcp("127.0.0.1", port, 1)
			return not late or late:close()
		end, 2, "a refused connect")
		c:send "on\n"
		assert.equal("on", c:line())
		d:stop()
	end)

	it("list, show and close connections", function()
		local d <const> = start()
		local c <const> = d:connect(d:port "echo")
		c:send "x\n"
		c:line()
		local id <const> = text((d:console "conn list echo")):match "| (conn%S+)"
		assert.matches("service +echo", text((d:console("conn show " .. id))))
		assert.matches("^OK: ", select(2, d:console("conn close " .. id)))
		assert.is_true(c:closed(2))
		assert.matches("^Error: no connection 'conn0'", select(2, d:console "conn show conn0"))
		d:stop()
	end)

	it("show who hooks an event, with calls and time", function()
		local d <const> = start()
		d:console "> prosody.hosts.localhost.events.fire_event('spec-event', {})"
		d:console "> prosody.hosts.localhost.events.fire_event('spec-event', {})"
		local lines, last = d:console "event show spec-event"
		assert.equal("OK: 1 handlers", last)
		assert.matches("| localhost +7 +helper +%S+mod_helper.lua:1 +2 +0%.0", text(lines))
		assert.matches("did you mean 'spec%-event'", select(2, d:console "event show spec-evnt"))
		assert.matches("| spec%-event +1 handler", text((d:console "event list spec")))
		d:stop()
	end)

	it("follow the log until they are told to end", function()
		local d <const> = start()
		local c <const> = assert(client.unix(d:socket_path()))
		c:send "log follow debug --module echo --for 1\n"
		local port <const> = d:port "echo"
		local line
		wait_until(function () -- the first connects may come before the console has begun to follow
			d:connect(port):close()
			line = c:line(0.05)
			return line
		end, 1, "a log line")
		assert.matches("^| .*echo\tdebug\t", line)
		assert.equal("OK: no more lines are shown", c:expect("^OK", 3))
		d:stop()
	end)

	it("come from modules, in the way of 13.0 and of 0.12", function()
		local d <const> = start()
		assert.same({ "| width\t80", "OK: hello you" }, (d:console "helper greet you"))
		assert.same({ "| me", "OK: as in 0.12" }, (d:console "legacy:hi('me')"))
		assert.matches("| +helper +for a spec", text((d:console "help")))
		assert.matches("helper greet WHO +says hello", text((d:console "help helper")))
		d:console "module unload helper"
		assert.matches("^Error: unknown command 'helper'", select(2, d:console "helper greet you"))
		d:stop()
	end)

	it("show version, uptime, memory and metrics", function()
		local d <const> = start [[ modules_enabled = { "admin_shell", "http_openmetrics" };
			admin_http_ports = { 0 } ]]
		assert.matches("^OK: %d+%.%d+", select(2, d:console "server version"))
		assert.matches("^OK: running for", select(2, d:console "server uptime"))
		assert.matches("process: .* MiB", text((d:console "server memory")))
		local shown <const>, verdict <const> = d:console "stats show gadwall_"
		assert.matches("^OK: %d+ samples", verdict)
		-- What holds now, not what held at the last collection.
		local all <const> = text(shown)
		assert.matches("gadwall_generation 1", all)
		assert.matches("gadwall_ready 1", all)
		assert.matches('gadwall_loop_lag_seconds_bucket{le="%+Inf"} %d', all)
		assert.matches("^OK: %d+ timers? waits?", select(2, d:console "timer list"))
		assert.matches("^Error: cannot rollback: no previous binary is known %(",
			select(2, d:console "server rollback"))
		d:stop()
	end)

	it("shut the host down as in Prosody, with the answer first", function()
		local d <const> = start()
		assert.same({ "OK: Shutdown initiated" }, (d:console "server:shutdown('spec', 0)"))
		assert.equal(0, d:wait_exit(8))
		d:stop()
	end)

	it("answer JSON with data", function()
		local d <const> = start()
		local _, last = d:console '{"argv":["port","list"],"json":true}'
		local answer <const> = json.decode(last)
		assert.equal(0, answer.exit)
		local services <const> = {}
		for _, row in ipairs(answer.result) do
			services[row.service] = row.class
		end
		assert.same({ echo = "client", admin_socket = "admin" }, services)
		d:stop()
	end)
end)
