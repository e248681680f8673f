local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

-- A service that says its version and counts its lines; the count survives by save and restore.
local counter <const> = [[
local count = 0
local listener = {}
function listener.onincoming(conn, data)
	count = count + 1
	conn:write(("VERSION %d %s"):format(count, data))
end
function listener.onattach(conn) conn:write("attached VERSION\n") end
function listener.ondetach(conn) conn:write("detached VERSION\n") end
module:provides("net", { name = "counter", default_port = PORT, listener = listener })
function module.save() return { count = count } end
function module.restore(state) count = state.count or 0 end
]]

local function source(version, port, more)
	return (counter:gsub("VERSION", version):gsub("PORT", port)) .. (more or "")
end

describe("reloading a module", function ()
	after_each(daemon.finish_all)

	local port, d, c

	before_each(function ()
		port = client.free_port()
		d = daemon.start {
			config = [[
				modules_enabled = { "admin_socket", "admin_shell", "counter" }
				interfaces = { "127.0.0.1" }
			]],
			modules = { counter = source("v1", port) },
			allow = { "stack traceback" },
		}
		c = d:connect(port)
		c:send("a\n")
		assert.equal("v1 1 a", c:line())
	end)

	local function reload(text)
		d:write_module("counter", text)
		return d:run("reload", "counter")
	end

	it("gives open connections the new code and the saved state", function ()
		assert.equal(0, reload(source("v2", port)))
		assert.equal("detached v1", c:line())
		assert.equal("attached v2", c:line())
		c:send("b\n")
		assert.equal("v2 2 b", c:line())
	end)

	it("leaves open connections to the old code if the new one says so", function ()
		assert.equal(0, reload(source("v2", port, "module.keep_connections = false\n")))
		c:send("b\n")
		assert.equal("v1 2 b", c:line())
		local newcomer = d:connect(port)
		newcomer:send("c\n")
		assert.equal("v2 2 c", newcomer:line())
	end)

	it("shows a new instance its own items, and none of the old one, as a first load does", function ()
		local own <const> = [[
			module:add_item("thing", "VERSION of mine")
			module:handle_items("thing", function (event)
				module:log("info", "VERSION sees %s of %s", event.item, event.source.name)
			end, function () end)
		]]
		assert.equal(0, reload(source("v2", port, (own:gsub("VERSION", "v2")))))
		d:wait_log "v2 sees v2 of mine of counter"
		assert.equal(1, reload(source("v3", port, (own:gsub("VERSION", "v3")) .. "error 'no'")))
		d:wait_log "v3 sees v3 of mine of counter"
		assert.equal(0, reload(source("v4", port, (own:gsub("VERSION", "v4")))))
		d:wait_log "v4 sees v4 of mine of counter"
		assert.same({}, d:log_lines "v4 sees v[23]")
	end)

	it("never closes the port", function ()
		local before = select(2, d:fds())
		for i = 1, 20 do
			assert.equal(0, reload(source("v" .. i, port)))
			d:connect(port):close()
		end
		client.close_all()
		wait.until_true(function () return select(2, d:fds()) <= before end, 5, "no descriptor gained")
	end)

	it("opens the new port and closes the old one; the connection lives on", function ()
		local other = client.free_port()
		assert.equal(0, reload(source("v2", other)))
		c:send("b\n")
		c:expect("v2 2 b")
		assert.is_nil((client.tcp("127.0.0.1", port)))
		d:connect(other):close()
	end)

	for name, fault in pairs {
		["a syntax error"] = "if if\n",
		["an error in its chunk"] = "error('boom')\n",
		["an error in load"] = "function module.load() error('boom') end\n",
		["an error in restore"] = "function module.restore() error('boom') end\n",
		["a dependency that is not there"] = "module:depends('nothing')\n",
	} do
		it("that has " .. name .. " changes nothing and names the file and line", function ()
			local code, _, err = reload(source("v2", port, fault))
			assert.equal(1, code)
			assert.matches("mod_counter.lua:%d+: ", err)
			c:send("b\n")
			assert.equal("v1 2 b", c:line())
			local newcomer = d:connect(port)
			newcomer:send("c\n")
			assert.equal("v1 3 c", newcomer:line())
			assert.equal(0, reload(source("v3", port)))
			c:send("d\n")
			c:expect("v3 4 d")
		end)
	end

	it("that fails brings handlers, items, timers and an old unload's work back", function ()
		d:write_module("counter", source("v1", port, [[
			module:hook_global("ask", function (event) event.answers[#event.answers + 1] = "hook" end)
			module:add_item("thing", "item")
			function module.load() prosody.patched = true end
			function module.unload() prosody.patched = nil end
		]]))
		assert.equal(0, (d:run("reload", "counter")))
		assert.equal(1, (reload(source("v2", port, "error('boom')"))))
		local lines = d:console([[> local e = { answers = {} }; prosody.events.fire_event("ask", e) ]]
			.. [[ local items = require "core.modulemanager".get_items("thing", "localhost") ]]
			.. [[ return #e.answers .. #items .. tostring(prosody.patched)]])
		assert.matches("11true", table.concat(lines, "\n"))
	end)

	it("reloads what depends on it, and unloads it with it", function ()
		d:write_module("needs", [[
			local counter = module:depends("counter")
			prosody.needs_loaded = (prosody.needs_loaded or 0) + 1
		]])
		d:console("module:load('needs')")
		assert.equal(0, reload(source("v2", port)))
		local lines = d:console("> return prosody.needs_loaded")
		assert.matches("2", lines[#lines])
		d:console("module:unload('counter')")
		lines = d:console("> return tostring(require 'core.modulemanager'"
			.. ".is_loaded('localhost', 'needs'))")
		assert.matches("nil", lines[#lines])
	end)
end)

describe("reloading the config", function ()
	after_each(daemon.finish_all)

	local function config(port, more)
		return ([[
			modules_enabled = { "admin_socket", "admin_shell", "echo" %s }
			interfaces = { "127.0.0.1" }
			echo_ports = { %d }
		]]):format(more or "", port)
	end

	it("opens and closes ports and modules that changed, and touches nothing else", function ()
		local first, second, third = client.free_port(), client.free_port(), client.free_port()
		local d = daemon.start {
			config = config(first),
			modules = {
				late = ("module:provides('net', { default_port = %d, listener = {} })"):format(third),
			},
		}
		local c = d:connect(first)
		d:write_config(config(second, ', "late"'))
		local code, out = d:run("reload")
		assert.equal(0, code)
		assert.matches("echo_ports", out)
		c:send("still here\n")
		assert.equal("still here", c:line())
		d:connect(second):close()
		d:connect(third):close()
		assert.is_nil((client.tcp("127.0.0.1", first)))
		d:write_config(config(first))
		assert.equal(0, (d:run("reload")))
		assert.is_nil((client.tcp("127.0.0.1", third)))
		d:connect(first):close()
	end)

	it("with a fault names it and keeps the config in force", function ()
		local port = client.free_port()
		local d = daemon.start { config = config(port) }
		d:write_config(config(port) .. "\nhammer_time = 3\nif if\n")
		local code, _, err = d:run("reload")
		assert.equal(1, code)
		assert.matches("gadwall.cfg.lua:%d+:%d+: error: unexpected symbol near 'if'", err)
		d:write_config(config(port) .. "\nhammer_time = 3\n")
		code, _, err = d:run("reload")
		assert.equal(1, code)
		assert.matches("gadwall.cfg.lua:6:1: error: hammer_time", err)
		local c = d:connect(port)
		c:send("x\n")
		assert.equal("x", c:line())
	end)

	it("names options that wait for a module's reload or an upgrade", function ()
		local port = client.free_port()
		local d = daemon.start {
			config = config(port, ', "opt"'),
			modules = { opt = 'module:get_option_number("opt_limit", 1)' },
		}
		d:write_config(config(port, ', "opt"') .. "opt_limit = 2\numask = '022'\n")
		local code, out = d:run("reload")
		assert.equal(0, code)
		assert.matches("'opt_limit' has changed and takes effect after: reload of mod_opt", out)
		assert.matches("'umask' has changed and takes effect after: upgrade", out)
	end)
end)
