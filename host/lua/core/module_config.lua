--- Which modules the config enables where, and bringing the loaded ones in line with it.

local config <const> = require "core.configmanager"

local module_config <const> = {}

local function as_list(names)
	return type(names) == "table" and names or { names }
end

local function as_set(...)
	local set = {}
	for i = 1, select("#", ...) do
		for _, name in ipairs(as_list((select(i, ...)))) do
			set[name] = true
		end
	end
	return set
end

--- Adds names of the config that are not to be skipped.
local function collect(list, seen, names, skip)
	for _, name in ipairs(as_list(names)) do
		if type(name) == "string" and not seen[name] and not skip[name] then
			seen[name] = true
			list[#list + 1] = name
		end
	end
end

--- Names of the modules that the config enables on a host, in the config's order. A component has
-- its own module and what its section says, not the global ones.
-- @return list, and the component's own module or nil
function module_config.enabled(host)
	local component = config.rawget(host, "component_module")
	local own_disabled = config.rawget(host, "modules_disabled")
	local skip = as_set(own_disabled, config.rawget("*", "modules_disabled"))
	local list, seen = {}, {}
	if not component then
		collect(list, seen, config.rawget("*", "modules_enabled"), skip)
	end
	if host ~= "*" then
		collect(list, seen, config.rawget(host, "modules_enabled"), as_set(own_disabled))
	end
	return list, component
end

--- Loads what is enabled on a host.
-- @param modulemanager core.modulemanager
function module_config.load(modulemanager, host)
	local list, component = module_config.enabled(host)
	if component and component ~= "component" then
		modulemanager.load_wanted(host, component)
	end
	for _, name in ipairs(list) do
		modulemanager.load_wanted(host, name)
	end
end

-- A module that another one loaded came after it: the second round finds it needed no more.
local function unload_others(modulemanager, host, wanted)
	local gone = false
	for _, name in ipairs(modulemanager.names(host, true)) do
		if wanted[name] then
			modulemanager.set_by_hand(host, name, nil)
		elseif not modulemanager.needed(host, name) and not modulemanager.is_by_hand(host, name) then
			gone = modulemanager.unload(host, name) or gone
		end
	end
	if gone then
		unload_others(modulemanager, host, wanted)
	end
end

--- Unloads what is no longer enabled anywhere, loads what is new; the rest is not touched, what was
-- loaded by hand neither.
-- @param modulemanager core.modulemanager
function module_config.sync(modulemanager)
	local anywhere = {}
	for host in pairs(prosody.hosts) do
		local list, component = module_config.enabled(host)
		local wanted = as_set(list, component)
		for name in pairs(wanted) do
			anywhere[name] = true
		end
		unload_others(modulemanager, host, wanted)
	end
	unload_others(modulemanager, "*", anywhere)
	modulemanager.forget_failures()
	for _, host in ipairs(config.hosts()) do
		if prosody.hosts[host] then
			module_config.load(modulemanager, host)
		end
	end
end

return module_config
