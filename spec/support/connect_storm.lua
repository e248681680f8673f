-- Run as a program: connect_storm.lua PORT SECONDS: connects, sends a line, reads the answer,
-- as fast as it can.
-- Prints: number answered, number refused at connect, number lost (reset or closed without an
-- answer).

package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath
local errno <const> = require "posix.errno"
local socket <const> = require "posix.sys.socket"
local posix_time <const> = require "posix.time"
local unistd <const> = require "posix.unistd"

local port <const>, seconds <const> = tonumber(arg[1]), tonumber(arg[2])
local timeout <const> = { tv_sec = 5, tv_usec = 0 }

local function now()
	local t = posix_time.clock_gettime(posix_time.CLOCK_MONOTONIC)
	return t.tv_sec + t.tv_nsec / 1e9
end

local function try()
	local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
	socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout.tv_sec, timeout.tv_usec)
	socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_SNDTIMEO, 1, 0)
	local ok, _, code = socket.connect(fd,
		{ family = socket.AF_INET, addr = "127.0.0.1", port = port })
	local outcome = "answered"
	if not ok then
		local gone = code == errno.ECONNREFUSED or code == errno.EINPROGRESS or
			code == errno.EAGAIN or code == errno.ETIMEDOUT
		outcome = gone and "refused" or "lost"
	else
		socket.send(fd, "x\n")
		if socket.recv(fd, 10) ~= "x\n" then outcome = "lost" end
	end
	unistd.close(fd)
	return outcome
end

local count <const> = { answered = 0, refused = 0, lost = 0 }
local deadline <const> = now() + seconds
repeat
	local outcome = try()
	count[outcome] = count[outcome] + 1
until outcome == "refused" or now() > deadline
print(count.answered, count.refused, count.lost)
