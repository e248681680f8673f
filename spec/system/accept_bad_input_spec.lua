-- Bad input: a clear message with its place, nothing else disturbed, nothing lost.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local console_modules <const> = '"admin_socket", "admin_shell"'

-- AddressSanitizer keeps freed memory for a while: what is resident says nothing there. And time
-- may be over before memory is.
local sanitized <const> = os.getenv "GADWALL_SLOW"
local bomb <const> = sanitized and ":1:1: error" or "not enough memory"

-- What is no config: how to make it, and what is said about it.
local no_configs <const> = {
	{ "a directory", "is a directory", function (path) stat.mkdir(path, 448) end },
	{ "a FIFO", "is a FIFO", function (path) stat.mkfifo(path, 384) end },
	{ "0 bytes", "is empty", function (path) process.write_file(path, "") end },
	{ "binary", "not UTF%-8", function (path)
		local text = "modules_enabled = {}\n\255\254\0\1" .. ("\200"):rep(5000)
		process.write_file(path, text)
	end },
	{ "bytecode", "binary chunk", function (path)
		process.write_file(path, "\27LuaT")
	end },
	{ "cut in the middle", ":2:", function (path)
		process.write_file(path, "run_as_root = true\nmodules_enabled = { \"echo")
	end },
	{ "larger than any config", "larger than", function (path)
		process.write_file(path, ("-- a line\n"):rep(3 << 20))
	end },
	{ "a file that includes itself", "include each other", function (path)
		process.write_file(path, ('Include %q\n'):format(path))
	end },
	{ "a file that raises", ":1:.*boo", function (path)
		process.write_file(path, "Lua.error('boo')\n")
	end },
	{ "a memory bomb", bomb, function (path)
		process.write_file(path, "local t = {} while true do t[#t + 1] = {} end")
	end },
	{ "missing", "no such file", function () end },
}

local function clear(path)
	os.remove(path)
	process.spawn({ argv = { "rmdir", path } }):wait_exit(5)
end

describe("a config that is", function ()
	after_each(daemon.finish_all)

	for _, case in ipairs(no_configs) do
		it(case[1] .. " ends a start with 78, the file's name and the reason", function ()
			local dir <const> = process.temp_dir()
			local path <const> = dir .. "/gadwall.cfg.lua"
			case[3](path)
			for _, command in ipairs { "run", "check" } do
				local code, out, err = process.run { timeout = 30,
					argv = { daemon.binary(), command, "-c", path } }
				assert.equal(command == "run" and 78 or 1, code, out .. err)
				assert.matches("gadwall%.cfg%.lua:%d+", out .. err)
				assert.matches(case[2], out .. err)
			end
			process.remove_tree(dir)
		end)
	end

	it("an endless loop is ended, with its line #slow", function ()
		local dir <const> = process.temp_dir()
		process.write_file(dir .. "/c.lua", "\n\nwhile true do end")
		local code, out, err = process.run { timeout = 20,
			argv = { daemon.binary(), "run", "-c", dir .. "/c.lua" } }
		assert.equal(78, code, out .. err)
		assert.matches("c%.lua:3:", out .. err)
		process.remove_tree(dir)
	end)

	it("bad in any of these ways changes nothing when it is reloaded", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe }, exit = 0,
			allow = { "error", "not reloaded" }, config = accept.probe_config(port, "", console_modules) }
		local text <const> = process.read_file(d.config_file)
		local pid <const> = accept.pid(port)
		local c <const> = assert(client.tcp("127.0.0.1", port))
		for _, case in ipairs(no_configs) do
			clear(d.config_file)
			case[3](d.config_file)
			local code, out, err = process.run { timeout = 60,
				argv = { daemon.binary(), "--socket", d:socket_path(), "reload" } }
			assert.equal(1, code, case[1] .. ": " .. out .. err)
			assert.matches(case[2], out .. err, nil, case[1])
			d:signal("HUP")
			assert(c:send(case[1] .. "\n"))
			assert.equal(case[1], c:line())
			clear(d.config_file)
		end
		process.write_file(d.config_file, text)
		local code, out, err = d:run("reload")
		assert.equal(0, code, out .. err)
		assert.equal(pid, accept.pid(port))
		assert(c:send("the same connection\n"))
		assert.equal("the same connection", c:line())
		assert.equal("0", d:state().restarts)
	end)
end)

-- Modules that cannot be loaded: source, and what is said.
local broken_modules <const> = {
	syntax = { "local x = = 1\n", "mod_broken%.lua:1" },
	chunk = { "\n\nerror('boo')\n", "mod_broken%.lua:3" },
	load = { "\nfunction module.load()\n\terror('boo')\nend\n", "mod_broken%.lua:3" },
	requires = { "\nlocal x = require 'no.such.library'\n", "mod_broken%.lua:2" },
	odd_error = { "error(setmetatable({}, { __tostring = function () error('again') end }))\n",
		"broken" },
	nil_error = { "error(nil)\n", "broken" },
	bytecode = { "\27LuaT", "binary" },
	missing_dependency = { "module:depends('no_such_module')\n", "no_such_module" },
}

local function with_broken(port, source, more)
	return daemon.start { modules = { probe = accept.probe, broken = source }, fds = false,
		allow = { "broken", "boo", "Error", "error", "traceback" },
		config = accept.probe_config(port, more, console_modules) }
end

describe("a module with", function ()
	after_each(daemon.finish_all)

	for name, case in pairs(broken_modules) do
		it("a fault of the kind " .. name .. " is refused with its place; the rest goes on", function ()
			local port <const> = client.free_port()
			local d <const> = with_broken(port, case[1])
			local lines, last = d:console("module load broken", 10)
			assert.matches("^Error", last)
			assert.matches(case[2], table.concat(lines, "\n") .. d:log())
			-- A module that works is not replaced by one that does not.
			d:write_module("broken", "module:provides('net', { name = 'whole', default_port = 0, " ..
				"listener = { onincoming = function (conn) conn:write('whole\\n') end } })")
			assert.matches("^OK", select(2, d:console("module load broken", 10)))
			local whole <close> = d:connect("whole", 5)
			d:write_module("broken", case[1])
			assert.matches("^Error", select(2, d:console("module reload broken", 10)))
			assert(whole:send("?\n"))
			assert.equal("whole", whole:line())
			local again <close> = d:connect("whole", 5)
			assert(again:send("?\n"))
			assert.equal("whole", again:line())
			assert.equal("again", accept.ask(port, "again"))
			assert.equal("0", d:state().restarts)
		end)
	end

	it("an endless loop in load is ended, and the others serve meanwhile or after", function ()
		local port <const> = client.free_port()
		local d <const> = with_broken(port, "while true do end",
			"callback_timeout = 0.3; worker_timeout = 2; start_timeout = 5")
		local _, last = d:console("module load broken", 15)
		assert.matches("^Error", last)
		assert.equal("again", accept.ask(port, "again"))
		assert.equal("serving", d:state().state)
	end)

	it("a syntax error at the start: the others serve, and status says what is broken", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe, broken = "x = = 1" },
			exit = false, fds = false, ready = false, allow = { "broken", "error", "Error" },
			config = accept.probe_config(port, "", '"broken", ' .. console_modules) }
		local served = wait.try(function () return d:state().state == "serving" end, 5)
		if not served then -- the start was refused: then with the place and a status of the table
			assert.equal(78, d:wait_exit())
		else
			assert.equal("here", accept.ask(port, "here"))
			local code, out = d:run("status")
			assert.equal(5, code)
			assert.matches("broken", out)
		end
		assert.matches("mod_broken%.lua:1", d:log())
	end)
end)

describe("a peer", function ()
	after_each(daemon.finish_all)

	it("that resets at any moment costs nothing but its connection", function ()
		local port <const> = client.free_port()
		daemon.start { modules = { probe = accept.probe }, config = accept.probe_config(port) }
		local before <const> = accept.sizes(port)
		for number = 1, 2000 do
			local c <const> = assert(client.tcp("127.0.0.1", port))
			if number % 4 > 0 then c:send(("x"):rep(number % 10)) end
			if number % 4 == 1 then c:send(("y"):rep(50000) .. "\n") end
			if number % 4 == 2 then c:shutdown() end
			if number % 3 == 0 then c:reset() else c:close() end
		end
		wait.until_true(function ()
			local after <const> = accept.sizes(port)
			return after.fds <= before.fds + 1 and after.refs <= before.refs + 2
		end, 30, "everything of theirs to go")
		assert.equal(before.pid, accept.pid(port))
	end)

	it("that sends many megabytes and never reads is cut or held; others are served", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe }, fds = false,
			allow = { "queue", "limit" }, config = accept.probe_config(port) }
		local rude <const> = assert(client.tcp("127.0.0.1", port, 1))
		for _ = 1, 200 do
			if not rude:send(("z"):rep(1 << 18), 0.5) then break end
		end
		local sizes <const> = accept.sizes(port)
		assert.truthy(sanitized or sizes.rss < 100 * 1024, "RSS " .. sizes.rss .. " KiB")
		assert.equal("0", d:state().restarts)
	end)
end)

describe("the console", function ()
	after_each(daemon.finish_all)

	local function start()
		local port <const> = client.free_port()
		return daemon.start { modules = { probe = accept.probe }, fds = false,
			allow = { "console", "too long", "admin" },
			config = accept.probe_config(port, "", console_modules) }, port
	end

	local function still_answers(d, port)
		local _, last = d:console("version")
		assert.matches("^OK", last)
		assert.equal("and the service", accept.ask(port, "and the service"))
		assert.equal("0", d:state().restarts)
	end

	local hostile <const> = {
		"", " ", "\t\r", "\0\0\0", "module\0reload", "{", "{}", "[]", "nil", "null", '{"argv":5}',
		'{"argv":[]}', '{"argv":[null]}', '{"argv":[{}],"json":true}', '{"argv":["version"],"width":-1}',
		'{"argv":["version"],"width":1e308,"json":true}', '{"argv":["module",["a"]],"json":true}',
		('{"a":'):rep(5000), ("["):rep(20000), '{"argv":["' .. ("\\u0000"):rep(1000) .. '"],"json":true}',
		"\255\254\253", "complete", "complete " .. ("m"):rep(10000), "complete \0", "module", "module:",
		"module:reload(", 'module:reload("', 'module:reload(("x"):rep(1e9))', "module.reload", ":::",
		"> ", "> error()", "> error(nil)", "> error({})", "> (", "> return", "> while", "> x.y.z",
		"> setmetatable({}, { __tostring = function () error('t') end })", "> ('x'):rep(1e10)",
		"> setmetatable({}, { __index = error, __pairs = error, __len = error, __name = 5 })",
		"> _G", "> package", "> function () end", "> coroutine.yield()", "> os.exit", "> 0/0", "> ...",
		"> local t = {} t.t = t return t", "'", '"', "\\", "module reload '", "help " .. ("x "):rep(5000),
		"config get " .. ("y"):rep(50000), "conn show conn0", "conn close \27[31m", "log level x y z",
		"event show %n%s%d", "%s%n", "server shutdown 1 2 3 4 5 6", "drain no_such_service",
	}

	it("answers each hostile line with one last line, and goes on", function ()
		local d <const>, port <const> = start()
		local c <const> = assert(client.unix(d:socket_path(), 15))
		for number, line in ipairs(hostile) do
			local mark <const> = "mark " .. number
			assert(c:send(line .. "\n> '" .. mark .. "'\n"))
			repeat
				local answer, err = c:line()
				if not answer then
					error(("line %d %q: %s\n%s"):format(number, line:sub(1, 60), err, d:log()))
				end
			until answer:find(mark, 1, true) and answer:find("^Result: ")
		end
		still_answers(d, port)
	end)

	it("refuses a line of 1 MB without a line end in words, and serves the next client", function ()
		local d <const>, port <const> = start()
		local c <const> = assert(client.unix(d:socket_path(), 10))
		c:send(("x"):rep(1 << 20), 5)
		local text = c:read_all(5) or c.buffer
		assert.matches("too long", text)
		still_answers(d, port)
	end)

	it("answers a thousand lines at once, in their order", function ()
		local d <const>, port <const> = start()
		local c <const> = assert(client.unix(d:socket_path(), 20))
		local lines <const> = {}
		for number = 1, 1000 do lines[number] = "> " .. number .. "\n" end
		assert(c:send(table.concat(lines)))
		for number = 1, 1000 do
			assert.matches("^Result: " .. number .. "$", c:expect("^%u%a+: "))
		end
		still_answers(d, port)
	end)

	it("lives through clients that leave, reset or say nothing", function ()
		local d <const>, port <const> = start()
		local silent <const> = {}
		for number = 1, 100 do silent[number] = assert(client.unix(d:socket_path())) end
		assert.equal(100, #silent) -- more than there are places: they go to who speaks
		for number = 1, 200 do
			local c <const> = assert(client.unix(d:socket_path()))
			if number % 2 == 0 then c:send("module list\n") end
			if number % 3 == 0 then c:send("log follow debug\n") end
			c:reset()
		end
		still_answers(d, port)
		assert.equal(0, (d:run("status")))
	end)

	it("is stopped by a loop in its own Lua no longer than callback_timeout", function ()
		local port <const> = client.free_port()
		local d <const> = daemon.start { modules = { probe = accept.probe }, fds = false,
			allow = { "." }, config = accept.probe_config(port, "callback_timeout = 0.3", console_modules) }
		local _, last = d:console("> (function () while true do end end)()", 10)
		assert.matches("^Error", last)
		still_answers(d, port)
	end)
end)
