--- One listener of a service: opening, handing to a new instance of the module, closing,
-- describing.

local config <const> = require "core.configmanager"
local log <const> = require "util.logger".init("portmanager")
local peers <const> = require "core.peers"
local port_address <const> = require "core.port_address"
local port_bind <const> = require "core.port_bind"
local port_tls <const> = require "core.port_tls"
local server <const> = require "net.server"
local server_listen <const> = require "net.server_listen"

local port_listener <const> = {}

--- "127.0.0.1 port 7007", or the path.
function port_listener.show(address)
	if address.unix then
		return address.interface
	end
	return ("%s port %s"):format(address.interface, tostring(address.written))
end

local function settings(service, address, class)
	local listener = service.listener or {}
	return {
		class = class, service = service.name, hold_name = address.name,
		module = service._source and service._source.name,
		privileged_index = port_bind.privileged_index(address), follows = not peers.is_speaker(),
		read_size = listener.default_mode or config.get("*", "network_default_read_size") or 4096,
	}
end

--- Opens an address of a service and begins to accept; the keeper's socket of that name comes
-- first.
-- @return the listener; or nil, message, and true if it is no fault (no IPv6 here)
function port_listener.open(service, address)
	local class = port_address.class(service)
	local inherited = port_bind.is_held(address)
	local opts = settings(service, address, class)
	local ready, tls_err = port_tls.settings(service, address, opts)
	if not ready then
		return nil, "no TLS: " .. tls_err
	end
	local handle, err = server.listen(address.interface, address.port, service.listener, opts)
	if not handle then
		err = tostring(err)
		if port_bind.is_missing_family(address, err) then
			log("debug", "%s: %s, left out", port_listener.show(address), err)
			return nil, err, true
		end
		return nil, port_bind.explain(service, address, err)
	end
	local listener = {
		service_name = service.name, service = service, address = address, server = handle,
		interface = address.interface, class = class, inherited = inherited, tls_cfg = opts.tls_cfg,
		port = address.unix and 0 or tonumber(handle:serverport()) or address.port,
	}
	log("debug", "Added listening service %s to [%s]:%d%s", service.name, listener.interface,
		listener.port, inherited and " (inherited)" or "")
	prosody.events.fire_event("listener-opened", { service = service.name,
		interface = listener.interface, port = listener.port, class = class, inherited = inherited })
	return listener
end

--- Gives a listener to a new provider: what is accepted from now on is its.
function port_listener.adopt(listener, service)
	if listener.service ~= service then
		listener.service = service
		listener.server:setlistener(service.listener)
	end
	local class = port_address.class(service)
	if class ~= listener.class then
		listener.class = class
		listener.server:setclass(class)
		server_listen.gate_as_class(listener.server)
	end
end

--- Gives the connections of an old provider's listener table to the new one.
-- @param old, service providers; the new module's `keep_connections = false` leaves them where
--   they are
function port_listener.move_connections(old, service)
	local source = service._source
	if old.listener == service.listener or source and rawget(source, "keep_connections") == false then
		return
	end
	for _, conn in ipairs(server.handles()) do
		if conn.listeners == old.listener and conn:server() ~= conn then
			conn:setlistener(service.listener)
		end
	end
end

--- Closes a listener in the order that loses no connection; the keeper lets it go.
function port_listener.close(listener, reason)
	listener.server:close()
	log("debug", "Removed listening service %s from [%s]:%d (%s)", listener.service_name,
		listener.interface, listener.port, reason or "closed")
	prosody.events.fire_event("listener-closed", { service = listener.service_name,
		interface = listener.interface, port = listener.port, class = listener.class,
		inherited = listener.inherited })
end

--- Whether the config now wants other addresses, or another class, than the open ones.
function port_listener.differs(service, list)
	local open = {}
	for _, listener in ipairs(list) do
		open[listener.address.name] = true
		if listener.class ~= port_address.class(service) then
			return true
		end
	end
	for _, address in ipairs((port_address.wanted(service))) do
		if not open[address.name] then
			return true
		end
		open[address.name] = nil
	end
	return next(open) ~= nil
end

--- A service with its listeners and counts (`services` of `status --json`).
function port_listener.describe(name, service, list)
	local total = { connections = 0, accepted = 0, refused = 0 }
	local listeners = {}
	for i, listener in ipairs(list) do
		local counts = listener.server:stats()
		for key in pairs(total) do
			total[key] = total[key] + (counts[key] or 0)
		end
		listeners[i] = {
			address = listener.interface, port = listener.port, encryption = service.encryption,
			type = listener.address.unix and "unix" or "tcp", open = true,
			inherited = listener.inherited,
		}
	end
	return {
		service = name, module = service._source and service._source.name or service._provided_by,
		class = port_address.class(service), vital = service.vital or false, listeners = listeners,
		connections = total.connections, accepted = total.accepted, refused = total.refused,
	}
end

return port_listener
