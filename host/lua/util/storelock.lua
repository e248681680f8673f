--- One writer at a time for each file of a store, among all processes: the workers of a host, two
-- generations in an upgrade, a script of `gadwall lua`.
--
-- Who writes PATH holds a lock of the kernel's on `PATH~`, its scratch file, which goes with a
-- process that dies. When it is done, that file is renamed or removed; who has waited for it looks
-- whether what it has locked is still what bears the name.

local late <const> = require "util.late"
local sys <const> = require "host.sys"

local errno <const> = late "posix.errno"
local fcntl <const> = late "posix.fcntl"
local posix_time <const> = late "posix.time"
local unistd <const> = late "posix.unistd"

local storelock <const> = {}

-- Longest wait for another process (s), and the pauses in it. A writer has a file as long as the
-- disk takes; one that is stopped meanwhile is ended by the keeper, not waited for.
--
-- The wait holds the loop. A store of Prosody's answers before it returns, to callers that are in
-- no coroutine; and in one, whatever ran during the wait would see, or change, the half of what the
-- caller does between a get and a set. So it is bounded instead: a file that nobody has got out of
-- another's hands for so long is asked for only briefly, until it is free again.
local patience <const>, brief <const> = 2, 0.02
local pause <const> = { tv_sec = 0, tv_nsec = 500000 }

local ours <const> = {} -- path → descriptor of its scratch file, locked
local stuck <const> = {} -- scratch file → true: was waited for in vain

-- Where the file system has no locks, it goes on without one.
local function held_by_another(fd)
	local ok <const>, _, code = fcntl.fcntl(fd, fcntl.F_SETLK, { l_type = fcntl.F_WRLCK,
		l_whence = unistd.SEEK_SET, l_start = 0, l_len = 0 })
	return not ok and (code == errno.EAGAIN or code == errno.EACCES)
end

local function bears_the_name(fd, name)
	local here <const>, there <const> = sys.stat_fd(fd), sys.stat(name)
	return here and there and here.dev == there.dev and here.ino == there.ino
end

-- @return descriptor; nil without a message if another has it; nil, message, errno
local function try(scratch)
	local fd, err, code = fcntl.open(scratch, fcntl.O_RDWR | fcntl.O_CREAT | fcntl.O_CLOEXEC, 438)
	if not fd then
		return nil, err, code
	end
	if not held_by_another(fd) and bears_the_name(fd, scratch) then
		return fd
	end
	unistd.close(fd)
	return nil
end

local function wait_for(scratch)
	local deadline <const> = sys.clock() + (stuck[scratch] and brief or patience)
	while true do
		local fd, err, code = try(scratch)
		if fd or err then
			stuck[scratch] = nil
			return fd, err, code
		elseif sys.clock() > deadline then
			stuck[scratch] = true
			return nil, ("another process has been writing it for %d s"):format(patience)
		end
		posix_time.nanosleep(pause)
	end
end

--- The scratch file of `path`, while we have it.
-- @return descriptor, or nil
function storelock.scratch(path)
	return ours[path]
end

--- The scratch file has become PATH: the lock is gone, what comes now takes it anew.
function storelock.renamed(path)
	unistd.close(ours[path])
	ours[path] = nil
end

local function release(path)
	local fd <const> = ours[path]
	ours[path] = nil
	if fd then
		-- In this order: the name goes while nobody else can have the lock.
		os.remove(path .. "~")
		unistd.close(fd)
	end
end

local function released(path, ok, ...)
	release(path)
	if not ok then
		error((...), 0)
	end
	return ...
end

--- Calls fn(...) while no other process that does the same writes `path`; within it again, too. It
-- may not wait (util.async).
-- @return what fn returns, an error is passed on; nil, message, errno if the lock cannot be had
function storelock.alone(path, fn, ...)
	if ours[path] then
		return fn(...)
	end
	local fd, err, code = wait_for(path .. "~")
	if not fd then
		return nil, err, code
	end
	ours[path] = fd
	return released(path, pcall(fn, ...))
end

return storelock
