local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local shell <const> = '"admin_socket", "admin_shell"'

describe("modules", function ()
	after_each(daemon.finish_all)

	local function start(modules, names, more)
		return daemon.start {
			config = ("modules_enabled = { %s, %s }\ninterfaces = { '127.0.0.1' }\n%s")
				:format(shell, names, more or ""),
			modules = modules, allow = { "stack traceback", "Error" },
		}
	end

	local function lua(d, code)
		local _, last = d:console("> " .. code)
		return (last:gsub("^Result: ", ""))
	end

	it("that raise in their chunk or in load are left out and named; the rest goes on", function ()
		local d = start({
			bad = "local x = nil\nx.y = 1\n",
			worse = "function module.load()\n error('no') end",
			good = "prosody.good = true",
		}, "'bad', 'worse', 'good'")
		d:wait_log("mod_bad.lua:2: attempt to index a nil value")
		d:wait_log("mod_worse.lua:2: no")
		assert.equal("true", lua(d, "return prosody.good"))
		local found = {}
		for _, entry in ipairs(d:status().modules) do found[entry.module] = entry end
		assert.equal("error", found.bad.status)
		assert.matches("mod_bad.lua:2", found.bad.message)
		assert.equal("core", found.good.status)
	end)

	it("cost only the callback that raises; the log names module, event, file and line", function ()
		local d = start({
			thrower = "module:hook_global('ask', function ()\n error('oops') end, 10)",
			answerer = "module:hook_global('ask', function () return 'answer' end)",
		}, "'thrower', 'answerer'")
		assert.equal("answer", lua(d, "return prosody.events.fire_event('ask', {})"))
		d:wait_log("event 'ask' in mod_thrower %(.-mod_thrower.lua:1%): .-mod_thrower.lua:2: oops")
	end)

	it("get typed options, with the place of a wrong one in the log", function ()
		local d = start({ opts = [[
			prosody.opts_seen = table.concat({
				module:get_option_string("o_string"), module:get_option_number("o_number", 1, 5, 9),
				module:get_option_integer("o_integer"), tostring(module:get_option_boolean("o_boolean")),
				module:get_option_period("o_period"), module:get_option_period("o_never"),
				module:get_option_enum("o_enum", "a", "b"), tostring(module:get_option_number("o_wrong")),
				#module:get_option_array("o_array"), tostring(module:get_option_set("o_set"):contains("y")),
				module:get_option_path("o_path", nil, "config"):match("[^/]+$"),
			}, " ")
		]] }, "'opts'", [[
			o_string = "s"; o_number = 2; o_integer = "7"; o_boolean = "true"
			o_period = "2 minutes"; o_never = "never"; o_enum = "b"
			o_wrong = "abc"; o_array = "single"; o_set = { "x", "y" }; o_path = "file"
		]])
		assert.equal("s 5 7 true 120.0 inf b nil 1 true file",
			(lua(d, "return prosody.opts_seen"):gsub("120 ", "120.0 ")))
		d:wait_log("Config option 'o_wrong' %(.-gadwall.cfg.lua:6%) not understood, expecting a number")
		d:wait_log("'o_number' is below its minimum 5")
	end)

	it("share tables, items, dependencies and events as in Prosody", function ()
		local d = start({
			low = [[
				function greet(name) return "hello " .. name end
				module:shared("state").n = 5
				module:add_item("thing", "low's")
			]],
			high = [[
				module:set_global()
				function module.add_host(host)
					local low = host:depends("low")
					prosody.seen = { low.greet("you"), host:shared("low/state").n }
					host:handle_items("thing", function (event) table.insert(prosody.seen, event.item) end,
						function (event) table.insert(prosody.seen, "-" .. event.item) end)
				end
			]],
		}, "'high', 'low'")
		assert.equal("hello you|5|low's", lua(d, "return table.concat(prosody.seen, '|')"))
		d:console("module:unload('low')")
		assert.equal("hello you|5|low's|-low's", lua(d, "return table.concat(prosody.seen, '|')"))
	end)

	it("have no-op timers after their unload", function ()
		local d = start({ timers = [[
			prosody.ticks = 0
			module:add_timer(0.01, function () prosody.ticks = prosody.ticks + 1 return 0.01 end)
		]] }, "'timers'")
		d:console("module:unload('timers')")
		local before = lua(d, "return prosody.ticks")
		lua(d, "require 'util.async'.sleep(0.05) return 1")
		assert.equal(before, lua(d, "return prosody.ticks"))
	end)

	it("may not set globals; what a library sets while they require it is theirs", function ()
		local d = start({ globals = [[
			mine = 1
			prosody.results = { tostring(rawget(_G, "mine")), tostring(pcall(function () _G.other = 1 end)) }
		]] }, "'globals'")
		assert.equal("nil false", lua(d, "return table.concat(prosody.results, ' ')"))
	end)

	it("hold readiness; module.ready is called before, on_ready after it", function ()
		local d = start({ waits = [[
			prosody.order = {}
			module:hook_global("server-starting", function (event)
				local release = event:hold("warming up", 5)
				require "util.timer".add_task(0.2, function ()
					table.insert(prosody.order, "released")
					release()
				end)
			end)
			module:on_ready(function () table.insert(prosody.order, "ready") end)
			function module.ready() table.insert(prosody.order, "module.ready") end
		]] }, "'waits'")
		assert.equal("module.ready released ready", lua(d, "return table.concat(prosody.order, ' ')"))
	end)

	it("in plugin_paths win over a built-in one, and the log says so once", function ()
		local d = daemon.start {
			config = 'modules_enabled = { "echo" }; echo_ports = { 0 }',
			modules = { echo = "prosody.log('info', 'not the built-in echo')" },
		}
		d:wait_log("mod_echo.lua is used instead of the built%-in mod_echo.lua")
		d:wait_log("not the built%-in echo")
	end)

	local function collection()
		for _, folder in ipairs { ".deps/peers", "/tmp/ref" } do
			local path = folder .. "/usr/lib/prosody/modules/"
			if process.read_file(path .. "mod_net_multiplex.lua") then
				return path
			end
		end
	end

	it("of Prosody's collection that are not about XMPP load and work unmodified", function ()
		local from = collection()
		if not from then
			return pending("needs prosody")
		end
		local port = client.free_port()
		local d = start({
			net_multiplex = process.read_file(from .. "mod_net_multiplex.lua"),
			reload_modules = process.read_file(from .. "mod_reload_modules/mod_reload_modules.lua"),
			log_auth = process.read_file(from .. "mod_log_auth/mod_log_auth.lua"),
			greeter = [[
				local listener = {}
				function listener.onconnect(conn) conn:write("hi\n") end
				function listener.onincoming(conn, data) conn:write("heard " .. data) end
				module:provides("net", { default_port = 0, listener = listener,
					multiplex = { pattern = "^hello" } })
			]],
		}, '"net_multiplex", "reload_modules", "log_auth", "greeter"',
			("reload_modules = { 'greeter' }\nports = { %d }"):format(port))
		local found = {}
		for _, entry in ipairs(d:status().modules) do found[entry.module] = entry.status end
		for _, name in ipairs { "net_multiplex", "reload_modules", "log_auth" } do
			assert.equal("core", found[name], name)
		end
		local c = d:connect(port)
		c:send("hello there\n")
		assert.equal("hi", c:line())
		assert.equal("heard hello there", c:line())
		lua(d, 'prosody.hosts.localhost.events.fire_event("authentication-failure", { session = '
			.. '{ ip = "192.0.2.1", username = "me", log = prosody.log } }) return 1')
		d:wait_log("Failed authentication attempt.-192.0.2.1")
		d:write_module("greeter", "prosody.log('info', 'the new greeter')")
		d:write_config(process.read_file(d.config_file) .. "\nlog_auth_ips = 'all'", true)
		assert.equal(0, (d:run("reload")))
		d:wait_log("the new greeter")
	end)
end)

describe("a wrong argument", function ()
	after_each(daemon.finish_all)

	-- Each would otherwise show later, inside the host, or never.
	local calls <const> = {
		['module:handover("n", {}, print)'] = "#2 to 'handover' (function expected, got table)",
		['module:handover("n", print)'] = "#3 to 'handover' (function expected, got nothing)",
		['module:keep_fd(nil, 4)'] = "#1 to 'keep_fd' (string expected, got nothing)",
		['module:singleton("x")'] = "#2 to 'singleton' (function expected, got nothing)",
		['module:background(nil, {})'] = "#1 to 'background' (string expected, got nothing)",
		['module:on_ready("x")'] = "#1 to 'on_ready' (function expected, got string)",
		['module:add_timer(1, "x")'] = "#2 to 'add_timer' (function expected, got string)",
		['module:add_timer("soon", print)'] = "#1 to 'add_timer' (number expected, got string)",
		['module:hook("x", nil)'] = "#2 to 'hook' (function expected, got nothing)",
		['module:hook_global(nil, print)'] = "#1 to 'hook' (string expected, got nothing)",
		['module:provides("net", "x")'] = "#2 to 'provides' (table expected, got string)",
		['module:fire_event_all(nil)'] = "#1 to 'fire_event_all' (string expected, got nothing)",
		['module:begin(7)'] = "#1 to 'begin' (string expected, got number)",
	}

	it("to a call of the module API names the module's own line", function ()
		local d <const> = daemon.start {
			config = [[ modules_enabled = { "admin_socket", "admin_shell" } ]], allow = { "error" } }
		for call, message in pairs(calls) do
			d:write_module("wrong", "-- line 1\n" .. call .. "\n")
			local code, _, err = d:run("shell", "module", "load", "wrong")
			assert.equal(1, code, call)
			assert.truthy(err:find("mod_wrong.lua:2: bad argument " .. message, 1, true),
				call .. ": " .. err)
		end
		-- What can be called is a function.
		d:write_module("right", "module:hook('x', setmetatable({}, { __call = function () end }))")
		assert.equal(0, (d:run("shell", "module", "load", "right")))
		d:stop()
	end)
end)
