local check <const> = require "core.check"
local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"

describe("core.check", function ()
	local dir

	before_each(function () dir = process.temp_dir() end)
	after_each(function () process.remove_tree(dir) end)

	local function run(text, opts)
		local path = dir .. "/a.cfg.lua"
		process.write_file(path, text)
		return check.run(path, opts or { bind = false, as_root = false })
	end

	local function places(faults)
		local list = {}
		for i, fault in ipairs(faults) do
			list[i] = ("%d:%d %s"):format(fault.line, fault.column, fault.code)
		end
		return list
	end

	it("reports seven planted faults, each with its line and column", function ()
		local faults = run [[
-- seven faults
modules_enabled = {
	"echo";
	"ehco";
}
lamduck_period = 4
echo_ports = { 7007, 70070 }
ecko_interfaces = { "127.0.0.1" }
shutdown_timeout = "soon"
motd = FileContents "nope.txt"
lameduck_signals = {}
]]
		assert.same({ "4:2 unknown-module", "6:1 unknown-option", "7:22 wrong-port",
			"8:1 unknown-service", "9:1 wrong-value", "10:1 unreadable-file", "11:1 signals" },
			places(faults))
		assert.equal("echo", faults[1].suggestion)
		assert.equal("lameduck_period", faults[2].suggestion)
		assert.equal("echo_interfaces", faults[4].suggestion)
		for _, fault in ipairs(faults) do
			assert.equal("error", fault.severity)
			assert.equal(dir .. "/a.cfg.lua", fault.file)
		end
	end)

	it("finds nothing in a good config", function ()
		assert.same({}, run [[
			modules_enabled = { "echo" }
			echo_ports = { 0 }
			interfaces = { "127.0.0.1", "::1", "/tmp/x.sock", "@name" }
			log = { info = "*console"; error = "err.log" }
			signals = { SIGHUP = "upgrade"; USR2 = { serving = "drain" } }
			restart_backoff = { 0.1, 5 }
			worker_timeout = "never"
			network_settings = { tcp_backlog = 10; read_timeout = 5 }
			hammer_time = -1
			echo_class = "peer"
			pidfile = false
		]])
	end)

	it("looks at the file of the token: missing, empty, or open to others", function()
		local stat <const> = require "posix.sys.stat"
		local config <const> = 'modules_enabled = { "admin_http" }\nadmin_http_token_file = "token"'
		local path <const> = dir .. "/token"
		local function look(text, mode)
			if text then
				local file <close> = assert(io.open(path, "w"))
				file:write(text)
				file:close()
				stat.chmod(path, mode)
			end
			local faults <const> = run(config)
			return faults[1] and ("%s %s"):format(faults[1].severity, faults[1].message), places(faults)
		end
		os.remove(path)
		local message, where = look()
		assert.same({ "2:1 unreadable-file" }, where)
		assert.matches("^error option 'admin_http_token_file': cannot use .*/token: [Nn]o such file",
			message)
		message, where = look("secret\n", 420) -- 0644
		assert.same({ "2:1 unusable-file" }, where)
		assert.matches("^warning .*others may use it %(mode 644; chmod o= it%)", message)
		assert.matches("^warning .*it is empty", (look("\n", 384))) -- 0600
		assert.is_nil((look("secret\n", 384)))
	end)

	it("compares times with each other", function ()
		assert.same({ "1:1 hammer-too-early" }, places(run "hammer_time = 10"))
		assert.same({ "1:1 hammer-too-early", }, places(run 'shutdown_timeout = "2 minutes"'))
		local faults = run "shutdown_phases = { 'lame-duck', { 'close-clients', budget = 90 }, 'quit' }"
		assert.same({ "1:1 phases-do-not-fit" }, places(faults))
		assert.equal("warning", faults[1].severity)
		assert.same({ "1:21 quit-not-last" }, places(run "shutdown_phases = { 'quit', 'lame-duck' }"))
		assert.same({ "1:1 wrong-value" }, places(run "restart_backoff = { 5, 1 }"))
	end)

	it("knows an option that an enabled module reads, whichever way it reads it", function ()
		process.write_file(dir .. "/mod_x.lua", [[
			local a = module:get_option_number("x_limit", 3)
			for _, n in ipairs { "one" } do module:get_option("x_" .. n) end
			module:get_option_string(name .. "_path")
		]])
		local front = ("plugin_paths = { %q }; modules_enabled = { 'x' }\n"):format(dir)
		assert.same({}, run(front .. "x_limit = 1\nx_two = 2\nfoo_path = 'y'"))
		local faults = run(front .. "y_limit = 3\nzzz = 1")
		assert.same({ "2:1 unknown-option", "3:1 unknown-option" }, places(faults))
		assert.equal("x_limit", faults[1].suggestion)
		assert.is_true(check.is_fatal(faults[1]))
		assert.is_false(check.is_fatal(faults[2]))
	end)

	it("finds a module's syntax error with the module's file and line", function ()
		process.write_file(dir .. "/mod_bad.lua", "local a\nif if\n")
		local faults = run(("plugin_paths = { %q }; modules_enabled = { 'bad' }"):format(dir))
		assert.equal("module-syntax", faults[1].code)
		assert.equal(dir .. "/mod_bad.lua", faults[1].file)
		assert.equal(2, faults[1].line)
		assert.equal(dir .. "/mod_bad.lua:2:1: error: unexpected symbol near 'if'",
			check.line(faults[1]))
	end)

	it("follows depends to a module that is not there", function ()
		process.write_file(dir .. "/mod_a.lua", 'module:depends("b_missing")')
		local faults = run(("plugin_paths = { %q }; modules_enabled = { 'a' }"):format(dir))
		assert.same({ "unknown-module" }, { faults[1].code })
		assert.matches("mod_a depends on mod_b_missing", faults[1].message)
	end)

	it("warns of a depends inside of a block, and passes over one that is none", function ()
		process.write_file(dir .. "/mod_a.lua", [[
local http = module:depends "http"
-- module:depends "gone"
module:depends("gone_" .. kind)
if module:get_host_type() == "component" then
	module:depends "b_missing"
end
module:depends("c_missing", true)
local d = module:depends"d_missing".d
]])
		local faults = run(("plugin_paths = { %q }; modules_enabled = { 'a' }"):format(dir))
		local found = {}
		for i, fault in ipairs(faults) do
			found[i] = ("%d %s: %s"):format(fault.line, fault.severity, fault.message)
		end
		assert.same({
			"5 warning: mod_a may depend on mod_b_missing, which is not there",
			"7 warning: mod_a may depend on mod_c_missing, which is not there",
			"8 error: mod_a depends on mod_d_missing, which is not there" }, found)
		assert.is_false(check.is_fatal(faults[1]))
	end)

	it("names a port that two services want, and one that somebody has", function ()
		process.write_file(dir .. "/mod_two.lua",
			"module:provides('net', { default_ports = { 7007 }, listener = {} })")
		local faults = run(("plugin_paths = { %q }; modules_enabled = { 'echo', 'two' }"):format(dir))
		assert.equal("port-twice", faults[1].code)

		local server = require "net.server"
		local taken = assert(server.listen("127.0.0.1", 0, {}))
		faults = run(("modules_enabled = { 'echo' }; interfaces = { '127.0.0.1' }\n"
			.. "runtime_path = %q\necho_ports = { %d }"):format(dir, taken:serverport()),
			{ as_root = false })
		taken:close()
		assert.same({ "3:16 unbindable-port" }, places(faults))
		assert.matches("address already in use", faults[1].message)
	end)

	it("knows addresses, classes, levels, keys and signals from words that are none", function ()
		assert.same({ "1:16 wrong-address" }, places(run "interfaces = { 'localhost' }"))
		assert.same({ "1:1 wrong-value" }, places(run "echo_class = 'clients'"))
		assert.same({ "1:9 unknown-level" }, places(run "log = { inof = '*console' }"))
		local faults = run "network_settings = { read_timout = 1 }"
		assert.equal("read_timeout", faults[1].suggestion)
		assert.same({ "1:13 signals" }, places(run "signals = { SIGKILL = 'shutdown' }"))
	end)

	it("shows effective values with their origin", function ()
		process.write_file(dir .. "/a.cfg.lua", "\nhammer_time = 99\nmine = 1")
		local found = {}
		for _, entry in ipairs(check.dump(dir .. "/a.cfg.lua")) do found[entry.name] = entry end
		assert.same({ 99, dir .. "/a.cfg.lua:2" }, { found.hammer_time.value, found.hammer_time.origin })
		assert.same({ 25, "default" }, { found.shutdown_timeout.value, found.shutdown_timeout.origin })
		assert.equal(1, found.mine.value)
	end)

	it("leaves the config in force alone", function ()
		local config <const> = require "core.configmanager"
		local before = config.state()
		run "a = 1"
		assert.equal(before, config.state())
	end)

	after_each(client.close_all)
end)

describe("util.didyoumean", function ()
	local didyoumean <const> = require "util.didyoumean"

	it("counts inserts, deletions, substitutions and swaps as one each", function ()
		assert.equal(0, didyoumean.distance("abc", "abc"))
		assert.equal(1, didyoumean.distance("abc", "acb"))
		assert.equal(1, didyoumean.distance("abc", "abcd"))
		assert.equal(1, didyoumean.distance("abc", "axc"))
		assert.equal(3, didyoumean.distance("abc", "xyz"))
		assert.is_nil(didyoumean.distance("abc", "xyz", 2))
		assert.equal(4, didyoumean.distance("", "abcd"))
	end)

	it("suggests the nearest word within two edits, and nothing else", function ()
		assert.equal("lameduck_period",
			didyoumean.suggest("lamduck_period", { "lameduck_period", "log" }))
		assert.is_nil(didyoumean.suggest("completely", { "different" }))
		assert.is_nil(didyoumean.suggest("log", { "lameduck", "gc" }))
		assert.equal("ab", didyoumean.suggest("abc", { ab = true, zz = true }))
	end)
end)
