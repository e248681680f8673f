--- Which addresses a service listens on, from the config, and their names for the keeper.

local config <const> = require "core.configmanager"
local option_types <const> = require "core.option_types"

local port_address <const> = {}

local classes <const> = { client = true, peer = true, admin = true }

--- What is wrong with the item of a service: opening it later would cost the host, not its module.
-- @return the fault, as the end of "a service "; or nil
function port_address.fault(service)
	local listener <const> = service.listener
	local mode <const> = type(listener) == "table" and type(listener.default_mode)
	if not mode then
		return "needs a listener table"
	elseif mode ~= "nil" and mode ~= "string" and mode ~= "number" then
		return "has a default_mode that is neither text nor a number"
	elseif type(service.name) ~= "string" then
		return "has a name that is no text"
	elseif service.class ~= nil and not classes[service.class] then
		return ("has the class '%s', which is not client, peer or admin"):format(
			tostring(service.class))
	end
end

--- "echo_", or "" for a service with an empty config_prefix.
function port_address.prefix(service)
	local prefix = service.config_prefix or service.name
	return prefix == "" and "" or prefix .. "_"
end

local function as_list(value)
	return type(value) == "table" and value or { value }
end

--- Prosody's default interfaces: all, or loopback for private services.
local function default_interfaces(private)
	local list = {}
	if config.get("*", "use_ipv4") ~= false then
		list[1] = private and "127.0.0.1" or "*"
	end
	if config.get("*", "use_ipv6") ~= false then
		list[#list + 1] = private and "::1" or "::"
	end
	return list
end

--- @return list of interfaces, the option that named them (nil: built-in default)
function port_address.interfaces(service)
	-- A service of ours that is a Unix socket and nothing else: its own option names the path.
	if service.unix_path then
		return { service.unix_path }, nil
	end
	local prefix = port_address.prefix(service)
	local private = service.private
	local names = { prefix .. "interfaces", prefix .. "interface" }
	if private then
		names[3] = "local_interfaces"
	else
		names[3], names[4] = "interfaces", "interface"
	end
	for _, name in ipairs(names) do
		local value = config.get("*", name)
		if value ~= nil then
			return as_list(value), name
		end
	end
	-- Prosody looks into the listener only.
	local listener = service.listener or {}
	local default = service.default_interface or listener.default_interface
	return default and not private and as_list(default) or default_interfaces(private)
end

--- @return list of ports as written, the option that named them
function port_address.ports(service)
	local name = port_address.prefix(service) .. "ports"
	local value = config.get("*", name)
	if value ~= nil then
		return as_list(value), name
	end
	local listener = service.listener or {}
	return as_list(service.default_ports or service.default_port or listener.default_port or {})
end

--- "client", "peer" or "admin".
function port_address.class(service)
	local class = config.get("*", port_address.prefix(service) .. "class")
	return class or service.class or "client"
end

--- Whether an interface names a Unix socket (a path, or "@abstract").
function port_address.is_unix(interface)
	return interface:find("^[/@]") ~= nil
end

local function escape(text)
	return (tostring(text):gsub("[^%w%.%-_*@]", function (c) return ("%%%02X"):format(c:byte()) end))
end

--- The name under which the keeper holds a listener: SERVICE/INTERFACE/PORT AS WRITTEN/ORDINAL.
-- No ":" and at most 255 bytes, as it is also systemd's FDNAME.
function port_address.hold_name(service_name, interface, port, ordinal)
	return port_address.short(("%s/%s/%s/%d"):format(escape(service_name), escape(interface),
		escape(port), ordinal))
end

--- A name of which the keeper can take all: of a longer one the begin, and a sum of the whole.
function port_address.short(name)
	if #name <= 255 then
		return name
	end
	local sum = 5381
	for i = 1, #name do
		sum = (sum * 33 + name:byte(i)) & 0xffffffffffff
	end
	return name:sub(1, 242) .. ("~%012x"):format(sum)
end

--- All addresses of a service.
-- @return list of { interface, port, written, unix, name, configured }; and a list of faults,
--   each with the option and the wrong value
function port_address.wanted(service)
	local interfaces, interfaces_option = port_address.interfaces(service)
	local ports, ports_option = port_address.ports(service)
	local list, faults, seen = {}, {}, {}
	local function add(interface, port, written)
		local key = interface .. " " .. tostring(written)
		seen[key] = (seen[key] or 0) + 1
		-- One address twice is one listener; port 0 is a new one each time.
		if seen[key] > 1 and port ~= 0 then
			return
		end
		list[#list + 1] = {
			interface = interface, port = port, written = written,
			unix = port_address.is_unix(interface), configured = interfaces_option ~= nil,
			name = port_address.hold_name(service.name, interface, written, seen[key]),
		}
	end
	if #ports == 0 then
		return list, faults
	end
	for _, interface in ipairs(interfaces) do
		if type(interface) ~= "string" then
			faults[#faults + 1] = { option = interfaces_option, value = interface }
		elseif port_address.is_unix(interface) then
			add(interface, 0, "unix")
		else
			for _, written in ipairs(ports) do
				local port = option_types.port(written)
				if port then
					add(interface, port, written)
				end
			end
		end
	end
	for _, written in ipairs(ports) do
		if not option_types.port(written) then
			faults[#faults + 1] = { option = ports_option, value = written }
		end
	end
	return list, faults
end

return port_address
