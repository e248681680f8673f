-- "A reload that made worker_timeout lower than the interval of the beats killed a worker that was
-- well; an upgrade to such a config did so with those of the old generation."

local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "admin_shell", "echo" }; echo_ports = { 0 }; interfaces = { "127.0.0.1" }
	upgrade_probation = 0.1; worker_heartbeat = 8; worker_timeout = %d ]]

-- The interval of the beats is 8 s at first, and more than the new limit.
local function start()
	local d <const> = daemon.start { config = config:format(40), fds = false }
	local c <const> = d:connect "echo"
	return d, c, function (...)
		d:write_config(config:format(4))
		assert.equal(0, (d:run(...)))
	end
end

local function pids(d)
	local found <const> = {}
	for _, generation in ipairs(d:status().generations) do
		for _, worker in ipairs(generation.workers) do
			found[#found + 1] = worker.pid
		end
	end
	table.sort(found)
	return found
end

-- Looked at for longer than the new limit: nobody is ended.
local function all_live(d, c)
	local before <const>, ends <const> = pids(d), os.time() + 7
	wait.until_true(function () return os.time() > ends end, 20, "the limit to pass")
	assert.same(before, pids(d))
	assert.same({}, d:log_lines "no beat")
	c:send "hello\n"
	assert.equal("hello", c:line())
	c:close()
	d:stop()
	return #before
end

describe("regress: a lower worker_timeout", function ()
	after_each(daemon.finish_all)

	it("ends no worker that is well, when a reload brings it", function ()
		local d <const>, c <const>, change <const> = start()
		change "reload"
		assert.equal(1, all_live(d, c))
	end)

	it("is that of the new generation only, when an upgrade brings it", function ()
		local d <const>, c <const>, change <const> = start()
		change "upgrade"
		assert.equal(2, all_live(d, c))
	end)
end)
