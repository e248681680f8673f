-- The reader wrote a fault and the end of its line apart, to a descriptor that others write to: now
-- and then a log line had another's text before it, and who looked for it did not find it.

local poll <const> = require "posix.poll"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local config <const> = [[
	modules_enabled = { "lameduck"; "graceful_shutdown" }
	run_as_root = true
	runtime_path, data_path, pidfile = "%s/run", "%s/data", "%s/pid"
	lameduck_period = 9; shutdown_timeout = 3 -- which is a warning
	log = { warn = "missing/folder/log" } -- which cannot be opened
	%s
]]

describe("regress: what goes to stderr", function ()
	local dir, ours, theirs

	before_each(function ()
		dir = process.temp_dir()
		-- Each write is a packet of its own.
		ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM, 0)
	end)
	after_each(function ()
		unistd.close(ours)
		unistd.close(theirs)
		process.remove_tree(dir)
	end)

	local function packets()
		local list = {}
		while poll.rpoll(ours, 0) == 1 do
			list[#list + 1] = socket.recv(ours, 65536)
		end
		return list
	end

	local function start(more)
		process.write_file(dir .. "/gadwall.cfg.lua", config:format(dir, dir, dir, more))
		return process.spawn { argv = { daemon.binary(), "run", "-c", dir .. "/gadwall.cfg.lua" },
			stdout = dir .. "/out", stderr = theirs }
	end

	local function assert_lines(pattern)
		local found = false
		for _, packet in ipairs(packets()) do
			assert.matches("^[^\n]+\n$", packet)
			found = found or packet:find(pattern) ~= nil
		end
		assert.is_true(found, "no line like " .. pattern)
	end

	it("comes a line at a time from a host that serves", function ()
		local host <const> = start ""
		assert(wait.try(function ()
			return (process.read_file(dir .. "/run/gadwall.state") or ""):find "=serving"
		end, 10))
		host:signal "TERM"
		host:signal "TERM"
		assert.truthy(host:wait_exit(15))
		assert_lines "warning: the phases need"
	end)

	it("comes a line at a time from a config that is refused", function ()
		assert.equal(78, start("workers = 0"):wait_exit(15))
		assert_lines "error: "
	end)
end)
