--- Services and their listeners (Prosody's core.portmanager).
-- During the start services are only registered; open_all() binds them together, so that all
-- that fails can be named at once. While a module is reloaded its listeners are parked: open,
-- and taken over by the new instance.

local certmanager <const> = require "core.certmanager"
local config_outcome <const> = require "core.config_outcome"
local log <const> = require "util.logger".init("portmanager")
local port_address <const> = require "core.port_address"
local port_listener <const> = require "core.port_listener"
local port_registry <const> = require "core.port_registry"
local port_tls <const> = require "core.port_tls"

local portmanager <const> = {}

-- service name → list of providers, the first is in force
local services <const> = setmetatable({}, { __index = function (t, name)
	t[name] = {}
	return rawget(t, name)
end })

-- service name → { source, service, listeners }: left by a module that is being reloaded
local parked <const> = {}

-- service name → { source, service }: who provided it when its module began to reload, until
-- settle()
local before_reload <const> = {}

local opened = false

local function close_listener(listener, reason)
	port_registry.forget(listener)
	port_listener.close(listener, reason)
end

--- Opens one address of a service, unless it is open already.
-- @return the listener, or nil
local function open_address(service, address)
	local other = address.port ~= 0 and port_registry.find(address.interface, address.port)
	if other then
		port_registry.fail(service, address,
			("the service '%s' listens there"):format(other.service_name))
		return nil
	end
	local listener, err, skip = port_listener.open(service, address)
	if not listener then
		if not skip then
			port_registry.fail(service, address, err)
		end
		return nil
	end
	port_registry.enter(listener)
	return listener
end

--- The listener of a service that was opened for this address (same name), if there is one.
local function take_named(list, name)
	for i, listener in ipairs(list) do
		if listener.address.name == name then
			return table.remove(list, i)
		end
	end
end

local function shown(list)
	local texts = {}
	for _, listener in ipairs(list) do
		texts[#texts + 1] = listener.address.unix and listener.interface
			or ("[%s]:%d"):format(listener.interface, listener.port)
	end
	return #texts == 0 and "no ports" or table.concat(texts, ", ")
end

--- Brings a service's listeners in line with the config: keeps what is wanted, opens what is new.
-- @param existing listeners to use before opening any
-- @return what is left of existing
local function open_service(service, existing)
	local wanted, faults = port_address.wanted(service)
	local now = {}
	port_registry.clear_failures(service.name)
	for _, fault in ipairs(faults) do
		log("error", "Invalid value in %s of service '%s': %s", fault.option
			and ("option '%s'"):format(fault.option) or "the default ports", service.name,
			tostring(fault.value))
	end
	local no_tls = service.encryption == "ssl" and #wanted > 0 and #existing == 0
		and select(2, port_tls.context(service, wanted[1].interface, wanted[1].port))
	if no_tls then
		log("error", "Service '%s' does not listen: %s (to be without it: %sports = {})",
			service.name, no_tls, port_address.prefix(service))
		port_registry.set_status(service, "error", "no TLS: " .. no_tls)
		config_outcome.note(("service %s does not listen: %s"):format(service.name, no_tls))
		return existing
	end
	for _, address in ipairs(wanted) do
		local listener = take_named(existing, address.name)
		if listener then
			port_listener.adopt(listener, service)
			port_registry.renew(listener)
		else
			listener = open_address(service, address)
		end
		now[#now + 1] = listener
	end
	log("info", "Activated service '%s' on %s", service.name, shown(now))
	return existing
end

--- Opens the ports of a service.
-- @return true; or nil and the reason
function portmanager.activate(name)
	local service = services[name][1]
	if not service then
		return nil, "Unknown service: " .. tostring(name)
	end
	for _, listener in ipairs(open_service(service, port_registry.of(name))) do
		close_listener(listener, "not in the config")
	end
	return true
end

--- Closes the ports of a service; connections go on. An unknown service is harmless.
-- @param name of the service, or nil with a provider
-- @param service only listeners of this provider
function portmanager.deactivate(name, service)
	local list = port_registry.of(name or service and service.name, service)
	for _, listener in ipairs(list) do
		close_listener(listener, "service deactivated")
	end
	if list[1] then
		log("info", "Deactivated service '%s'", list[1].service_name)
	end
end

--- Takes over what the module's old instance left open.
local function take_parked(name, service)
	local left = parked[name]
	if not left or not service._source or left.source.name ~= service._source.name then
		return nil
	end
	parked[name] = nil
	left.remaining = open_service(service, left.listeners)
	return left
end

--- Registers a provider of a service; the first of a name is in force and is activated.
-- @param service the item of module:provides("net", …); one that cannot be opened raises
function portmanager.register_service(name, service)
	service.name = service.name or name
	local fault <const> = port_address.fault(service)
	if fault then
		error(("mod_%s: the service '%s' %s"):format(service._source and service._source.name or "?",
			tostring(name), fault), 2)
	end
	local list <const> = services[name]
	local left = take_parked(name, service)
	-- What was in force before its reload stays so, beside the same module on another host, too.
	table.insert(list, left and 1 or #list + 1, service)
	if left then
		for _, listener in ipairs(left.remaining) do
			close_listener(listener, "not in the config")
		end
	elseif opened and list[1] == service then
		portmanager.activate(name)
	end
	prosody.events.fire_event("service-added", { name = name, service = service })
	return true
end

--- Removes a provider; the next of the same name takes over.
function portmanager.unregister_service(name, service)
	local list = services[name]
	local first = list[1] == service
	for i = #list, 1, -1 do
		if list[i] == service then
			table.remove(list, i)
		end
	end
	local source = service._source
	if source and source.reloading and first then
		parked[name] = { source = source, service = service, listeners = port_registry.of(name, service) }
		before_reload[name] = before_reload[name] or parked[name]
	elseif first then
		portmanager.deactivate(nil, service)
		if list[1] and opened then
			portmanager.activate(name)
		end
	end
	prosody.events.fire_event("service-removed", { name = name, service = service })
end

--- The reload or unload of a module has ended: connections go to the provider that is now in
-- force, what nobody took over is closed.
-- @param source the old instance's api
function portmanager.settle(source)
	for name, left in pairs(before_reload) do
		if left.source.name == source.name and left.source.host == source.host then
			before_reload[name] = nil
			local now = services[name][1]
			if now and now ~= left.service then
				port_listener.move_connections(left.service, now)
			end
		end
	end
	for name, left in pairs(parked) do
		if left.source.name == source.name and left.source.host == source.host then
			parked[name] = nil
			for _, listener in ipairs(left.listeners) do
				close_listener(listener, "module no longer provides it")
			end
		end
	end
end

--- Closes one listener. Connections go on.
-- @return true; or false, "port-not-open"
function portmanager.close(interface, port)
	local listener = port_registry.find(interface, port)
	if not listener then
		return false, "port-not-open"
	end
	close_listener(listener, "closed")
	return true
end

--- Closes all listeners of a class, or of all classes.
-- @param class "client", "peer" or "admin"
-- @return how many
function portmanager.close_class(class)
	local count = 0
	for _, listener in ipairs(port_registry.of()) do
		if not class or listener.class == class then
			close_listener(listener, "stopping")
			count = count + 1
		end
	end
	return count
end

portmanager.get_service_at = port_registry.get_service_at
portmanager.get_active_services = port_registry.get_active_services

function portmanager.get_service(name)
	return services[name][1]
end

function portmanager.get_registered_services()
	return services
end

--- TLS settings of an open port.
-- @return settings; or nil, "not-found" or "no-tls"
function portmanager.get_tls_config_at(interface, port)
	local listener = port_registry.find(interface, port)
	if not listener then
		return nil, "not-found"
	end
	return listener.tls_cfg, not listener.tls_cfg and "no-tls" or nil
end

--- Reads certificates and TLS settings anew; handshakes that have begun end with the old ones.
function portmanager.renew_tls()
	certmanager.reload_ssl_config()
	for _, listener in ipairs(port_registry.of()) do
		port_tls.renew(listener)
		port_registry.renew(listener)
	end
end

--- Binds all registered services (the end of the start).
-- @return true; or nil and a list of { service, address, message }
function portmanager.open_all()
	opened = true
	for name, list in pairs(services) do
		if list[1] and #port_registry.of(name) == 0 then
			portmanager.activate(name)
		end
	end
	local all = portmanager.failures()
	if #all > 0 then
		return nil, all
	end
	return true
end

--- What could not be opened, now.
-- @return list of { service, address (text), message }
portmanager.failures = port_registry.failures

--- Applies the ports of a new config to every service; what did not change is not touched.
function portmanager.sync()
	for name, list in pairs(services) do
		local service = list[1]
		if service and opened and port_listener.differs(service, port_registry.of(name)) then
			portmanager.activate(name)
		end
	end
end

--- Services for status and console.
-- @return list of { service, module, class, vital, listeners, connections, accepted, refused }
function portmanager.list()
	local list = {}
	for name, providers in pairs(services) do
		if providers[1] then
			list[#list + 1] = port_listener.describe(name, providers[1], port_registry.of(name))
		end
	end
	table.sort(list, function (a, b) return a.service < b.service end)
	return list
end

--- Begins to follow the providers that modules add and remove.
-- @param events prosody.events
function portmanager.start(events)
	local function watch(host_events)
		host_events.add_handler("item-added/net-provider", function (event)
			event.item._source = event.source
			portmanager.register_service(event.item.name, event.item)
		end)
		host_events.add_handler("item-removed/net-provider", function (event)
			portmanager.unregister_service(event.item.name, event.item)
		end)
	end
	watch(events)
	-- A module of one host may provide a service too; before host-activated loads its modules.
	events.add_handler("host-activated", function (host)
		watch(prosody.hosts[host].events)
	end, 100)
	events.add_handler("config-reloaded", portmanager.renew_tls, -0.5) -- after the hosts
	events.add_handler("config-reloaded", portmanager.sync, -1)
end

return portmanager
