local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local posix <const> = require "posix.sys.socket"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo", "lameduck", "graceful_shutdown" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local function run(argv, env, cwd)
	table.insert(argv, 1, daemon.binary())
	local clean <const> = { GADWALL_CONFIG = false, GADWALL_SOCKET = false, XDG_RUNTIME_DIR = false }
	for name, value in pairs(env or {}) do
		clean[name] = value
	end
	return process.run { argv = argv, env = clean, cwd = cwd, timeout = 20 }
end

describe("gadwall", function()
	local folders = {}
	local function temp()
		folders[#folders + 1] = process.temp_dir()
		return folders[#folders]
	end
	after_each(function()
		daemon.finish_all()
		for _, folder in ipairs(folders) do
			process.remove_tree(folder)
		end
		folders = {}
	end)

	it("without a command prints its help and exits 2", function()
		local code, out, err = run {}
		assert.equal(2, code)
		assert.equal("", out)
		assert.matches("usage: gadwall", err)
		code, out = run { "--help" }
		assert.equal(0, code)
		assert.matches("\n  stop +ends? the host", (out:gsub("end the", "ends the")))
		assert.same({ 0, out }, { (run { "help" }), (select(2, run { "help" })) })
		for _, argv in ipairs { { "new", "--help" }, { "help", "new" }, { "help", "new", "module" } } do
			code, out = run(argv)
			assert.equal(0, code)
			assert.matches("^usage: gadwall new ", out)
		end
	end)

	it("names the command, the option or the word that is wrong, and exits 2", function()
		for line, words in pairs {
			statu = "unknown command 'statu' %(did you mean 'status'%?%)",
			["help frob"] = "unknown command 'frob' %(gadwall --help lists them%)",
			["help statu"] = "did you mean 'status'%?",
			["help status now"] = "help: unexpected word 'now'",
			["stop --pln"] = "stop: unknown option '--pln' %(did you mean '--plan'%?%)",
			["reload a b"] = "reload: unexpected word 'b'",
			["stop --code x"] = "option '--code': 'x' is not a whole number",
			["completion tcsh"] = "name a shell: bash, zsh or fish",
			["new module Bad-Name"] = "'Bad%-Name' is no name for a module",
		} do
			local argv <const> = {}
			for word in line:gmatch "%S+" do
				argv[#argv + 1] = word
			end
			local code, _, err = run(argv)
			assert.equal(2, code, line)
			assert.matches((words:gsub("%-%-", "%%-%%-")), err)
		end
	end)

	it("takes the common flags before and after the command word", function()
		local d <const> = daemon.start { config = config }
		for _, argv in ipairs {
			{ "--json", "--socket", d:socket_path(), "status" },
			{ "status", "--socket=" .. d:socket_path(), "--json" },
			{ "--json", "status", "-c", d.config_file },
			{ "-F", "status", "--quiet", "--config", d.config_file, "--json", "--color=never" },
		} do
			local code, out = run(argv)
			assert.equal(0, code)
			assert.equal("serving", json.decode(out).state)
		end
		d:stop()
	end)

	it("finds the instance by option, environment and config, in this order", function()
		local d <const> = daemon.start { config = config }
		local nowhere <const> = temp() .. "/none.sock"
		assert.equal(0, (run({ "status" }, { GADWALL_SOCKET = d:socket_path() })))
		assert.equal(0, (run({ "status" }, { GADWALL_CONFIG = d.config_file })))
		assert.equal(0, (run({ "status", "-c", d.config_file }, { GADWALL_SOCKET = nowhere })))
		assert.equal(3, (run({ "status" }, { GADWALL_SOCKET = nowhere,
			GADWALL_CONFIG = d.config_file })))
		assert.equal(0, (run({ "status", "--socket", d:socket_path() },
			{ GADWALL_SOCKET = nowhere })))
		d:stop()
	end)

	it("says that nothing runs with 3, also beside stale files", function()
		local dir <const> = temp()
		local socket <const> = dir .. "/gadwall.sock"
		for _, name in ipairs { "lock", "gadwall.pid" } do
			process.write_file(dir .. "/" .. name, "1\n")
		end
		process.write_file(dir .. "/gadwall.state", "pid=1\nstate=serving\n")
		local fd <const> = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0)
		assert(posix.bind(fd, { family = posix.AF_UNIX, path = socket }))
		require "posix.unistd".close(fd)
		for _, word in ipairs { "status", "stop", "reload", "drain", "undrain", "finish", "shell" } do
			local code, out, err = run { word, "--socket", socket, "--json" }
			assert.equal(3, code, word)
			assert.matches("^gadwall: cannot " .. word .. ": not running %(.*gadwall run.*%)\n$", err)
			if word ~= "shell" then
				assert.equal(3, json.decode(out).exit)
			end
		end
	end)

	it("stops a host whose config is broken by now", function()
		local d <const> = daemon.start { config = config }
		local file <const> = assert(io.open(d.config_file, "a"))
		file:write "if then\n"
		file:close()
		local code, _, err = run { "reload", "-c", d.config_file }
		assert.equal(1, code)
		assert.matches("gadwall.cfg.lua:%d+:%d+: error: ", err)
		assert.matches("cannot reload: 1 fault", err)
		assert.equal(0, (run { "stop", "-c", d.config_file }))
		d:stop()
	end)

	it("reloads the config or one module and says what came of it", function()
		local d <const> = daemon.start { config = config }
		local code, out = d:run("reload", "echo")
		assert.equal(0, code)
		assert.matches("reloaded on 1 host", out)
		code, out = d:run "reload"
		assert.equal(0, code)
		assert.matches("config reloaded; changed: nothing", out)
		local failed, _, err = d:run("reload", "ecoh")
		assert.equal(1, failed)
		assert.matches("did you mean 'echo'", err)
		d:stop()
	end)

	it("drains, shows it with 5, and undrains; both are idempotent", function()
		local d <const> = daemon.start { config = config }
		for _, word in ipairs { "drain", "drain" } do
			assert.equal(0, (d:run(word, "--reason", "spec")))
		end
		local code, out = d:run "status"
		assert.equal(5, code)
		assert.matches("draining %(spec%)", out)
		for _, word in ipairs { "undrain", "undrain" } do
			assert.equal(0, (d:run(word)))
		end
		assert.equal(0, (d:run "status"))
		local failed, _, err = d:run("drain", "chatt")
		assert.equal(1, failed)
		assert.matches("^gadwall: cannot drain: no service or module 'chatt' %(.+%)\n$", err)
		d:stop()
	end)

	it("waits with drain until nothing is in flight, or answers 4", function()
		local d <const> = daemon.start { config = config }
		local c <const> = d:connect(d:port "echo")
		c:send "x\n"
		c:line()
		local code, _, err = d:run("drain", "--wait", "--timeout", "0.3")
		assert.equal(4, code)
		assert.matches("it has not come to its end in time", err)
		local waiting <const> = process.spawn {
			argv = { daemon.binary(), "--socket", d:socket_path(), "drain", "--wait" },
			stdout = d.dir .. "/out",
		}
		wait.until_true(function()
			return (process.read_file(d.dir .. "/out") or ""):find "draining"
		end, 3, "draining")
		c:close()
		assert.equal(0, waiting:wait_exit(3))
		assert.matches("nothing is in flight", process.read_file(d.dir .. "/out"))
		d:stop()
	end)

	it("refuses a rollback to nothing, and activate where there is nothing to activate", function()
		local d <const> = daemon.start { config = config }
		for word, reason in pairs { rollback = "no previous binary is known",
			activate = "active already" } do
			local code, _, err = d:run(word)
			assert.equal(1, code)
			assert.matches("^gadwall: cannot " .. word .. ": " .. reason .. " %(.+%)\n$", err)
		end
		d:stop()
	end)

	it("lists failpoints and versions", function()
		local code, out = run { "--version" }
		assert.equal(0, code)
		assert.matches("^gadwall %d+%.%d+%.%d+\n$", out)
		code, out = run { "--version", "--verbose" }
		assert.equal(0, code)
		assert.matches("\nmodules +/", out)
		code, out = run { "--list-failpoints" }
		assert.equal(0, code)
		assert.matches("worker%-%l", out)
	end)

	it("makes completion files that the shells accept, from the table of commands", function()
		local commands <const> = require "cli.commands"
		for name, file in pairs { bash = "gadwall.bash", zsh = "_gadwall", fish = "gadwall.fish" } do
			local code, out = run { "completion", name }
			assert.equal(0, code)
			assert.equal(process.read_file("contrib/completion/" .. file), out,
				"contrib/completion is stale: write it anew")
			for _, command in ipairs(commands.list) do
				assert.truthy(out:find(command.name, 1, true), name .. ": " .. command.name)
			end
			if name == "bash" then
				assert.equal(0, (process.run { argv = { "bash", "-n" }, input = out }))
			end
		end
	end)

	it("checks a config with places, carets and suggestions", function()
		local dir <const> = temp()
		local file <const> = dir .. "/a.cfg.lua"
		process.write_file(file, table.concat({ 'modules_enabled = { "echo", "admin_shel" }',
			"lamduck_period = 3", 'shutdown_timeout = "soon"', 'echo_ports = { 0 }', "" }, "\n"))
		local code, out = run { "check", "-c", file, "--no-bind" }
		assert.equal(1, code)
		assert.matches(file:gsub("%p", "%%%0")
			.. ":1:%d+: error: .*admin_shel.*did you mean 'admin_shell'", out)
		assert.matches(":2:1: error: .*did you mean 'lameduck_period'%?%)\n"
			.. "    lamduck_period = 3\n    %^\n", out)
		assert.matches(":3:%d+: error: .*shutdown_timeout", out)
		code, out = run { "check", "-c", file, "--json" }
		assert.equal(1, code)
		local result <const> = json.decode(out)
		assert.is_false(result.ok)
		assert.equal(3, #result.faults)
		assert.equal("lameduck_period", result.faults[2].suggestion)
		process.write_file(file, 'modules_enabled = { "echo" }\necho_ports = { 0 }\n')
		assert.equal(0, (run { "check", "-c", file }))
		code, out = run { "check", "-c", file, "--dump" }
		assert.equal(0, code)
		assert.matches('\necho_ports = { 0; } %-%- .*a.cfg.lua:2\n', (out:gsub("{ 0 }", "{ 0; }")))
	end)
end)
