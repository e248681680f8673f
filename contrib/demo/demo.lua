--- make demo: a host under load is drained, upgraded, failed, rolled back, killed and stopped,
-- while clients count what they miss. Exit status 1 if one request is lost.
--
--   gadwall lua contrib/demo/demo.lua GADWALL [--unsafe]
--
-- --unsafe: the same clients while the whole thing is killed and started again, for comparison.

package.path = "contrib/demo/?.lua;" .. package.path

local clients <const> = require "clients"
local loop <const> = require "host.loop"
local stat <const> = require "posix.sys.stat"
local stdlib <const> = require "posix.stdlib"
local signal <const> = require "posix.signal"
local sys <const> = require "host.sys"
local time <const> = require "util.time"
local timer <const> = require "util.timer"
local unistd <const> = require "posix.unistd"
local wait <const> = require "posix.sys.wait"

local gadwall <const>, unsafe <const> = arg[1], arg[2] == "--unsafe"
if not gadwall or #arg > 2 or arg[2] and not unsafe then
	io.stderr:write("usage: gadwall lua contrib/demo/demo.lua GADWALL [--unsafe]\n")
	os.exit(64)
end
local counts <const> = clients.counts
local terminal <const> = sys.isatty(1)
local http_clients <const>, line_clients <const>, think <const> = 16, 20, 0.002

local folder <const> = assert(stdlib.mkdtemp("/tmp/gadwall-demo.XXXXXX"))
local config <const> = folder .. "/demo.cfg.lua"
local keeper = nil -- pid

-- The host ----------------------------------------------------------------------------------------

local function write(path, text)
	local file <close> = assert(io.open(path, "w"))
	file:write(text)
end

local function read(path)
	local file <close> = io.open(path)
	return file and file:read("a") or ""
end

local function free_port()
	local net <const> = require "host.net"
	local fd <const> = assert(net.bind("127.0.0.1", 0, { type = "tcp" }))
	local _, port = require "host.datagram".name(fd, false)
	net.close(fd)
	return port
end

local http_port <const>, lines_port <const> = free_port(), free_port()

local good <const> = ([[
modules_enabled = { "admin_socket", "admin_shell", "lameduck", "graceful_shutdown", "http", "demo" }
plugin_paths = { "%s/contrib/demo" }
run_as_root = true
runtime_path = "%s/run"
data_path = "%s/data"
http_ports = { %d }; https_ports = {}; http_interfaces = { "127.0.0.1" }
lines_ports = { %d }; lines_interfaces = { "127.0.0.1" }
upgrade_probation = 1.5; finish_idle_wait = 1; lameduck_period = 0.5; close_spread = 0.3
log = { info = "%s/log" }
VirtualHost "localhost"
]]):format(unistd.getcwd(), folder, folder, http_port, lines_port, folder)

-- A program in the background; calls done(status) at its end.
local function spawn(argv, done)
	local pid <const> = assert(unistd.fork())
	if pid == 0 then
		local out <const> = require "posix.fcntl".open(folder .. "/commands", 1089, 420) -- append
		unistd.dup2(out, 1)
		unistd.dup2(out, 2)
		unistd.execp(argv[1], table.move(argv, 2, #argv, 1, {}))
		os.exit(127)
	end
	timer.add_task(0.02, function ()
		local ended, _, status = wait.wait(pid, wait.WNOHANG)
		if ended == 0 then
			return 0.02
		end
		done(status)
	end)
	return pid
end

local function run_host()
	keeper = spawn({ gadwall, "run", "-c", config }, function () keeper = nil end)
end

-- Of the newest generation.
local function worker_pid()
	local newest, found = 0, nil
	for generation, pid in read(folder .. "/run/state"):gmatch("\nworker (%d+) %d+ (%d+) ") do
		if tonumber(generation) >= newest then
			newest, found = tonumber(generation), tonumber(pid)
		end
	end
	return found
end

-- The show ----------------------------------------------------------------------------------------

local function bar(part, width)
	local full <const> = math.floor(width * math.min(part, 1) + 0.5)
	return ("█"):rep(full) .. ("░"):rep(width - full)
end

-- A line that wraps could not be drawn over.
local narrow <const> = terminal and (sys.winsize(1) or 80) < 120

local function line_of(step, part, was)
	local answered <const>, lost <const>, refused <const> = counts.answered - was.answered,
		counts.lost - was.lost, counts.refused - was.refused
	if narrow then
		return ("%-35s %s %6d ok %4d lost %4d refused"):format(step.title, bar(part, 8), answered, lost,
			refused)
	end
	return ("%-35s %s %8d answered %4d lost %4d refused  worst %6.1f ms"):format(step.title,
		bar(part, 24), answered, lost, refused, counts.worst * 1000)
end

local failures <const> = {}
local excused = 0

local function fail(step, text)
	failures[#failures + 1] = step.title .. ": " .. text
end

local function snapshot()
	return { answered = counts.answered, lost = counts.lost, refused = counts.refused }
end

-- A command that must end with this status, within the step.
local function command(step, words, wanted)
	local argv <const> = { gadwall, words[1], "-c", config, table.unpack(words, 2) }
	step.running = step.running + 1
	spawn(argv, function (status)
		step.running = step.running - 1
		if status ~= (wanted or 0) then
			fail(step, ("%s ended with %s, see %s/commands"):format(table.concat(words, " "),
				tostring(status), folder))
		end
	end)
end

local function kill_worker()
	local pid <const> = worker_pid()
	if pid then
		signal.kill(pid, signal.SIGKILL)
	end
end

-- How many commits there were: the keeper says them on standard error.
local function commits()
	return select(2, read(folder .. "/commands"):gsub("commit: generation", ""))
end

-- { title, seconds, act, excused: what a killed process had accepted may break }
local steps <const> = unsafe and {
	{ title = "serving", seconds = 3 },
	{ title = "kill -9 of everything, start anew", seconds = 4, act = function ()
		kill_worker()
		if keeper then signal.kill(keeper, signal.SIGKILL) end
		timer.add_task(0.3, run_host)
	end },
} or {
	{ title = "serving", seconds = 3 },
	{ title = "drain", seconds = 3, act = function (step) command(step, { "drain" }) end },
	{ title = "undrain", seconds = 2, act = function (step) command(step, { "undrain" }) end },
	{ title = "upgrade", seconds = 6, act = function (step) command(step, { "upgrade" }) end },
	{ title = "an upgrade to a broken config", seconds = 3, act = function (step)
		write(config, good .. "\nthis is no config\n")
		command(step, { "upgrade" }, 1)
		timer.add_task(2, function () write(config, good) end)
	end },
	{ title = "upgrade, rolled back by hand", seconds = 5, act = function (step)
		command(step, { "upgrade", "--no-wait" })
		timer.add_task(1.2, function () command(step, { "rollback" }) end)
	end },
	{ title = "upgrade, the new one dies: rollback", seconds = 5, act = function (step)
		local before <const>, looks = commits(), 0
		command(step, { "upgrade" }, 1)
		timer.add_task(0.02, function ()
			looks = looks + 1
			if commits() > before then
				kill_worker()
			elseif looks < 500 then
				return 0.02
			end
		end)
	end, excused = true },
	{ title = "kill -9 of the worker", seconds = 4, act = kill_worker, excused = true },
	{ title = "upgrade again", seconds = 5, act = function (step) command(step, { "upgrade" }) end },
	{ title = "stop", seconds = 5, act = function (step)
		clients.stop()
		command(step, { "stop" })
	end },
}

local function judge(step, was)
	local lost <const>, refused <const> = counts.lost - was.lost, counts.refused - was.refused
	if step.running > 0 then
		fail(step, "its command has not ended in time")
	end
	if step.excused then
		excused = excused + lost
	elseif lost > 0 then
		fail(step, lost .. " requests lost")
	end
	if refused > 0 then
		fail(step, refused .. " connects refused")
	end
	if counts.answered == was.answered and step.title ~= "stop" then
		fail(step, "nothing was answered")
	end
end

local function play(index, done)
	local step <const> = steps[index]
	if not step then
		return done()
	end
	step.running = 0
	local started <const>, was = time.monotonic(), snapshot()
	counts.worst = 0
	if step.act then
		step.act(step)
	end
	timer.add_task(0.1, function ()
		local part <const> = (time.monotonic() - started) / step.seconds
		local over <const> = part >= 1 and (step.running == 0 or part >= 4)
		if terminal or over then
			io.stdout:write(terminal and "\r" or "", line_of(step, part, was), over and "\n" or "")
			io.stdout:flush()
		end
		if not over then
			return 0.1
		end
		judge(step, was)
		play(index + 1, done)
	end)
end

-- The keeper first: it would start workers anew. They would serve on without it.
local function clean_up()
	if keeper then
		signal.kill(keeper, signal.SIGKILL)
		for pid in read(folder .. "/run/state"):gmatch("\nworker %d+ %d+ (%d+) ") do
			signal.kill(math.tointeger(pid), signal.SIGKILL)
		end
	end
	if unsafe or #failures == 0 then
		os.execute("rm -rf '" .. folder .. "'")
	end
end

local rule <const> = [[

Counted by the clients, %d keep-alive and %d line by line, %d connects: a request is lost if it was
sent on a connection on which no Connection: close (or "bye") had arrived, and was not answered in
full.]]

local excuse <const> = [[
What was open in a process that is killed with -9 is lost with it: the two steps that do so are
excused, and counted by themselves.]]

local function finish()
	print(rule:format(http_clients, line_clients, counts.connects))
	if unsafe then
		print(("A plain kill: %d requests lost, %d connects refused."):format(counts.lost,
			counts.refused))
	elseif #failures == 0 then
		print(excuse)
		print(("%d answered, 0 lost, 0 refused; cut by the two kill -9: %d."):format(counts.answered,
			excused))
	else
		print(table.concat(failures, "\n") .. "\nThe logs are in " .. folder)
	end
	clean_up()
	io.stdout:flush()
	os.exit(#failures > 0 and not unsafe and 1 or 0)
end

local function start_clients()
	clients.start("http", http_port, http_clients, think)
	clients.start("lines", lines_port, line_clients, think * 5)
	play(1, finish)
end

write(config, good)
run_host()
local tries = 0
timer.add_task(0.1, function ()
	tries = tries + 1
	if read(folder .. "/run/gadwall.state"):find("state=serving", 1, true) then
		start_clients()
	elseif tries > 200 or not keeper then
		print("the host does not start:\n" .. read(folder .. "/commands") .. read(folder .. "/log"))
		clean_up()
		os.exit(1)
	else
		return 0.1
	end
end)
assert(stat.stat("contrib/demo/mod_demo.lua"), "run this in the checkout")
loop.run()
