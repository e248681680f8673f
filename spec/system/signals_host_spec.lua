-- Signals go to the keeper; what they mean depends on the state and on how often they come.
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- A stop that takes long: the handler of server-stopping holds it.
local holder <const> = [[
	module:hook_global("server-stopping", function (event) event:hold("a long job", 60) end)
]]

local function start(spec)
	spec = spec or {}
	spec.config = (spec.config or "") .. (spec.modules and [[; modules_enabled = { "it" } ]] or "")
	spec.modules = spec.modules and { it = spec.modules }
	return daemon.start(spec)
end

local function count(d, pattern)
	return #d:log_lines(pattern)
end

describe("signals", function ()
	after_each(daemon.finish_all)

	it("in a storm are one shutdown", function ()
		local d = start { modules = [[
			module:hook_global("server-stopping", function (event) event:hold("a job", 0.5) end)
		]], exit = false }
		for _ = 1, 1000 do process.kill(d.keeper_pid, "TERM") end
		assert.is_number(d:wait_exit())
		assert.equal(1, count(d, "keeper.*SIGTERM from pid"))
		assert.equal(0, count(d, "hammer"))
	end)

	it("of a stop hurry the second time and hammer the third", function ()
		local d = start { modules = holder, exit = 75, config = "shutdown_timeout = 50" }
		d:signal("TERM")
		d:wait_log("serving %-> stopping")
		wait.sleep(1.1)
		d:signal("INT")
		d:wait_log("SIGINT again")
		wait.sleep(1.1)
		d:signal("TERM")
		local code = d:wait_exit()
		assert.is_true(code == 75)
	end)

	it("begin a stop that the keeper ends after hammer_time", function ()
		local d = start { modules = [[
			module:hook_global("server-stopping", function () while true do end end)
		]], exit = 75, config = [[ hammer_time = 0.5; shutdown_timeout = 0.4;
			callback_timeout = 600 ]] }
		d:signal("TERM")
		assert.equal(75, d:wait_exit())
		assert.equal(1, count(d, "hammer %(hammer_time is over%)"))
	end)

	it("can be vetoed by a hook, with its reason in the log", function ()
		local d = start { modules = [[
			local vetoed
			module:hook_global("signal-before/SIGTERM", function ()
				if not vetoed then vetoed = true return "not now" end
			end)
		]] }
		d:signal("TERM")
		d:wait_log("keeper.*SIGTERM: veto: not now")
		assert.equal("serving", d:state().state)
		d:signal("TERM")
		assert.equal(0, d:wait_exit())
	end)

	it("are acted on without the hooks when these do not answer in 2 s", function ()
		local d = start { modules = [[
			module:hook_global("signal-before/SIGTERM", function ()
				local t = os.time() while os.time() < t + 4 do end
			end)
		]], config = 'callback_timeout = 600', allow = { "stack traceback" }, exit = false }
		d:signal("TERM")
		d:wait_log("no answer of the hooks", 5)
		assert.is_number(d:wait_exit(10))
	end)

	it("that another process sends to a worker do nothing but one line", function ()
		local d = start()
		process.kill(d:worker_pid(), "TERM")
		d:wait_log("SIGTERM %(15%) from pid %d+ does nothing in a worker.*pid " .. d.keeper_pid)
		assert.equal("serving", d:state().state)
	end)

	it("that a worker sends to itself reach the keeper", function ()
		local d = start { modules = [[
			module:add_timer(0.1, function ()
				require "posix.signal".kill(require "posix.unistd".getpid(), 15)
			end)
		]], ready = false }
		assert.equal(0, d:wait_exit())
	end)

	it("without a meaning never end the host", function ()
		local d = start()
		for _, signal in ipairs { "PIPE", "ALRM", "WINCH", "TTOU", "TTIN", "URG" } do
			d:signal(signal)
			process.kill(d:worker_pid(), signal == "PIPE" and "PIPE" or "WINCH")
		end
		for number = 36, 63 do d:signal(number) end
		wait.sleep(0.2)
		assert.equal("serving", d:state().state)
		assert.equal("0", d:state().restarts)
	end)

	it("of the kind SIGHUP reload the config", function ()
		local d = start()
		d:signal("HUP")
		d:wait_log("the new config goes to the workers")
		d:write_config("x = = 1")
		d:signal("HUP")
		d:wait_log("reload refused: the config has faults")
		assert.equal("serving", d:state().state)
	end)

	it("suspend and continue the keeper while the workers serve on", function ()
		local d = start { config = "worker_timeout = 0.6" }
		d:signal("TSTP")
		wait.until_true(function ()
			return process.read_file(("/proc/%d/stat"):format(d.keeper_pid)):find("%) T ")
		end, 3, "a suspended keeper")
		wait.sleep(1.5)
		d:signal("CONT")
		wait.sleep(0.3)
		assert.equal("0", d:state().restarts)
	end)
end)
