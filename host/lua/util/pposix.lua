--- Prosody's util.pposix (C there), over luaposix. What changes the process itself is the keeper's
-- and refused here.

local host_sys <const> = require "host.sys"
local late <const> = require "util.late"

local stat <const> = late "posix.sys.stat"
local resource <const> = late "posix.sys.resource"
local stdlib <const> = late "posix.stdlib"
local stdio <const> = late "posix.stdio"
local syslog <const> = late "posix.syslog"
local unistd <const> = late "posix.unistd"
local utsname <const> = late "posix.sys.utsname"

local pposix <const> = { _NAME = "pposix", _VERSION = "0.4.0", ENOENT = 2 }

-- The process --

function pposix.getpid() return unistd.getpid() end
function pposix.getuid() return unistd.getuid() end
function pposix.getgid() return unistd.getgid() end

local function refused(what)
	return function ()
		return nil, what .. " is the keeper's: see gadwall(8)"
	end
end

for _, name in ipairs { "daemonize", "setuid", "setgid", "initgroups" } do
	pposix[name] = refused(name)
end

--- Ends the process with SIGABRT.
function pposix.abort()
	stdlib.abort()
end

--- @param value string; nil removes the variable
function pposix.setenv(name, value)
	stdlib.setenv(name, value)
	return true
end

--- The parts of uname(2).
function pposix.uname()
	return utsname.uname()
end

--- Sets the mask, an octal string; returns the one before as such.
function pposix.umask(mask)
	local bits = assert(tonumber(mask, 8), "an octal number is wanted")
	return ("%03o"):format(stat.umask(bits))
end

--- Bytes of memory: allocated, used, unused; what is not known apart is 0.
function pposix.meminfo()
	local bytes = host_sys.rss() or 0
	return { allocated = bytes, allocated_mmap = 0, used = bytes, unused = 0, returnable = 0 }
end

-- Limits --

local function limit_number(name)
	return type(name) == "string" and resource["RLIMIT_" .. name:upper()] or nil
end

local function shown(value)
	return value == resource.RLIM_INFINITY and "unlimited" or value
end

--- @return true, soft, hard (numbers or "unlimited"); false, "invalid-resource"
function pposix.getrlimit(name)
	local number = limit_number(name)
	if not number then
		return false, "invalid-resource"
	end
	local limits = resource.getrlimit(number)
	return true, shown(limits.rlim_cur), shown(limits.rlim_max)
end

local function wanted(value, now)
	if value == "unlimited" then
		return resource.RLIM_INFINITY
	end
	return math.tointeger(tonumber(value)) or now
end

--- nil leaves a limit as it is.
-- @return true; false, error
function pposix.setrlimit(name, soft, hard)
	local number = limit_number(name)
	if not number then
		return false, "invalid-resource"
	end
	local now = resource.getrlimit(number)
	local ok, err = resource.setrlimit(number, { rlim_cur = wanted(soft, now.rlim_cur),
		rlim_max = wanted(hard, now.rlim_max) })
	if not ok then
		return false, err
	end
	return true
end

-- Files --

--- @param file Lua file, or descriptor
function pposix.isatty(file)
	return unistd.isatty(type(file) == "number" and file or stdio.fileno(file)) == 1
end

--- @param mode octal string (default "0755")
-- @return true; or nil, error
function pposix.mkdir(path, mode)
	local ok, err, errno = stat.mkdir(path, tonumber(mode or "0755", 8))
	if not ok then
		return nil, err, errno
	end
	return true
end

--- Appends all of `data` to a file or, if that fails (a full disk), none of it.
-- @param file Lua file, opened for appending
-- @return true; or nil, error, errno
function pposix.atomic_append(file, data)
	local before, err, errno = file:seek "end"
	if not before then
		return nil, err, errno
	end
	local ok
	ok, err, errno = file:write(data)
	if ok then
		ok, err, errno = file:flush()
	end
	if not ok then
		unistd.ftruncate(stdio.fileno(file), before)
		return nil, err, errno
	end
	return true
end

-- Syslog --

local facilities <const> = {}
for _, name in ipairs { "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news",
	"syslog", "user", "uucp", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
	"local7" } do
	facilities[name] = "LOG_" .. name:upper()
end

local levels <const> = { debug = "LOG_DEBUG", info = "LOG_INFO", notice = "LOG_NOTICE",
	warn = "LOG_WARNING", error = "LOG_ERR" }

--- @param facility "daemon" (default), "user", "local0", …
function pposix.syslog_open(identity, facility)
	local name = facilities[facility or "daemon"]
	if not name then
		error("bad argument #2 to 'syslog_open' (invalid facility)", 2)
	end
	syslog.openlog(identity, syslog.LOG_PID, syslog[name])
end

--- syslog_log(level, message) or, with a source, syslog_log(level, source, message).
function pposix.syslog_log(level, source, message)
	syslog.syslog(syslog[levels[level] or "LOG_NOTICE"],
		message and ("%s: %s"):format(source, message) or source)
end

--- Nothing below this level goes out any more.
function pposix.syslog_setminlevel(level)
	syslog.setlogmask((1 << (syslog[levels[level] or "LOG_DEBUG"] + 1)) - 1)
end

function pposix.syslog_close()
	syslog.closelog()
end

return pposix
