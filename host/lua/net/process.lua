--- Child processes: started with the descriptors 0, 1, 2 and the variables that are named, in a
-- group of their own, watched by pidfd.
--
--   running ── exits ──> ended                       event process-exited, wait() resolves
--      │                   ^
--      └─ stop(), the host's end ─> TERM to the group ─ the last of it is gone, or KILL ┘
--
-- A child that survives (`survive = true`) outlives a host that finishes; it stands in a file of
-- `runtime_path`/children, and its successor takes it over by name: adopt().

local host_process <const> = require "host.process"
local log <const> = require "util.logger".init("process")
local loop <const> = require "host.loop"
local options <const> = require "core.lifecycle_options"
local promise <const> = require "util.promise"
local registry <const> = require "net.process_registry"
local signal <const> = require "util.signal"
local stdio <const> = require "net.process_stdio"
local sys <const> = require "host.sys"
local timer <const> = require "util.timer"

local process <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods, __name = "process" }

-- Children of one worker; the keeper has room for this many of all workers.
local most <const> = 1000
-- How often a group is looked at whose leader has ended: nobody tells of the others (s).
local group_look <const> = 0.1

local living <const> = {} -- id → process
local leaderless <const> = {} -- processes that have ended before the rest of their group
local count, last_id = 0, 0

function mt:__tostring()
	return ("process{%s, pid %s, %s}"):format(self.name, self.pid, self.ended and "ended" or "running")
end

local function keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and type(found) == "table" and found.child and found or nil
end

local function kill_timeout()
	return options.period("process_kill_timeout", 10)
end

-- The end -----------------------------------------------------------------------------------------

local function tell_exit(self, how)
	if self.resolve then
		self.resolve(how)
	end
	if self.onexit then
		local ok, err = xpcall(self.onexit, debug.traceback, self, how)
		if not ok then
			log("error", "onexit of %s: %s", self.name, err)
		end
	end
	prosody.events.fire_event("process-exited",
		{ module = self.module, name = self.name, exit = how.exit, signal = how.signal })
end

local function ended(self, how)
	if self.ended then
		return
	end
	self.ended = how
	living[self.id], count = nil, count - 1
	self.watch:close()
	sys.close(self.pidfd)
	if self.kill_timer then
		timer.stop(self.kill_timer)
	end
	if keeper() then
		keeper().child_ended(self.id)
	end
	if self.survive then
		registry.remove(self)
	end
	log(how.exit == 0 and "debug" or "info", "%s (pid %d) has ended: %s", self.name, self.pid,
		how.exit and "exit status " .. how.exit or how.signal and "signal " .. how.signal
		or "nobody knows how")
	tell_exit(self, how)
end

-- Takes the child's status; with it its number is given back.
local function reap(self)
	local how, code = host_process.ended(self.pidfd, true)
	ended(self, how == "exited" and { exit = code } or how == "killed" and { signal = code } or {})
end

-- One look at all processes serves all groups that are waited for.
local function look_at_groups()
	local groups <const> = {}
	for self in pairs(leaderless) do
		groups[self.pid] = false
	end
	host_process.mark_groups(groups)
	for self in pairs(leaderless) do
		if self.killed or not groups[self.pid] then
			leaderless[self] = nil
			reap(self)
		end
	end
	return next(leaderless) and group_look or nil
end

-- The leader is kept unreaped until its group is empty: until then the number is nobody else's.
local function on_exit(self)
	if not self.stopping or self.adopted or self.killed then
		return reap(self)
	end
	self.watch:setflags(false, false)
	if not next(leaderless) then
		timer.add_task(0, look_at_groups)
	end
	leaderless[self] = true
end

-- Signalling --------------------------------------------------------------------------------------

local function number_of(name)
	local number = name == nil and signal.SIGTERM or name
	if type(name) == "string" then
		number = signal[name:upper()] or signal["SIG" .. name:upper()]
	end
	if math.type(number) ~= "integer" then
		error(("net.process: no signal is called %s"):format(tostring(name)), 3)
	end
	return number
end

--- Sends a signal.
-- @param sig number or name ("TERM" is the default, "SIGKILL", …)
-- @param group true: to its whole group
-- @return true; or nil, "ended" or the system's words
function methods:kill(sig, group)
	local number <const> = number_of(sig)
	if self.ended then
		return nil, "ended"
	end
	return host_process.kill(self.pidfd, number, group and not self.adopted and self.pid or nil)
end

-- SIGKILL to all of it, now.
local function kill_group(self)
	self.killed = true
	self:kill(signal.SIGKILL, true)
end

--- Ends it: TERM to its group, and KILL to what is left after a while.
-- @param seconds until KILL, default process_kill_timeout
-- @return promise as of wait()
function methods:stop(seconds)
	if not self.ended and not self.stopping then
		self.stopping = true
		self:kill(signal.SIGTERM, true)
		local limit <const> = seconds or kill_timeout()
		if limit < math.huge then
			self.kill_timer = timer.add_task(limit, function ()
				log("warn", "%s (pid %d) is left %g s after SIGTERM: SIGKILL", self.name, self.pid,
					limit)
				self.kill_timer = nil
				kill_group(self)
			end)
		end
	end
	return self.promise
end

--- The end as a promise.
-- @return promise of { exit = status } or { signal = number }; of {} for an adopted one
function methods:wait()
	return self.promise
end

-- The begin ---------------------------------------------------------------------------------------

local function register(self)
	if keeper() then
		keeper().child(self.id, self.pidfd, self.survive)
	end
end

local function manage(self)
	last_id = last_id + 1
	self.id, count = last_id, count + 1
	living[self.id] = self
	self.promise = promise.new(function (resolve)
		self.resolve = resolve
		if self.ended then
			resolve(self.ended)
		end
	end)
	self.watch = loop.watch(self.pidfd, function () on_exit(self) end)
	register(self)
	return self
end

-- Ours are about us: a child that read them would take itself for the host.
local function is_ours(name)
	return name:find("^GADWALL_") or name:find("^LISTEN_") or name:find("^NOTIFY_")
end

local function environment(wanted)
	local list <const> = {}
	for name, value in pairs(wanted or {}) do
		if type(name) ~= "string" or name == "" or name:find("=", 1, true) or is_ours(name) then
			error(("net.process: env: a child may not have a variable '%s'"):format(tostring(name)), 0)
		end
		if value == true then
			value = os.getenv(name)
		end
		if value then
			list[#list + 1] = ("%s=%s"):format(name, tostring(value))
		end
	end
	table.sort(list)
	return list
end

local function user_ids(opts)
	if opts.user == nil then
		return nil
	end
	local settings <const> = require "core.settings"
	local uid, gid, name = settings.user_ids(opts.user)
	if not uid then
		return nil, ("there is no user '%s'"):format(tostring(opts.user))
	end
	return uid, gid, settings.groups_of(name)
end

local function check_argv(opts)
	if type(opts) ~= "table" or type(opts.argv) ~= "table" or type(opts.argv[1]) ~= "string"
		or opts.argv[1] == "" then
		error("net.process: argv is a list of strings, the program first", 0)
	end
end

-- Why a child that is to survive would not; nil if it would.
local function bound(opts, streams, name)
	if not opts.survive then
		return nil
	end
	local stream <const> = stdio.bound(streams)
	if stream then
		return ("%s ends with this host; a child that survives has files, Unix sockets or "
			.. "/dev/null"):format(stream)
	end
	local other <const> = registry.find(name)
	if other then
		sys.close(other.pidfd)
	end
	return other and ("a child of this name lives, pid %d: adopt it"):format(other.pid)
end

local function start(opts, streams)
	local uid, gid, groups = user_ids(opts)
	if opts.user and not uid then
		return nil, gid
	end
	local argv <const> = table.move(opts.argv, 1, #opts.argv, 1, {})
	local path <const> = type((opts.env or {}).PATH) == "string" and opts.env.PATH
		or os.getenv("PATH") or "/usr/local/bin:/usr/bin:/bin"
	local pid, pidfd, errno, step = host_process.spawn {
		argv = argv, env = environment(opts.env), path = path, cwd = opts.cwd, fds = streams.fds,
		uid = uid, gid = gid, groups = groups,
	}
	if not pid then
		return nil, step == "exec" and pidfd or ("%s: %s"):format(step, pidfd), errno
	end
	return pid, pidfd
end

-- A caller that returns what spawn() returns is not on the stack any more: then it says itself who
-- it is.
local function owner(opts)
	local named <const> = opts.module
	if named then
		return type(named) == "table" and named.name or named
	end
	local holds <const> = require "core.holds"
	return holds.calling_module(2) or opts.onexit and holds.module_of(opts.onexit) or nil
end

--- Starts a program.
-- @param opts table: argv (list), env (name → value; true: as ours; default none), cwd, stdin,
--   stdout, stderr ("null", the default; "pipe"; a table of listeners; "inherit"; "log"; "/path";
--   a descriptor; stderr also "stdout"), user, survive, name (default argv[1] without its
--   folders), module (whose it is: its api table or name; default the caller), onexit(process,
--   { exit, signal })
-- @return process: pid, name, module, stdin, stdout, stderr (handles of net.server where they are
--   pipes); or nil, "argv[1]: why", errno
function process.spawn(opts)
	check_argv(opts)
	local name <const> = opts.name or opts.argv[1]:match("[^/]+$") or opts.argv[1]
	local function refuse(why, errno)
		return nil, ("%s: %s"):format(opts.argv[1], tostring(why)), errno
	end
	if count >= most then
		return refuse(("there are %d children already"):format(count))
	end
	local streams, err, errno = stdio.open(opts, name)
	if not streams then
		return refuse(err, errno)
	end
	local why <const> = bound(opts, streams, name)
	local ok, pid, pidfd, number = true, nil, why, nil
	if not why then
		ok, pid, pidfd, number = pcall(start, opts, streams)
	end
	if not ok or not pid then
		stdio.close(streams)
		if not ok then
			error(pid, 0)
		end
		return refuse(pidfd, number)
	end
	local self <const> = manage(setmetatable({
		pid = pid, pidfd = pidfd, name = name, survive = opts.survive or false,
		onexit = opts.onexit, module = owner(opts),
	}, mt))
	stdio.attach(streams, self)
	if self.survive then
		registry.add(self)
	end
	log("debug", "%s started, pid %d", name, pid)
	return self
end

--- Takes over a child that survived the process which started it, or finds one of our own.
-- @param name of the child
-- @param folder optional: the `runtime_path` of another host, default ours
-- @return process without handles; or nil, "not-running"
function process.adopt(name, folder)
	for _, self in pairs(living) do
		if self.name == name and self.survive then
			return self
		end
	end
	local found <const> = registry.find(name, folder)
	if not found then
		return nil, "not-running"
	end
	local self <const> = manage(setmetatable({
		pid = found.pid, pidfd = found.pidfd, name = name, survive = true, adopted = true,
		module = require "core.holds".calling_module(1),
	}, mt))
	registry.add(self)
	log("info", "%s, pid %d, goes on under this process", name, found.pid)
	return self
end

--- All children of this worker that live.
-- @param module optional: of this module only
-- @return list of processes, the oldest first
function process.list(module)
	local list <const> = {}
	for _, self in pairs(living) do
		if not module or self.module == module then
			list[#list + 1] = self
		end
	end
	table.sort(list, function (a, b) return a.id < b.id end)
	return list
end

--- For a keeper that has just taken this worker over: it holds all children that live.
function process.register_all()
	for _, self in ipairs(process.list()) do
		register(self)
	end
end

--- For the host's end: KILL to the groups of these, without waiting.
function process.kill_now(list)
	for _, self in ipairs(list) do
		if not self.ended then
			kill_group(self)
		end
	end
end

--- For the host's end: seconds from TERM to KILL.
process.kill_timeout = kill_timeout

return process
