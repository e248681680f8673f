local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
	console_banner = "welcome, spec"; admin_shell_prompt = "spec> "
]]

local function start()
	return daemon.start { config = config }
end

-- Types at a terminal (script(1) makes one). Each step is { pattern to wait for, keys }.
-- @return what the terminal showed, exit status
local function type_at(d, steps, ...)
	-- exec: a shell in between would end with 130 of its own.
	local words <const> = table.concat({ "exec", daemon.binary(), "--socket", d:socket_path(),
		... }, " ")
	local from <const>, to <const> = unistd.pipe()
	local shown <const> = d.dir .. "/terminal"
	process.write_file(shown, "")
	local script <const> = process.spawn {
		argv = { "script", "-qefc", words, "/dev/null" }, stdin = from, stdout = shown,
		env = { HOME = d.dir, TERM = "xterm", LC_ALL = "C.UTF-8", XDG_STATE_HOME = false,
			GADWALL_CONFIG = false, NO_COLOR = "1" },
	}
	unistd.close(from)
	local pos = 1
	for _, step in ipairs(steps) do
		local ok, err = pcall(wait.until_true, function()
			local _, stop = process.read_file(shown):find(step[1], pos)
			pos = stop and stop + 1 or pos
			return stop
		end, 5, step[1])
		if not ok then
			script:destroy()
			error(err .. "\n" .. process.read_file(shown), 2)
		end
		unistd.write(to, step[2])
	end
	local code <const> = script:wait_exit(10)
	unistd.close(to)
	return process.read_file(shown):gsub("\r", ""), code
end

describe("gadwall shell", function()
	after_each(daemon.finish_all)

	it("runs one command and exits with what came of it", function()
		local d <const> = start()
		local code, out = d:run("shell", "module", "reload", "echo")
		assert.equal(0, code)
		assert.equal("localhost: reloaded\nreloaded on 1 host\n", out)
		for _, line in ipairs { "module reload echo", " module reload 'echo' ", "module reload  echo" } do
			code, out = d:run("shell", line)
			assert.equal(0, code, line)
			assert.equal("localhost: reloaded\nreloaded on 1 host\n", out)
		end
		code, out = d:run("shell", "> 1 + 1")
		assert.same({ 0, "2\n" }, { code, out })
		local failed, _, err = d:run("shell", "modul", "list")
		assert.equal(1, failed)
		assert.equal("Error: unknown command 'modul' (did you mean 'module'?)\n", err)
		code, out = d:run("--json", "shell", "module:reload('echo')")
		assert.equal(0, code)
		assert.is_true(json.decode(out).ok)
		code, out = d:run("--json", "shell", "version")
		assert.same({ 0, 0, "none" }, { code, json.decode(out).exit, json.decode(out, 1, "none").error })
		code, out = d:run("--json", "shell", "frob")
		assert.same({ 1, 1, "none" }, { code, json.decode(out).exit, json.decode(out, 1, "none").result })
		code, out = d:run("shell", ">", "1 + 1")
		assert.equal(0, code)
		assert.equal("2\n", out)
		d:stop()
	end)

	it("runs the lines of its standard input and fails if any of them did", function()
		local d <const> = start()
		local function feed(lines)
			return process.run { argv = { daemon.binary(), "--socket", d:socket_path(), "shell" },
				input = lines, timeout = 10 }
		end
		local code, out = feed 'version\nmodule:reload("echo")\n> 1 + 1\n'
		assert.equal(0, code)
		assert.matches("OK: %d.*\nlocalhost: reloaded\nOK: reloaded on 1 host\nResult: 2\n$", out)
		code, out = feed "versoin\nversion\n"
		assert.equal(1, code)
		assert.matches("did you mean 'version'.*\nOK: ", out)
		d:stop()
	end)

	it("completes from the server and keeps a history that is nobody else's", function()
		local d <const> = start()
		local out, code = type_at(d, {
			{ "spec> ", "mod\trel\tec\t\n" }, { "OK: .*spec> ", "quit\n" },
		}, "shell")
		assert.equal(0, code)
		assert.matches("welcome, spec\n", out)
		assert.matches("spec> ", out)
		assert.matches("OK: reloaded on 1 host", out)
		local history <const> = d.dir .. "/.local/state/gadwall/shell_history"
		assert.matches("module\\040reload\\040echo", process.read_file(history))
		assert.equal(tonumber("600", 8), stat.stat(history).st_mode & 511)
		d:stop()
	end)

	it("lists candidates when there are several", function()
		local d <const> = start()
		local out <const> = type_at(d, {
			{ "spec> ", "module \t" }, { "unload.*spec> ", "\21quit\n" },
		}, "shell")
		assert.matches("info +list +load +reload +unload", out)
		d:stop()
	end)

	it("survives Ctrl-C at the prompt and in a running command, and ends at Ctrl-D", function()
		local d <const> = start()
		local out, code = type_at(d, {
			{ "spec> ", "half a line" }, { "half a line", "\3" },
			{ "%^C.*spec> ", "version\n" }, { "OK: %d.*spec> ", "log follow\n" },
			{ "log follow\r?\n", "\3" }, { "spec> ", "version\n" }, { "OK: %d.*spec> ", "\4" },
		}, "shell")
		assert.equal(0, code)
		assert.matches("half a line%^C", out)
		assert.equal(0, (d:run "status"))
		d:stop()
	end)

	it("draws bars of the phases at a terminal", function()
		local d <const> = daemon.start { config = config .. [[
			modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
			lameduck_period = 0.5]] }
		local c <const> = d:connect(d:port "echo")
		c:send "x\n"
		c:line()
		local out <const> = type_at(d, {}, "stop")
		assert.matches("lame%-duck +[█░]+", out)
		assert.matches("ended clean", out)
		assert.equal(0, d:wait_exit(3))
		d:stop()
	end)

	it("uses colours at a terminal only, unless it is told otherwise", function()
		local d <const> = start()
		local _, out = d:run "status"
		assert.is_nil(out:find("\27", 1, true))
		_, out = d:run("status", "--color=always")
		assert.truthy(out:find("\27[1m", 1, true))
		assert.is_nil(type_at(d, {}, "status"):find("\27[1m", 1, true))
		d:stop()
	end)
end)
