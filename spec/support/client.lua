--- Blocking test clients with a timeout on everything, over TCP and Unix sockets.

local errno <const> = require "posix.errno"
local fcntl <const> = require "posix.fcntl"
local poll <const> = require "posix.poll"
local socket <const> = require "posix.sys.socket"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local client <const> = {}
local methods <const> = {}
local mt <const> = { __index = methods }

-- Strong: one that a spec has dropped is closed by close_all, not at some collection later.
local open_clients <const> = {}

local function ready(fd, events, deadline)
	local left = math.ceil((deadline - wait.now()) * 1000)
	local fds = { [fd] = { events = events } }
	if left < 0 then left = 0 end
	local n = poll.poll(fds, left)
	return n and n > 0
end

local function wrap(fd)
	fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
	fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | fcntl.O_NONBLOCK)
	local self = setmetatable({ fd = fd, buffer = "", timeout = 5, eof = false }, mt)
	open_clients[self] = true
	return self
end

local function finish_connect(self, address, timeout)
	local ok, err, code = socket.connect(self.fd, address)
	if not ok and code == errno.EINPROGRESS then
		if not ready(self.fd, { OUT = true }, wait.now() + timeout) then
			self:close()
			return nil, "timeout"
		end
		code = socket.getsockopt(self.fd, socket.SOL_SOCKET, socket.SO_ERROR)
		ok, err = code == 0, errno.errno(code)
	end
	if ok then return self end
	self:close()
	return nil, (err:gsub("^[^:]*: ", "")), code
end

--- Connects over TCP.
---@param host string literal address
---@param port integer
---@param timeout number|nil seconds, default 5; also the default of every later call
---@return table|nil client
---@return string|nil error strerror's text or "timeout"
---@return integer|nil errno
function client.tcp(host, port, timeout)
	local family = host:find(":", 1, true) and socket.AF_INET6 or socket.AF_INET
	local fd = assert(socket.socket(family, socket.SOCK_STREAM, 0))
	local self = wrap(fd)
	self.timeout = timeout or 5
	return finish_connect(self, { family = family, addr = host, port = port }, self.timeout)
end

--- Connects to a Unix socket; a leading "@" means the abstract name space.
---@return table|nil client
---@return string|nil error
---@return integer|nil errno
function client.unix(path, timeout)
	local fd = assert(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0))
	local self = wrap(fd)
	self.timeout = timeout or 5
	local address = { family = socket.AF_UNIX, path = (path:gsub("^@", "\0")) }
	return finish_connect(self, address, self.timeout)
end

--- Sends all of `data`.
---@return boolean|nil true, or nil and the error ("timeout", "Broken pipe", …)
function methods:send(data, timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	local from = 1
	while from <= #data do
		local sent, err, code = socket.send(self.fd, data:sub(from, from + 65535))
		if sent then
			from = from + sent
		elseif code ~= errno.EAGAIN and code ~= errno.EINTR then
			return nil, err, code
		elseif not ready(self.fd, { OUT = true }, deadline) then
			return nil, "timeout"
		end
	end
	return true
end

-- One receive into the buffer: true, or nil and "closed", "timeout" or the socket's error.
local function fill(self, deadline)
	while true do
		local data, err, code = socket.recv(self.fd, 65536)
		if data == "" then
			self.eof = true
			return nil, "closed"
		elseif data then
			self.buffer = self.buffer .. data
			return true
		elseif code ~= errno.EAGAIN and code ~= errno.EINTR then
			self.eof = true
			return nil, err:lower(), code
		elseif not ready(self.fd, { IN = true }, deadline) then
			return nil, "timeout"
		end
	end
end

--- Reads one line, without its line end.
---@return string|nil line
---@return string|nil error "closed", "timeout" or the socket's error
---@return string|nil partial what had arrived
function methods:line(timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	while true do
		local line, rest = self.buffer:match("^([^\n]*)\n(.*)$")
		if line then
			self.buffer = rest
			return (line:gsub("\r$", ""))
		end
		local ok, err = fill(self, deadline)
		if not ok then return nil, err, self.buffer end
	end
end

--- Reads exactly `count` bytes.
function methods:read(count, timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	while #self.buffer < count do
		local ok, err = fill(self, deadline)
		if not ok then return nil, err, self.buffer end
	end
	local data = self.buffer:sub(1, count)
	self.buffer = self.buffer:sub(count + 1)
	return data
end

--- Reads up to the end of the stream.
---@return string|nil everything, or nil, error, partial when the end does not come
function methods:read_all(timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	while true do
		local ok, err = fill(self, deadline)
		if not ok and err ~= "closed" then return nil, err, self.buffer end
		if not ok then
			local data = self.buffer
			self.buffer = ""
			return data
		end
	end
end

--- Reads lines until one matches; raises if none does.
---@param pattern string Lua pattern
---@return string line
function methods:expect(pattern, timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	local seen = {}
	while true do
		local line, err, partial = self:line(deadline - wait.now())
		if not line then
			error(("expected a line like %q, got %s after: %s%s"):format(pattern, err,
				table.concat(seen, " / "), partial or ""), 2)
		end
		if line:find(pattern) then return line end
		seen[#seen + 1] = line
	end
end

--- True when the peer has closed (waits up to `timeout`); what it still sent is kept for reading.
function methods:closed(timeout)
	local deadline = wait.now() + (timeout or self.timeout)
	while not self.eof do
		local ok, err = fill(self, deadline)
		if not ok and err == "timeout" then return false end
	end
	return true
end

--- Half-close: no more will be sent.
function methods:shutdown()
	return socket.shutdown(self.fd, socket.SHUT_WR)
end

--- Closes with a reset (SO_LINGER 0).
function methods:reset()
	socket.setsockopt(self.fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0)
	self:close()
end

--- Closes; idempotent.
function methods:close()
	if not self.fd then return end
	unistd.close(self.fd)
	self.fd = nil
	open_clients[self] = nil
end

mt.__close = methods.close

--- Closes every client that a spec left open.
function client.close_all()
	for self in pairs(open_clients) do self:close() end
end

--- A TCP port that was free a moment ago; for configs that need a number before the start.
---@return integer port
function client.free_port()
	local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
	assert(socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
	local port = assert(socket.getsockname(fd)).port
	unistd.close(fd)
	return port
end

return client
