--- Datagrams: UDP listeners and clients. Prosody has no name for them; a socket here has the
-- methods of LuaSocket's UDP objects (and getfd, so that watchfd takes it) and listeners like
-- net.server's: onincoming(socket, data, ip, port), onerror(socket, error).
-- A listener is held by the keeper, so that packets wait while a worker is replaced; the accept
-- gate stops the reading, too.

local host_datagram <const> = require "host.datagram"
local host_loop <const> = require "host.loop"
local held <const> = require "net.held"

local datagram <const> = {}

local EADDRINUSE <const> = 98

-- Packets of one socket in one turn, so that a flood leaves time to others.
local batch <const> = 64

local gate_open = true
local listening <const> = setmetatable({}, { __mode = "k" })
local names <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods, __name = "udp" }

function mt:__tostring()
	return ("udp{%s}: FD %d"):format(self.name or "client", self.fd)
end

local function on_readable(self)
	for _ = 1, batch do
		if self.fd < 0 then
			return
		end
		local data, ip, port = host_datagram.receive(self.fd)
		if data then
			self.listeners.onincoming(self, data, ip, port)
		elseif ip == "timeout" then
			return
		elseif self.listeners.onerror then
			self.listeners.onerror(self, ip)
		end
	end
end

local function new(fd, listeners, name)
	local self <const> = setmetatable({ fd = fd, listeners = listeners, name = name }, mt)
	if listeners and listeners.onincoming then
		local watch, err = host_loop.watch(fd, function () on_readable(self) end)
		if not watch then
			host_datagram.close(fd)
			return nil, err
		end
		self.watch = watch
	end
	return self
end

--- Closes it for this process only: others who have it read on.
function methods:leave()
	if self.fd < 0 then
		return false
	end
	if self.watch then
		self.watch:close()
	end
	host_datagram.close(self.fd)
	self.fd = -1
	names[self.name or ""] = nil
	return true
end

--- Closes it, and lets the keeper's dup go.
function methods:close()
	local held_by = self:leave() and self.name and held.keeper()
	if held_by then
		held_by.unhold(self.name)
	end
end

function methods:getfd() return self.fd end
function methods:settimeout() return 1 end -- luacheck: ignore 212/self

--- Its own address and port.
function methods:getsockname() return host_datagram.name(self.fd, false) end
function methods:getpeername() return host_datagram.name(self.fd, true) end
function methods:ip() return (self:getsockname()) end
function methods:port() return (select(2, self:getsockname())) end

--- One packet: data, ip, port; nil, "timeout" if there is none.
function methods:receivefrom() return host_datagram.receive(self.fd) end
function methods:receive() return (host_datagram.receive(self.fd)) end

--- Sends one packet: bytes; nil, error ("timeout": the kernel's buffer is full).
function methods:sendto(data, ip, port) return host_datagram.send(self.fd, data, ip, port) end
function methods:send(data) return host_datagram.send(self.fd, data) end

--- From now on packets go to, and come from, that peer alone.
function methods:setpeername(ip, port) return host_datagram.connect(self.fd, ip, port) end

--- Stops and starts reading.
function methods:pause() return self.watch and self.watch:setflags(false) end
function methods:resume() return self.watch and self.watch:setflags(true) end

-- A name of systemd's kind that no socket of this process has.
local function make_name(addr, port)
	local stem = "udp/" .. (addr .. "/" .. port):gsub("[^%w%.%-_@*/]", function (c)
		return ("%%%02x"):format(c:byte())
	end) .. "/"
	local ordinal = 1
	while names[stem .. ordinal] do
		ordinal = ordinal + 1
	end
	return stem .. ordinal
end

--- A socket bound to an address.
-- @param addr "*", "::" or an IP literal
-- @param port number; 0 lets the system choose, see :port()
-- @param listeners onincoming(socket, data, ip, port), onerror(socket, error)
-- @return socket; or nil and bind(2)'s words
function datagram.listen(addr, port, listeners)
	local name <const> = make_name(addr, port)
	local held_by <const> = held.keeper()
	local fd = held_by and held_by.take(name)
	local err, errno
	if not fd then
		fd, err, errno = host_datagram.open(addr, port, true)
		if fd and held_by then
			held_by.hold(name, fd)
		end
	end
	fd = fd or errno == EADDRINUSE and held.from_another(name) or nil
	if not fd then
		return nil, err
	end
	local self
	self, err = new(fd, listeners, name)
	if not self then
		return nil, err
	end
	names[name] = true
	listening[self] = true
	if not gate_open then
		self:pause()
	end
	return self
end

--- A socket that talks to one peer.
-- @param listeners as for listen; or nil: read it by :receivefrom and net.server.watchfd
-- @return socket; or nil, error
function datagram.client(addr, port, listeners)
	local fd, err = host_datagram.open(addr, port, false)
	if not fd then
		return nil, err
	end
	local ok
	ok, err = host_datagram.connect(fd, addr, port)
	if not ok then
		host_datagram.close(fd)
		return nil, err
	end
	return new(fd, listeners)
end

--- Opens or shuts the gate: whether listeners read.
-- @param but optional set of held names that stay as they are
function datagram.gate(open, but)
	gate_open = open and true or false
	for socket in pairs(listening) do
		if socket.fd >= 0 and not (but and but[socket.name]) then
			socket[open and "resume" or "pause"](socket)
		end
	end
end

--- Lets go of every listener: another generation reads on.
-- @param but set of held names that stay
function datagram.let_go(but)
	for socket in pairs(listening) do
		if socket.fd >= 0 and not but[socket.name] then
			socket:leave()
		end
	end
end

return datagram
