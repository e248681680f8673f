--- Listening sockets of net.server: names, the keeper's dup, the accept gate.

local host_loop <const> = require "host.loop"
local datagram <const> = require "net.datagram"
local held <const> = require "net.held"
local host_net <const> = require "host.net"
local host_sys <const> = require "host.sys"
local logger <const> = require "util.logger"
local server_tls <const> = require "net.server_tls"
local server_passed <const> = require "net.server_passed"

local server_listen <const> = {
	EINVAL = 22,
}

local EACCES <const>, EADDRINUSE <const> = 13, 98

local gate_open = true
local kept = {}         -- held names whose gates stayed as they were when the others were shut
local admin_open = true -- class admin has a gate of its own: one worker accepts it
local ordinals <const> = {} -- of names in use
local pending -- list of { fd, backlog, name }: bound, and not to listen before the commit; or nil

--- A held descriptor's name: "net/ADDR/PORT/ORDINAL", without ':' and at most 255 bytes.
-- @param addr, port as the caller wrote them
-- @return name that no listener of this process has
function server_listen.make_name(addr, port)
	local function part(text)
		return (tostring(text):gsub("[^%w%.%-_@*]", function (c)
			return ("%%%02x"):format(c:byte())
		end))
	end
	local stem = ("net/%s/%s/"):format(part(addr), part(port)):sub(1, 240)
	local ordinal = 1
	while ordinals[stem .. ordinal] do
		ordinal = ordinal + 1
	end
	return stem .. ordinal
end

--- The descriptor of a socket, ours from now on.
-- @param socket number, or object with getfd: it is closed, the socket lives on
-- @param stays true: the object is not closed
-- @return fd; or nil, error
function server_listen.take_fd(socket, stays)
	if type(socket) == "number" then
		return socket
	end
	local fd, err = host_sys.dup(socket:getfd())
	if not fd then
		return nil, err
	end
	if socket.close and not stays then
		socket:close()
	end
	return fd
end

-- @return fd; or nil, error, errno
local function bind(addr, port, config, held_by)
	local fd, err, errno = host_net.bind(addr, tonumber(port) or 0, { type = config.type })
	if errno == EACCES and held_by and config.privileged_index then
		fd, err = held_by.bind_privileged(config.privileged_index)
		errno = EADDRINUSE -- the keeper may bind it, so nothing else stands in its way
	end
	return fd, err, errno
end

-- @return fd, and true if the keeper has it already; or nil, error
local function new_socket(addr, port, name, config, held_by)
	-- port 0 is never in use: whoever is not to choose it asks first
	local fd = config.follows and tonumber(port) == 0 and held.from_another(name)
	if fd then
		return fd, true
	end
	local err, errno
	fd, err, errno = bind(addr, port, config, held_by)
	if not fd and errno == EADDRINUSE then
		fd = held.from_another(name)
		return fd, fd and true or err
	end
	return fd, err
end

-- What the keeper holds under that name, else what the service manager passed for the address.
local function inherit(held_by, name, addr, port, config)
	local fd <const> = held_by and held_by.take(name)
	if fd then
		return fd
	end
	return server_passed.take(held_by, addr, port, config.service)
end

local function serve(fd, name, listeners, config)
	ordinals[name] = true
	local handle, err = host_net.serve(fd, listeners, {
		name = name, read_size = config.read_size, read_timeout = config.read_timeout,
		class = config.class, service = config.service, module = config.module,
		gate = gate_open and config.gate ~= false and (config.class ~= "admin" or admin_open),
		unlink = config.unlink,
		on_close = function (closed)
			ordinals[name] = nil
			local held_by = held.keeper()
			if held_by and closed then
				held_by.unhold(name)
			end
		end,
	})
	if not handle then
		ordinals[name] = nil
		return nil, err
	end
	handle.created = host_loop.now()
	handle.log = logger.init("serv" .. handle:getfd())
	server_tls.serve(handle, config)
	return handle
end

-- In a generation that waits for its commit a socket that does not listen yet has to wait as well.
local function listen_now(fd, backlog, name)
	if pending then
		pending[#pending + 1] = { fd = fd, backlog = backlog, name = name }
		return true
	end
	return host_net.listen(fd, backlog)
end

--- Listens and accepts at once (unless the gate is shut).
-- @param addr "*", "::", IP literal, Unix path, "@abstract"
-- @param port number; 0 lets the system choose, see handle:serverport()
-- @param listeners table of callbacks
-- @param config optional: read_size, read_timeout, backlog, class, service, module, hold_name,
-- gate (false: shut), unlink (false: never removes its Unix path), privileged_index, follows (true:
-- port 0 is the one that another worker gets)
-- @return server handle; or nil and bind(2)'s words
function server_listen.listen(addr, port, listeners, config)
	config = config or {}
	local ready, tls_err = server_tls.check(config)
	if not ready then
		return nil, tls_err
	end
	local name = config.hold_name or server_listen.make_name(addr, port)
	local held_by = held.keeper()
	local inherited, passed = inherit(held_by, name, addr, port, config)
	local fd, known = inherited, inherited
	if not fd then
		fd, known = new_socket(addr, port, name, config, held_by)
	end
	if not fd then
		return nil, known
	end
	local ok, err = listen_now(fd, config.backlog, name)
	if not ok then
		host_net.close(fd)
		return nil, err
	end
	if held_by and not known then
		held_by.hold(name, fd)
	end
	if passed then
		return server_passed.serve(serve, fd, passed, listeners, config)
	end
	return serve(fd, name, listeners, config)
end

--- A server handle for a socket that listens already.
-- @param socket descriptor, or object with getfd (is closed, its socket lives on)
-- @return server handle; or nil, error
function server_listen.wrapserver(socket, addr, port, listeners, config)
	local fd, err = server_listen.take_fd(socket)
	if not fd then
		return nil, err
	end
	config = config or {}
	local name = config.hold_name or server_listen.make_name(addr, port)
	local held_by = held.keeper()
	if held_by then
		held_by.hold(name, fd)
	end
	return serve(fd, name, listeners, config)
end

--- Opens or shuts the accept gate of every listener, and of those to come.
-- @param open boolean
-- @param but optional set of held names whose gates stay as they are
function server_listen.gate(open, but)
	gate_open = open and true or false
	kept = not open and but or {}
	datagram.gate(gate_open, but)
	for _, handle in ipairs(host_net.servers()) do
		if not (but and but[handle:name()]) then
			handle:gate(gate_open and (admin_open or handle:class() ~= "admin"))
		end
	end
end

--- Opens or shuts the gate of class admin; a shut gate() stays shut.
function server_listen.admin_gate(open)
	admin_open = open
	for _, handle in ipairs(host_net.servers()) do
		if handle:class() == "admin" and (gate_open or kept[handle:name()]) then
			handle:gate(open)
		end
	end
end

--- A listener's gate as its class has it; called when that has changed.
-- @param handle server handle
function server_listen.gate_as_class(handle)
	if gate_open or kept[handle:name()] then
		handle:gate(admin_open or handle:class() ~= "admin")
	end
end

--- Lets go of the listeners of a class without ending them: another worker serves on.
function server_listen.leave_class(class)
	for _, handle in ipairs(host_net.servers()) do
		if handle:class() == class then
			handle:destroy()
		end
	end
end

--- Until listen_pending() gates are shut and nothing that is bound begins to listen (a generation
-- that joins an upgrade).
function server_listen.wait_for_commit()
	pending = {}
	server_listen.gate(false)
end

--- What was bound meanwhile listens.
-- @return nil; or why an address cannot
function server_listen.listen_pending()
	local list <const> = pending or {}
	pending = nil
	for _, entry in ipairs(list) do
		local ok, err = host_net.listen(entry.fd, entry.backlog)
		if not ok then
			return ("%s: %s"):format(entry.name, err)
		end
	end
end

--- Lets go of every listener without ending it: another generation serves on.
-- @param but set of held names that are ours alone; they stay as they are
function server_listen.let_go(but)
	datagram.let_go(but)
	for _, handle in ipairs(host_net.servers()) do
		if not but[handle:name()] then
			handle:destroy()
		end
	end
end

--- Every listener that is not closed.
-- @return list of server handles
server_listen.servers = host_net.servers

return server_listen
