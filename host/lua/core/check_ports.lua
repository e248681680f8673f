--- Ports: numbers in range, addresses that are addresses, nothing twice, and a bind test.

local config <const> = require "core.configmanager"
local port_address <const> = require "core.port_address"
local port_bind <const> = require "core.port_bind"
local port_owner <const> = require "core.port_owner"

local check_ports <const> = {}

local function is_address(text)
	if type(text) ~= "string" then
		return false
	elseif text == "*" or text == "::" or port_address.is_unix(text) then
		return true
	elseif text:find(":", 1, true) then
		return text:find("^[%x:%.%%%w]+$") ~= nil and select(2, text:gsub("::", "")) <= 1
	end
	local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
	for _, part in ipairs(parts) do
		if tonumber(part) > 255 then
			return false
		end
	end
	return #parts == 4
end

local function check_interfaces(report, host, name)
	local value = config.rawget(host, name)
	for _, interface in ipairs(type(value) == "table" and value or { value }) do
		if not is_address(interface) then
			report.at(host, name, interface, { code = "wrong-address",
				message = ("option '%s': %s is not an address"):format(name, tostring(interface)) })
		end
	end
end

--- The options *_ports and *_interfaces, also those of services that nobody provides.
local function check_written(report)
	local option_types <const> = require "core.option_types"
	for name in pairs(report.state.origins["*"]) do
		if type(name) == "string" and (name:find("_interfaces?$") or name:find("^interfaces?$")
		or name == "local_interfaces") then
			check_interfaces(report, "*", name)
		elseif type(name) == "string" and name:find("_ports$") then
			local value = config.rawget("*", name)
			for _, port in ipairs(type(value) == "table" and value or { value }) do
				if not option_types.port(port) then
					report.at("*", name, port, { code = "wrong-port", message =
						("option '%s': %s is not a port from 0 to 65535"):format(name,
							tostring(port)) })
				end
			end
		end
	end
end

--- The place to point at for an address of a service.
local function point(report, service, address, fault)
	local name = port_address.prefix(service) .. (address.unix and "interfaces" or "ports")
	if config.rawget("*", name) ~= nil then
		report.at("*", name, not address.unix and address.written or address.interface, fault)
	else
		report.at("*", "modules_enabled", service.module, fault)
	end
end

local function sorted_services(modules)
	local names = {}
	for name in pairs(modules.services) do
		names[#names + 1] = name
	end
	table.sort(names)
	return names
end

--- The keeper that runs on the config's runtime folder: what it holds is ours.
-- @return its pid or nil
local function running_keeper(state)
	local sys <const> = require "host.sys"
	local found = require "core.places".find(state.file)
	return sys.flock_test(found.runtime .. "/lock")
end

local function try_bind(report, service, address, keeper)
	local net <const> = require "host.net"
	local unistd <const> = require "posix.unistd"
	if address.unix then
		return
	end
	local fd, err = net.bind(address.interface, address.port, { backlog = 1, type = "tcp" })
	if fd then
		unistd.close(fd)
		return
	end
	-- A keeper that may not be looked into gets the benefit of the doubt: `load` finds out.
	if keeper and port_owner.holds(keeper, address.port) ~= false then
		return
	end
	if not port_bind.is_missing_family(address, err) then
		point(report, service, address, { code = "unbindable-port",
			message = ("cannot listen on %s port %s for service '%s': %s"):format(address.interface,
				tostring(address.written), service.name, err) })
	end
end

--- Checks ports and addresses.
-- @param opts bind: false leaves the bind test out; as_root: privileged ports can be bound
function check_ports.run(report, modules, opts)
	check_written(report)
	local users = {}
	local keeper = running_keeper(report.state)
	for _, name in ipairs(sorted_services(modules)) do
		local service = modules.services[name]
		for _, address in ipairs((port_address.wanted(service))) do
			local key = address.interface .. " " .. address.port
			local other = address.port ~= 0 and users[key]
			if other then
				point(report, service, address, { code = "port-twice",
					message = ("services '%s' and '%s' both want %s port %d"):format(other, name,
						address.interface, address.port) })
			else
				users[key] = name
				if opts.bind ~= false then
					try_bind(report, service, address, keeper)
				end
			end
		end
	end
end

return check_ports
