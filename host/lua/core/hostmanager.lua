--- Hosts: the sections that modules are loaded on (Prosody's core.hostmanager).

local config <const> = require "core.configmanager"
local runtime <const> = require "core.runtime"
local log <const> = require "util.logger".init("hostmanager")

local hostmanager <const> = {}

local host_mt <const> = {}

function host_mt:__tostring()
	if self.type == "component" then
		return ("Component %q %q"):format(self.host, config.get(self.host, "component_module"))
	end
	return ("VirtualHost %q"):format(self.host)
end

local function is_host(name)
	return name ~= "*" and rawget(config.getconfig(), name) ~= nil
end

local function warn_misplaced(host)
	for name in pairs(rawget(config.getconfig(), host)) do
		if type(name) == "string" and (name:match("_ports$") or name:match("_interfaces?$")) then
			log("warn", "%s: option '%s' has no effect in a host's section; put it above the first "
				.. "VirtualHost", host, name)
		end
	end
end

--- Makes a host of the config active; its modules are loaded.
-- @return true; or nil and the reason
function hostmanager.activate(host)
	if rawget(prosody.hosts, host) then
		return nil, "the host " .. host .. " is active already"
	elseif not is_host(host) then
		return nil, "the config has no host " .. tostring(host)
	end
	local component = config.rawget(host, "component_module") ~= nil
	local session = setmetatable({
		host = host, type = component and "component" or "local", events = runtime.new_events(),
		modules = {}, s2sout = {}, sessions = not component and {} or nil,
		send = function () return nil, "no-router" end, close = function () end,
	}, host_mt)
	prosody.hosts[host] = session
	warn_misplaced(host)
	log(prosody.start_time and "info" or "debug", "Activated host: %s", host)
	prosody.events.fire_event("host-activated", host)
	return true
end

--- Ends a host: its modules are unloaded.
-- @return true; or nil and the reason
function hostmanager.deactivate(host, reason)
	local session = prosody.hosts[host]
	if not session then
		return nil, "the host " .. tostring(host) .. " is not active"
	end
	log("info", "Deactivating host: %s", host)
	prosody.events.fire_event("host-deactivating",
		{ host = host, host_session = session, reason = reason })
	local modulemanager <const> = require "core.modulemanager"
	for _, name in ipairs(modulemanager.names(host, true)) do
		modulemanager.unload(host, name)
	end
	prosody.hosts[host] = nil
	prosody.events.fire_event("host-deactivated", host)
	return true
end

--- Activates what the config has and deactivates what it no longer has.
function hostmanager.sync()
	for host in pairs(prosody.hosts) do
		if not is_host(host) or config.rawget(host, "enabled") == false then
			hostmanager.deactivate(host, "no longer in the config")
		end
	end
	for _, host in ipairs(config.hosts()) do
		if config.rawget(host, "enabled") ~= false and not prosody.hosts[host] then
			hostmanager.activate(host)
		end
	end
	prosody.events.fire_event("hosts-activated", config.getconfig())
end

--- Hosts in the config's order, for the console.
-- @return list of { host, type, implicit, enabled, active }
function hostmanager.list()
	local list = {}
	for i, host in ipairs(config.hosts()) do
		local session = prosody.hosts[host]
		list[i] = {
			host = host, implicit = config.is_implicit(host), active = session ~= nil,
			type = config.rawget(host, "component_module") and "component" or "local",
			enabled = config.rawget(host, "enabled") ~= false,
		}
	end
	return list
end

--- Prosody's disco tree; there is none here.
function hostmanager.get_children()
	return {}
end

return hostmanager
