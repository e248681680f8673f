--- Sockets that whoever started us has passed (LISTEN_FDS, as systemd does), adopted by address or
-- by name. They stay the giver's: closing a listener lets go of the socket, it is never shut down
-- and its path never removed, so that what waits in it waits for the next who serves it.

local host_sys <const> = require "host.sys"
local net <const> = require "util.net"

local server_passed <const> = {}

-- What this process has adopted, by the keeper's name: { fd = a dup that outlives the listeners,
-- address =, port = }.
local adopted <const> = {}

-- One spelling for each address; "*" is all of IPv4.
local function normal(address)
	local binary = net.pton(address == "*" and "0.0.0.0" or address)
	return binary and net.ntop(binary) or address
end

local function is_same(held, address, port)
	if address:find("^[/@]") then
		return held.type == "unix" and held.address == address
	end
	return held.type == "tcp" and port ~= 0 and held.port == port and held.address
		and normal(held.address) == normal(address)
end

local function is_named(held, service)
	return service and held.type ~= "udp" and held.name:gsub("/%d+$", "") == service
end

local function find(list, address, port, service)
	for _, held in ipairs(list) do
		if not held.claimed and is_same(held, address, port) then
			return held
		end
	end
	for _, held in ipairs(list) do
		if not held.claimed and not held.kept and is_named(held, service) then
			return held
		end
	end
end

-- One that this process has had before: its listener was closed since.
local function find_again(address, port, service)
	for name, had in pairs(adopted) do
		if not had.open and had.address == address and had.port == port
			and had.service == service then
			return name, had
		end
	end
end

--- A passed socket for an address, or one named as the service.
-- @param held_by host.keeper, or nil
-- @return fd and the keeper's name for it; or nil
function server_passed.take(held_by, address, port, service)
	port = tonumber(port) or 0
	local name, had = find_again(address, port, service)
	if had then
		return host_sys.dup(had.fd), name
	end
	local held = held_by and held_by.held and find(held_by.held(), address, port, service)
	local fd = held and held_by.take(held.name)
	if not fd then
		return nil
	end
	adopted[held.name] = { fd = host_sys.dup(fd), address = address, port = port,
		service = service }
	return fd, held.name
end

--- Serves it.
-- @param serve fn(fd, name, listeners, config) of net.server_listen
-- @return server handle; or nil, error
function server_passed.serve(serve, fd, name, listeners, config)
	local own <const> = setmetatable({ unlink = false }, { __index = config })
	local handle, err = serve(fd, name, listeners, own)
	if not handle then
		return nil, err
	end
	local had <const> = adopted[name]
	had.open = true
	local function leave(self)
		had.open = false
		self:destroy()
	end
	handle.close, handle.close_now = leave, leave
	handle.close_gracefully = function (self, done)
		leave(self)
		if done then
			done(self)
		end
	end
	return handle
end

return server_passed
