-- Run as a program: accept_loop.lua PORT STOP_FILE MAX: connects, sends a line, reads the answer,
-- until STOP_FILE exists or MAX connects were made. Every other connection ends by a reset.
-- Prints: answered refused reset eof timeout other

package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath
local errno <const> = require "posix.errno"
local socket <const> = require "posix.sys.socket"
local stat <const> = require "posix.sys.stat"
local unistd <const> = require "posix.unistd"

local port <const>, stop_file <const>, most <const> = tonumber(arg[1]), arg[2], tonumber(arg[3])
local address <const> = { family = socket.AF_INET, addr = "127.0.0.1", port = port }

local names <const> = {
	[errno.ECONNREFUSED] = "refused", [errno.ECONNRESET] = "reset", [errno.EPIPE] = "reset",
	[errno.EAGAIN] = "timeout", [errno.EINPROGRESS] = "timeout", [errno.ETIMEDOUT] = "timeout",
}

local function exchange(fd)
	local ok, _, code = socket.connect(fd, address)
	if not ok then return names[code] or "other" end
	ok, _, code = socket.send(fd, "x\n")
	if not ok then return names[code] or "other" end
	local data, _, why = socket.recv(fd, 64)
	if not data then return names[why] or "other" end
	return data == "" and "eof" or "answered"
end

local function try(hard)
	local fd <const> = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
	socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, 10, 0)
	socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_SNDTIMEO, 10, 0)
	local outcome <const> = exchange(fd)
	if hard then socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0) end
	unistd.close(fd)
	return outcome
end

local count <const> = { answered = 0, refused = 0, reset = 0, eof = 0, timeout = 0, other = 0 }
for number = 1, most do
	local outcome <const> = try(number % 2 == 0)
	count[outcome] = count[outcome] + 1
	if number % 16 == 0 and stat.stat(stop_file) then break end
end
print(count.answered, count.refused, count.reset, count.eof, count.timeout, count.other)
