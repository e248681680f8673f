--- A service manager's socket: the newest STATUS that a daemon has sent to it.

local poll <const> = require "posix.poll"
local process <const> = require "spec.support.process"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"

local notify_socket <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }

--- Opens one; `path` is for NOTIFY_SOCKET.
function notify_socket.open()
	local self = setmetatable({ dir = process.temp_dir(), last = "" }, mt)
	self.path = self.dir .. "/notify"
	self.fd = assert(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM, 0))
	assert(socket.bind(self.fd, { family = socket.AF_UNIX, path = self.path }))
	return self
end

--- The text of the newest STATUS, "" if there was none.
function methods:status()
	while poll.rpoll(self.fd, 0) == 1 do
		self.last = socket.recv(self.fd, 4096):match("STATUS=([^\n]*)") or self.last
	end
	return self.last
end

function methods:close()
	unistd.close(self.fd)
	process.remove_tree(self.dir)
end

return notify_socket
