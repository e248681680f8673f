--- The log sink "syslog": a datagram a line, as syslog(3) sends it. That one waits for a daemon
-- that does not read, and the worker with it, until the keeper ends it. Here a line waits as long
-- as a daemon that is busy needs; then lines are lost, until one is taken, which counts them.

local late <const> = require "util.late"

local fcntl <const> = late "posix.fcntl"
local socket <const> = late "posix.sys.socket"
local sys <const> = require "host.sys"

local log_syslog <const> = {}

-- Not connected: the daemon may be started anew.
local address <const> = { path = "/dev/log" }
-- Longer ones are cut: what the daemon would, or the kernel refuse (bytes).
local longest <const> = 8192

-- The kernel keeps 10 lines for the daemon (net.unix.max_dgram_qlen); so long, in such steps, the
-- next one is tried again (s).
local most_wait <const>, step <const> = 0.02, 0.001

local function open()
	local fd <const>, err = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0)
	if not fd then
		return nil, err
	end
	fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
	fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
	return fd
end

--- Opens a way to the daemon.
-- @param facility number, as of syslog.h
-- @param name word that lines begin with
-- @return { fd, facility, name, and send(priority, text), which tells whether it was taken }; nil
--   and why not
function log_syslog.open(facility, name)
	local fd <const>, err = open()
	if not fd then
		return nil, err
	end
	address.family = socket.AF_UNIX
	local pid <const> = sys.ids()
	local lost = 0

	-- Returns whether it was taken.
	local function put(priority, text)
		local line <const> = ("<%d>%s %s[%d]: %s"):format(facility | priority,
			os.date "%b %e %H:%M:%S", name, pid, text:sub(1, longest))
		local tries = lost == 0 and most_wait // step or 0
		local sent, _, errno = socket.sendto(fd, line, address)
		while not sent and errno == sys.EAGAIN and tries > 0 do
			tries = tries - 1
			sys.wait({}, step)
			sent, _, errno = socket.sendto(fd, line, address)
		end
		return sent ~= nil
	end
	local function send(priority, text)
		if lost > 0 and put(priority, ("log: %d lines before this one are lost, syslog did not take "
			.. "them"):format(lost)) then
			lost = 0
		end
		if lost > 0 or not put(priority, text) then
			lost = lost + 1
			return false
		end
		return true
	end
	return { fd = fd, facility = facility, name = name, send = send }
end

return log_syslog
