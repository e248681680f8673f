-- The example config as a newcomer uses it after `make run`: the four things to try, and what may
-- go wrong. Only ports and folders are changed, so that it does not meet a host that really runs.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local example <const> = process.read_file("contrib/examples/gadwall.cfg.lua")

local function module_file(name)
	return process.read_file(("modules/mod_%s.lua"):format(name))
		or process.read_file(("contrib/examples/mod_%s.lua"):format(name))
end

-- The example with other ports and folders, and no line more or less.
local function config(dir, ports)
	local text = example
	local function change(from, to)
		local at, till = text:find(from, 1, true)
		assert(at, "the example has no line " .. from)
		text = text:sub(1, at - 1) .. to .. text:sub(till + 1)
	end
	change('plugin_paths = { "." }', 'plugin_paths = { "modules" }')
	change("echo_ports = { 7007 }", ("echo_ports = { %d }"):format(ports and ports.echo or 0))
	change("chat_ports = { 7070 }", "chat_ports = { 0 }")
	change("admin_http_ports = { 5290 }", "admin_http_ports = { 0 }")
	change('-- runtime_path = "run"', ("runtime_path = %q"):format(dir .. "/run"))
	change('-- data_path = "run/data"', ("data_path = %q"):format(dir .. "/data"))
	return text
end

local function start(spec)
	spec = spec or {}
	spec.dir = process.temp_dir()
	spec.raw, spec.config = true, config(spec.dir, spec.ports)
	spec.modules = { echo = module_file "echo", chat = module_file "chat",
		welcome = module_file "welcome" }
	local d = daemon.start(spec)
	finally(function()
		if not d.finished then d:destroy() end
		process.remove_tree(spec.dir)
	end)
	return d
end

local function gadwall(d, ...)
	local argv = { daemon.binary(), "--socket", d:socket_path(), ... }
	local code, out, err = process.run { argv = argv }
	return out .. err, code
end

describe("the example config", function()
	it("has no fault, not even a warning", function()
		local code, out, err = process.run { argv = { daemon.binary(), "check", "--strict", "--no-bind",
			"-c", "contrib/examples/gadwall.cfg.lua" } }
		assert.equal(0, code, out .. err)
	end)

	it("shows defaults in its comments that are the code's", function()
		local options = require "core.options"
		local count = 0
		for name, value in example:gmatch("\n%-%- ([%l_]+) = (%d+)%s") do
			assert.equal(options.row(name).default, tonumber(value), name)
			count = count + 1
		end
		assert.is_true(count >= 7)
	end)
end)

describe("a first run", function()
	it("greets with the addresses and four things to try, once", function()
		local d = start()
		d:wait_log("Ctrl%-C here, and watch the phases")
		local log = d:log()
		local port = d:port("echo")
		assert.is_truthy(log:find("echo           127.0.0.1 " .. port, 1, true))
		assert.is_truthy(log:find("chat           127.0.0.1 " .. d:port("chat"), 1, true))
		assert.is_truthy(log:find("nc 127.0.0.1 " .. port, 1, true))
		assert.is_truthy(log:find("build/gadwall status", 1, true))
		assert.is_truthy(log:find("build/gadwall reload echo", 1, true))
		process.kill(d:worker_pid(), "KILL")
		local again = wait.try(function() return #d:log_lines("is ready after") == 2 end, 5)
		assert.is_true(again, d:log())
		assert.equal(1, #d:log_lines("^gadwall serves:"))
		d:stop()
	end)

	it("echoes, and reload echo changes the answer while nc stays connected", function()
		local d = start()
		local c = d:connect("echo")
		c:send("one\n")
		assert.equal("one", c:line())
		d:write_module("echo", (module_file("echo"):gsub("conn:write%(data%)",
			'conn:write("you said: " .. data)')))
		local answer, code = gadwall(d, "reload", "echo")
		assert.equal(0, code, answer)
		c:send("two\n")
		assert.equal("you said: two", c:line())
		local d2 = d:connect("echo")
		d2:send("three\n")
		assert.equal("you said: three", d2:line())
		d:stop()
	end)

	it("keeps the old echo when the edit has a mistake, and says where the mistake is", function()
		local d = start { allow = { "mod_echo" } }
		local c = d:connect("echo")
		c:send("one\n")
		assert.equal("one", c:line())
		d:write_module("echo", "local listener = {\nfunction listener.onincoming(\n")
		local answer, code = gadwall(d, "reload", "echo")
		assert.equal(1, code, answer)
		assert.is_truthy(answer:find("mod_echo.lua:2:", 1, true), answer)
		d:write_module("echo", "error('no good')\n")
		answer, code = gadwall(d, "reload", "echo")
		assert.equal(1, code, answer)
		assert.is_truthy(answer:find("mod_echo.lua:1: no good", 1, true), answer)
		c:send("two\n")
		assert.equal("two", c:line())
		d:stop()
	end)

	it("answers status with what listens, in words and as JSON", function()
		local d = start()
		local text, code = gadwall(d, "status")
		assert.equal(0, code)
		assert.is_truthy(text:find("serving (ready)", 1, true))
		assert.is_truthy(text:find("127.0.0.1:" .. d:port("chat"), 1, true))
		local json = require "util.json".decode((gadwall(d, "status", "--json")))
		assert.equal("serving", (json.result or json).state)
		d:stop()
	end)

	it("ends on SIGINT through every phase, tells the chat how long is left, exits with 0", function()
		local d = start()
		local c = d:connect("chat")
		c:expect("say something")
		local begin = wait.now()
		d:signal("INT")
		assert.is_truthy(c:expect("Goodbye"):find("3 s left. Come back in 5 s.", 1, true))
		assert.is_true(c:closed(5))
		assert.equal(0, d:wait_exit(20))
		assert.is_true(wait.now() - begin < 25)
		local last = 0
		for _, phase in ipairs { "lame-duck", "stop-accepting", "close-clients", "stop-services",
			"quit" } do
			local at = d:log():find("stopping: " .. phase .. " ended clean", 1, true)
			assert.is_true(at ~= nil and at > last, phase)
			last = at
		end
		d:stop()
	end)

	it("ends at once when nobody is connected", function()
		local d = start()
		d:signal("TERM")
		assert.equal(0, d:wait_exit(10))
		assert.matches("stopping: lame%-duck ended clean after [0-2]%.", d:log())
		d:stop()
	end)

	it("names the line of the config that changes a port that is busy, and leaves with 69", function()
		local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
		assert(socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
		assert(socket.listen(fd, 1))
		local port = socket.getsockname(fd).port
		local d = start { ports = { echo = port }, expect_exit = true, exit = 69,
			allow = { "in use" } }
		unistd.close(fd)
		assert.equal(69, d.exit_status)
		local line = select(2, example:sub(1, (example:find("echo_ports", 1, true))):gsub("\n", "")) + 1
		assert.is_truthy(d:log():find("port " .. port, 1, true), d:log())
		assert.is_truthy(d:log():find("gadwall.cfg.lua:" .. line, 1, true), d:log())
		assert.is_truthy(d:log():find("echo_ports", 1, true), d:log())
		d:stop()
	end)

	it("runs the chat for two people at once", function()
		local d = start()
		local a, b = d:connect("chat"), client.tcp("127.0.0.1", d:port("chat"))
		a:expect("say something")
		b:expect("say something")
		a:send("/nick ann\nhello bob\n")
		assert.equal("<ann> hello bob", b:expect("hello bob"))
		client.close_all()
		d:stop()
	end)
end)
