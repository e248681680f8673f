-- "The keeper's lines are not where `\"*syslog\"` sends those of the workers, and in a file with a
-- time format of its own (timestamps = \"…\") they have the default one."

local daemon <const> = require "spec.support.daemon"
local fcntl <const> = require "posix.fcntl"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local can_unshare <const> = unistd.geteuid() == 0
	and (process.run { argv = { "unshare", "-m", "true" } }) == 0

-- A /dev of its own, with our socket in it.
local in_own_dev <const> = [[
	for name in null zero full random urandom tty; do
		: >"$0/$name" && mount --bind "/dev/$name" "$0/$name" || exit 1
	done
	mount --rbind "$0" /dev && exec "$@"
]]

-- What a syslog daemon at path hears.
local function syslogd(path)
	local fd <const> = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0))
	assert(fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK))
	assert(socket.bind(fd, { family = socket.AF_UNIX, path = path }))
	local heard = ""
	return fd, function (pattern)
		wait.until_true(function ()
			local text = socket.recv(fd, 65536)
			while text do
				heard = heard .. text .. "\n"
				text = socket.recv(fd, 65536)
			end
			return heard:find(pattern) ~= nil
		end, 20, pattern)
		return heard
	end
end

local function start_with(dev, rule)
	return daemon.start { fds = false, allow = { "signal 9" },
		wrap = { "unshare", "-m", "sh", "-c", in_own_dev, dev }, config = ([[
			modules_enabled = { "admin_socket", "admin_shell" }
			log = { info = "*console", { to = "syslog", %s } }
		]]):format(rule) }
end

describe("regress: the keeper's lines", function ()
	after_each(daemon.finish_all)

	it("have the time format of the file", function ()
		local d <const> = daemon.start { fds = false, config = [[
			modules_enabled = { "admin_socket" }
			log = { info = "*console",
				{ to = "file", filename = "iso.log", timestamps = "!%Y-%m-%dT%H:%M:%SZ" },
				{ to = "file", filename = "odd.log", timestamps = "%%H:%H" },
				{ to = "file", filename = "plain.log", timestamps = true } }
		]] }
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		local function first(name)
			return process.read_file(d.dir .. "/data/" .. name):match "([^\n]*)keeper\tinfo\tended with"
		end
		assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ $", first "iso.log")
		assert.matches("^%%H:%d%d $", first "odd.log")
		assert.matches("^%u%l%l %d%d %d%d:%d%d:%d%d $", first "plain.log")
	end)

	it("are in syslog, also when its daemon was started anew", function ()
		if not can_unshare then pending("needs root and unshare") return end
		local dev <const> = process.temp_dir()
		local fd, hears = syslogd(dev .. "/log")
		local d <const> = start_with(dev, [[levels = { min = "info" }, syslog_name = "duck",
			syslog_facility = "local3"]])
		hears "<158>[^\n]*duck%[%d+%]: worker: gadwall "
		hears "<158>%u%l%l [ %d]%d %d%d:%d%d:%d%d duck%[%d+%]: keeper: worker g1%.1 is ready"
		unistd.close(fd)
		os.remove(dev .. "/log")
		fd, hears = syslogd(dev .. "/log")
		process.kill(d:worker_pid(), "KILL")
		hears "<156>[^\n]*duck%[%d+%]: keeper: worker g1%.1 ended: signal 9"
		d:signal "TERM"
		hears "keeper: ended with status 0"
		assert.equal(0, d:wait_exit(20))
		unistd.close(fd)
		process.remove_tree(dev)
	end)

	-- "syslog(3) waits: no beat for 10.0 s: SIGABRT", again and again.
	it("and the workers' are lost where its daemon does not read, and nothing else", function ()
		if not can_unshare then pending("needs root and unshare") return end
		local dev <const> = process.temp_dir()
		local fd <const>, hears = syslogd(dev .. "/log")
		local d <const> = start_with(dev, [[levels = { min = "debug" }]])
		for _ = 1, 10 do -- more lines than the kernel keeps
			assert.equal(0, (d:run("reload")))
		end
		assert.equal("0", d:state().restarts)
		hears "gadwall%[%d+%]: "
		assert.equal(0, (d:run("reload")))
		hears "gadwall%[%d+%]: log: %d+ lines before this one are lost"
		d:signal "TERM"
		assert.equal(0, d:wait_exit(20))
		unistd.close(fd)
		process.remove_tree(dev)
	end)
end)
