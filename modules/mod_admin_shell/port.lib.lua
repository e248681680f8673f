-- Sections host and port.

local portmanager <const> = require "core.portmanager"

local lib <const> = {}

-- host --

local function host_list(self)
	local list <const> = require "core.hostmanager".list()
	for _, host in ipairs(list) do
		local words = host.type
		words = words .. (host.implicit and ", implicit" or "")
		words = words .. (host.active and "" or ", not active")
		self.session.print(("%-24s %s"):format(host.host, words))
	end
	return true, ("%d host%s"):format(#list, #list == 1 and "" or "s"), list
end

local function host_activate(_, name)
	local ok, err = require "core.hostmanager".activate(name)
	if not ok then
		return nil, ("cannot activate '%s': %s"):format(name, tostring(err))
	end
	return true, name .. " is active"
end

local function host_deactivate(_, name, reason)
	local ok, err = require "core.hostmanager".deactivate(name, reason)
	if not ok then
		return nil, ("cannot deactivate '%s': %s"):format(name, tostring(err))
	end
	return true, name .. " is not active any more"
end

-- port --

local function port_list(self)
	local rows <const> = {}
	for _, service in ipairs(portmanager.list()) do
		for _, listener in ipairs(service.listeners) do
			rows[#rows + 1] = { service = service.service, class = service.class,
				address = listener.address, port = listener.port, type = listener.type,
				module = service.module }
			self.session.print(("%-14s %-7s %-24s %6s  %s"):format(service.service, service.class,
				listener.address, listener.type == "unix" and "unix" or listener.port,
				service.module or ""))
		end
		if #service.listeners == 0 then
			self.session.print(("%-14s %-7s (no open port)"):format(service.service, service.class))
		end
	end
	return true, ("%d open"):format(#rows), rows
end

-- Ports of class admin are how this command arrives: they are closed by name of interface only.
local function port_close(self, port, interface)
	local closed = 0
	for _, service in ipairs(portmanager.list()) do
		for _, listener in ipairs(service.listeners) do
			local same <const> = listener.port == port
				and (not interface or listener.address == interface)
			if same and (service.class ~= "admin" or interface) then
				if portmanager.close(listener.address, listener.port) then
					closed = closed + 1
					self.session.print(("closed %s port %d"):format(listener.address, port))
				end
			end
		end
	end
	if closed == 0 then
		return nil, ("no open port %d%s"):format(port, interface and " on " .. interface or "")
	end
	return true, ("%d closed; connections go on"):format(closed)
end

-- { section, name, help, args, handler, true: in all workers }
local host_arg <const> = { name = "host", type = "host" }
local rows <const> = {
	{ "host", "list", "hosts of the config", {}, host_list },
	{ "host", "activate", "loads a host's modules", { host_arg }, host_activate, true },
	{ "host", "deactivate", "unloads them",
		{ host_arg, { name = "reason", optional = true } }, host_deactivate, true },
	{ "port", "list", "services and where they listen", {}, port_list },
	{ "port", "close", "closes a port until the next reload",
		{ { name = "port", type = "integer" }, { name = "interface", optional = true } },
		port_close, true },
}

local descriptions <const> = { host = "hosts of the config", port = "listening ports" }

--- @return list of commands
function lib.commands()
	local list <const> = {}
	for i, row in ipairs(rows) do
		list[i] = { section = row[1], section_desc = descriptions[row[1]], name = row[2],
			desc = row[3], args = row[4], handler = row[5], everywhere = row[6] }
	end
	return list
end

return lib
