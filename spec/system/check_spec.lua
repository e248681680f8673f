local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"

local faulty <const> = [[
-- seven faults
modules_enabled = {
	"echo";
	"ehco";
}
lamduck_period = 4
echo_ports = { 0, 70070 }
ecko_interfaces = { "127.0.0.1" }
shutdown_timeout = "soon"
motd = FileContents "nope.txt"
lameduck_signals = {}
]]

describe("gadwall check", function ()
	local dir

	before_each(function () dir = process.temp_dir() end)
	after_each(function ()
		daemon.finish_all()
		process.remove_tree(dir)
	end)

	local function check(text, ...)
		process.write_file(dir .. "/a.cfg.lua", text)
		return process.run { argv = { daemon.binary(), "check", "-c", dir .. "/a.cfg.lua", ... },
			timeout = 20 }
	end

	it("exits 0 for a good config", function ()
		local code = check "modules_enabled = { 'echo' }\necho_ports = { 0 }\nrun_as_root = true"
		assert.equal(0, code)
	end)

	it("hints at a stop without its two modules, which is no fault", function ()
		local both <const> = { "a stop closes connections without a goodbye %(add \"graceful_shutdown\" ",
			"a stop leaves load balancers no time to go elsewhere %(add \"lameduck\" " }
		for words, hints in pairs {
			["modules_enabled = { 'echo' }"] = { true, true },
			["modules_enabled = { 'lameduck' }"] = { true, false },
			["VirtualHost 'a.example'\nmodules_enabled = { 'graceful_shutdown' }"] = { false, true },
			["modules_enabled = { 'graceful_shutdown', 'lameduck' }"] = { false, false },
			["modules_disabled = { 'graceful_shutdown', 'lameduck' }"] = { false, false },
		} do
			local text <const> = "run_as_root = true; echo_ports = { 0 }\n" .. words
			local code <const>, out <const>, err <const> = check(text, "--strict")
			assert.equal(0, code, out .. err)
			assert.matches("no fault", err)
			for i, pattern in ipairs(both) do
				assert.equal(hints[i], err:find("hint: " .. pattern) ~= nil, words .. "\n" .. err)
			end
			assert.equal(0, (check(text, "--json")))
		end
	end)

	it("shows all seven planted faults with file, line and column", function ()
		local code, out, err = check(faulty)
		assert.equal(1, code)
		local all = out .. err
		for _, place in ipairs { "4:2", "6:1", "7:19", "8:1", "9:1", "10:1", "11:1" } do
			assert.matches(("a.cfg.lua:%s: error: "):format(place), all)
		end
		local _, count = all:gsub(": error: ", "")
		assert.equal(7, count)
	end)

	it("has the documented JSON form", function ()
		local code, out = check(faulty, "--json")
		local answer = assert(json.decode(out))
		local faults = answer.faults or answer.result and answer.result.faults
		assert.equal(1, code)
		assert.is_false(answer.ok)
		assert.equal(7, #faults)
		assert.same({ file = dir .. "/a.cfg.lua", line = 6, column = 1, severity = "error",
			code = "unknown-option", message = "unknown option 'lamduck_period'",
			suggestion = "lameduck_period" }, faults[2])
	end)

	for name, make in pairs {
		["a folder"] = function (path) assert(stat.mkdir(path)) return "is a directory" end,
		["a FIFO"] = function (path) assert(stat.mkfifo(path, 384)) return "is a FIFO" end,
		["0 bytes"] = function (path) process.write_file(path, "") return "is empty" end,
		["not there"] = function () return "no such file" end,
	} do
		it("names a config that is " .. name .. ", and run refuses it with 78", function ()
			local path = dir .. "/x.cfg.lua"
			local words = make(path)
			local code, out, err = process.run {
				argv = { daemon.binary(), "check", "-c", path }, timeout = 10 }
			assert.equal(1, code)
			assert.matches(words, out .. err)
			code, out, err = process.run {
				argv = { daemon.binary(), "run", "-c", path }, timeout = 10 }
			assert.equal(78, code)
			assert.matches(words, out .. err)
		end)
	end

	it("finds what run refuses: the same faults, status 78, nothing left behind", function ()
		local d = daemon.start { config = faulty, expect_exit = true, exit = 78 }
		assert.equal(78, d:wait_exit())
		local _, count = d:log():gsub(": error: ", "")
		assert.equal(7, count)
		assert.is_nil(stat.stat(d.dir .. "/run/gadwall.pid"))
	end)

	it("does not complain of ports that the running instance has", function ()
		local d = daemon.start {
			config = "modules_enabled = { 'admin_socket', 'admin_shell', 'echo' }\n"
				.. "interfaces = { '127.0.0.1' }\necho_ports = { " ..
				require "spec.support.client".free_port() .. " }",
		}
		local code, out, err = d:run("check", "-c", d.config_file)
		assert.equal(0, code, out .. err)
	end)

	it("refuses a start as root without a user, with 77", function ()
		if require "posix.unistd".geteuid() ~= 0 then
			return -- only root is refused
		end
		local d = daemon.start {
			config = "run_as_root = false", expect_exit = true, exit = 77,
		}
		assert.equal(77, d:wait_exit())
		assert.matches("user = ", d:log())
	end)

	it("refuses, as root, a config that everybody may write", function ()
		if require "posix.unistd".geteuid() ~= 0 then
			return -- only root is refused
		end
		process.write_file(dir .. "/a.cfg.lua", "run_as_root = true")
		assert(stat.chmod(dir .. "/a.cfg.lua", 438))
		local code, out, err = process.run {
			argv = { daemon.binary(), "check", "-c", dir .. "/a.cfg.lua" }, timeout = 10 }
		assert.equal(1, code)
		assert.matches("may be written by everyone", out .. err)
	end)

	it("shows effective values and where they come from", function ()
		local code, out = check("run_as_root = true\nhammer_time = 99", "--dump")
		assert.equal(0, code)
		assert.matches("hammer_time.-99.-a.cfg.lua:2", out)
		assert.matches("shutdown_timeout.-25.-default", out)
	end)
end)
