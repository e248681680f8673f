-- A handler of config-reloaded that waited kept back all behind it, the ports and certificates of
-- the new config among them, and every later reload: each said "the new config was not applied in
-- time". Of a handler that failed the answer said nothing.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Does at a reload what the option says.
local handler <const> = [[
	local async = require "util.async"
	module:set_global()
	module:hook("config-reloaded", function ()
		local what = module:get_option_string("at_reload", "")
		if what == "raise" then
			error("no such peer")
		elseif what == "hang" then
			async.wait_for(require "util.promise".new(function () end))
		elseif what ~= "" then
			while not io.open(what) do async.sleep(0.05) end
		end
	end, 1)
	module:hook("spec-wait", function ()
		prosody.main_thread:run(function () async.sleep(3600) end)
	end)
	module:hook("server-stopping", function (event)
		module:add_timer(3, event:hold("spec"))
	end)
]]

local function config(at_reload, port)
	return ([[
		modules_enabled = { "admin_socket", "admin_shell", "handler", "echo" }
		interfaces = { "127.0.0.1" }; echo_ports = { %d }; at_reload = %q
	]]):format(port or 0, at_reload)
end

local function start(allow)
	return daemon.start { fds = false, modules = { handler = handler }, config = config "",
		allow = { "mod_handler", table.unpack(allow or {}) } }
end

describe("regress: a reload", function ()
	after_each(daemon.finish_all)

	it("names the handler that failed, and the config is in force", function ()
		local d <const> = start()
		d:write_config(config "raise")
		local code, out, err = d:run "reload"
		assert.equal(1, code, out .. err)
		assert.matches("handler of config%-reloaded in mod_handler %(.-mod_handler.lua:3%): .-no such",
			out .. err)
		assert.matches("the new config is in force %(changed: at_reload%), but with 1 failure",
			out .. err)
		assert.matches("raise", (select(2, d:console "config get at_reload")))
		d:write_config(config "")
		assert.equal(0, (d:run "reload"))
		d:stop()
	end)

	it("does not wait for ever for a handler, and opens the ports behind it", function ()
		local port <const> = client.free_port()
		local d <const> = start()
		d:write_config(config("hang", port))
		local _, last = d:console("config reload", 60)
		assert.matches("^Error: .-1 failure", last)
		d:wait_log "handler of config%-reloaded in mod_handler .- has not ended after 10 s"
		local echo <const> = assert(client.tcp("127.0.0.1", port, 10))
		echo:send "x\n"
		assert.equal("x", (echo:line()))
		d:write_config(config("", port))
		_, last = d:console("config reload", 60)
		assert.matches("^OK: config reloaded; changed: at_reload", last)
		d:stop()
	end)

	it("that stands behind what the main thread waits for can name it", function ()
		local d <const> = start()
		d:console '> prosody.events.fire_event "spec-wait"'
		d:signal "HUP"
		d:wait_log("reload: the new config goes", 20)
		local lines <const> = d:console(
			'> print(select(2, require "core.config_outcome".wait(0.3)))', 20)
		assert.matches("is not applied after %d+ s: the main thread waits in .-mod_handler.lua:14",
			table.concat(lines, "\n"))
		d:stop()
	end)

	it("that a stop overtakes in the worker says so", function ()
		local d <const> = start { "comes too late" }
		local mark <const> = d.dir .. "/go"
		d:write_config(config(mark))
		local first <const> = d:connect(d:socket_path(), 60)
		local second <const> = d:connect(d:socket_path(), 60)
		first:send "config reload\n" -- waits in its handler
		d:wait_log("reload: the new config goes", 20)
		second:send "config reload\n"
		wait.until_true(function () return #d:log_lines "reload: the new config goes" == 2 end, 20)
		d:signal "TERM"
		d:wait_log("lifecycle .-serving %-> stopping", 20)
		process.write_file(mark, "")
		assert.matches("^OK: config reloaded", (first:expect "^%u%a+: "))
		assert.matches("^Error: cannot reload: stopping", (second:expect "^%u%a+: "))
		d:stop()
	end)
end)
