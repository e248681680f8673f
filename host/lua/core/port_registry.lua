--- Which listeners are open, and which could not be opened.

local config_outcome <const> = require "core.config_outcome"
local log <const> = require "util.logger".init("portmanager")
local multitable <const> = require "util.multitable"
local port_listener <const> = require "core.port_listener"

local port_registry <const> = {
	--- name, interface, port → { server, service, listener }; the form that Prosody's modules read
	active = multitable.new(),
}

-- In the order of opening.
local listeners <const> = {}

-- service name → list of { address, message }
local failures <const> = {}

--- An open listener, under the service that now owns it.
function port_registry.renew(listener)
	port_registry.active:set(listener.service_name, listener.interface, listener.port,
		{ server = listener.server, service = listener.service, listener = listener,
			tls_cfg = listener.tls_cfg })
end

--- A listener that has just been opened.
function port_registry.enter(listener)
	listeners[#listeners + 1] = listener
	port_registry.renew(listener)
end

--- A listener that is about to be closed.
function port_registry.forget(listener)
	for i = #listeners, 1, -1 do
		if listeners[i] == listener then
			table.remove(listeners, i)
		end
	end
	port_registry.active:remove(listener.service_name, listener.interface, listener.port)
end

--- The listener in use at an address, or nil.
function port_registry.find(interface, port)
	for _, listener in ipairs(listeners) do
		if listener.interface == interface and listener.port == port then
			return listener
		end
	end
end

--- @return service, server handle of an address; or nil, "not-found"
function port_registry.get_service_at(interface, port)
	local listener = port_registry.find(interface, port)
	if not listener then
		return nil, "not-found"
	end
	return listener.service, listener.server
end

--- The multitable name, interface, port → { server, service, listener }.
function port_registry.get_active_services()
	return port_registry.active
end

--- Open listeners, a copy.
-- @param name only of this service
-- @param service only of this provider
function port_registry.of(name, service)
	local list = {}
	for _, listener in ipairs(listeners) do
		if (not name or listener.service_name == name)
		and (not service or listener.service == service) then
			list[#list + 1] = listener
		end
	end
	return list
end

--- Shows a fault in the status of the service's module.
function port_registry.set_status(service, kind, message)
	local source = service._source
	if source and source.set_status and source.loaded ~= false then
		source:set_status(kind, message)
	end
end

--- An address could not be opened.
function port_registry.fail(service, address, message)
	local list = failures[service.name] or {}
	failures[service.name] = list
	list[#list + 1] = { address = address, message = message }
	log("error", "Failed to open %s for service '%s': %s", port_listener.show(address), service.name,
		message)
	port_registry.set_status(service, "warn", "cannot listen on " .. port_listener.show(address))
	config_outcome.note(("service %s cannot listen on %s: %s"):format(service.name,
		port_listener.show(address), message))
end

--- The service is opened anew: what failed before is forgotten.
function port_registry.clear_failures(name)
	failures[name] = nil
end

--- What could not be opened, now.
-- @return list of { service, address (text), message }
function port_registry.failures()
	local all = {}
	for name, list in pairs(failures) do
		for _, failure in ipairs(list) do
			all[#all + 1] = { service = name, address = port_listener.show(failure.address),
				message = failure.message }
		end
	end
	table.sort(all, function (a, b) return a.service .. a.address < b.service .. b.address end)
	return all
end

return port_registry
