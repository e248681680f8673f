-- `run --passive`, `activate`, and who runs the singletons.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local solo <const> = [[
	module:set_global()
	module:singleton("work", function () module:log("info", "solo starts") end,
		function () module:log("info", "solo stops") end)
]]

local config <const> = [[
	modules_enabled = { "admin_socket", "admin_shell", "echo", "solo" }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }
]]

local function start(passive, more)
	return daemon.start { modules = { solo = solo }, config = config .. (more or ""),
		args = passive and { "--passive" } or {}, fds = not passive }
end

-- "+-": started, stopped.
local function story(d)
	local text = ""
	for _, line in ipairs(d:log_lines("solo st")) do
		text = text .. (line:find("starts") and "+" or "-")
	end
	return text
end

local function story_becomes(d, want)
	wait.until_true(function () return story(d) == want end, 10, "the story " .. want)
end

-- Whether its worker holds the lock of the active generation.
local function holds_the_lock(d)
	local active <const> = stat.stat(d.dir .. "/run/active")
	local locks <const> = process.read_file("/proc/locks")
	return active ~= nil and locks:find((" %d [%%x:]+:%d 0 EOF"):format(d:worker_pid(),
		active.st_ino)) ~= nil
end

local function echoes(d)
	local c <close> = d:connect("echo")
	assert(c:send("hello\n"))
	return c:line() == "hello"
end

describe("a passive host", function ()
	after_each(daemon.finish_all)

	it("serves and is ready, but runs no singleton until it is activated", function ()
		local d <const> = start(true)
		assert.equal("passive", d:status().state)
		assert.is_true(d:status().ready)
		assert.is_true(echoes(d))
		assert.equal("", story(d))
		assert.is_false(holds_the_lock(d))
		assert.equal(0, (d:run("activate")))
		assert.equal("serving", d:status().state)
		story_becomes(d, "+")
		assert.is_true(holds_the_lock(d))
		assert.is_true(echoes(d))
	end)

	it("is activated once: the second time it says that it is active", function ()
		local d <const> = start(true)
		assert.equal(0, (d:run("activate")))
		local code, _, err = d:run("activate")
		assert.equal(1, code)
		assert.equal("gadwall: cannot activate: active already (its state is serving)\n", err)
		story_becomes(d, "+")
	end)

	it("stays activated when its worker dies", function ()
		local d <const> = start(true)
		assert.equal(0, (d:run("activate")))
		story_becomes(d, "+")
		process.kill(d:worker_pid(), "KILL")
		story_becomes(d, "++")
		assert.equal("serving", d:status().state)
	end)

	it("stays passive when its worker dies", function ()
		local d <const> = start(true)
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return d:state().restarts == "1" end, 10, "a restart")
		assert.equal("passive", d:status().state)
		assert.equal("", story(d))
	end)

	it("cannot be drained, and says what to do", function ()
		local d <const> = start(true)
		local code, _, err = d:run("drain")
		assert.equal(1, code)
		assert.equal("gadwall: cannot drain: passive (run 'gadwall activate' first)\n", err)
	end)

	it("ends by finish without evicting anything", function ()
		local d <const> = start(true, [[
			modules_enabled = { "admin_socket", "admin_shell", "echo", "solo", "lameduck",
				"graceful_shutdown" }; lameduck_period = 0.1 ]])
		assert.equal(0, (d:run("finish")))
		assert.equal(0, d:wait_exit())
		assert.matches('"verb":"finish","evict":false', d:wait_log("shutdown report"))
		assert.equal("", story(d))
	end)
end)

describe("a host in charge", function ()
	after_each(daemon.finish_all)

	it("gives its singletons up when it drains and takes them again when it is undrained", function ()
		local d <const> = start()
		story_becomes(d, "+")
		assert.equal(0, (d:run("drain")))
		assert.equal("+-", story(d))
		assert.equal(0, (d:run("undrain")))
		story_becomes(d, "+-+")
		assert.equal(0, (d:run("drain", "echo")))
		assert.equal("+-+", story(d))
	end)

	it("does not start them for an instant when its worker is replaced in a drain", function ()
		local d <const> = start()
		story_becomes(d, "+")
		assert.equal(0, (d:run("drain")))
		process.kill(d:worker_pid(), "KILL")
		d:wait_log("as before the restart")
		wait.until_true(function () return d:state().state == "draining"
			and d:state().restarts == "1" end, 10, "a restart")
		assert.equal("+-", story(d))
		assert.equal(0, (d:run("undrain")))
		story_becomes(d, "+-+")
	end)

	it("stops them before their module is unloaded and starts them anew after a reload", function ()
		local d <const> = start()
		story_becomes(d, "+")
		assert.equal(0, (d:run("reload", "solo")))
		story_becomes(d, "+-+")
		d:write_module("solo", "error 'broken'")
		assert.equal(1, (d:run("reload", "solo")))
		story_becomes(d, "+-+-+")
		d:console("module unload solo *")
		story_becomes(d, "+-+-+-")
		assert.equal(0, (d:run("drain")))
		assert.equal(0, (d:run("undrain")))
		assert.equal("+-+-+-", story(d))
		d.spec.allow = { "broken" }
	end)

	it("has a server_id of its hostname and 16 digits, kept when its worker dies", function ()
		local d <const>, other <const> = start(), start()
		local id <const> = d:status().server_id
		local hostname <const> = process.read_file("/proc/sys/kernel/hostname"):gsub("\n", "")
		assert.equal(hostname, id:match("^(.+)%-" .. ("%x"):rep(16) .. "$"))
		assert.not_equal(id, other:status().server_id)
		process.kill(d:worker_pid(), "KILL")
		wait.until_true(function () return d:state().restarts == "1" end, 10, "a restart")
		assert.equal(id, d:status().server_id)
		assert.equal("me", start(false, [[ server_id = "me" ]]):status().server_id)
	end)
end)
