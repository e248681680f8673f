--- Which modules are loaded where, in which order, and which could not be loaded.

local registry <const> = {}

-- host → name → environment; "*" for global modules. Of a host, the same table as
-- prosody.hosts[host].modules.
local loaded <const> = { ["*"] = {} }

-- In the order of loading, for an unload in reverse: list of { host, name }.
local order <const> = {}

-- "host/name" of modules that somebody loaded, not the config and no dependency.
local by_hand <const> = {}

-- "host/name" → { module, host, error, path } of modules that could not be loaded.
local failed <const> = {}

--- All modules of a host by name; nil if there is no such host.
function registry.get_modules(host)
	if not loaded[host] and prosody.hosts[host] then
		loaded[host] = prosody.hosts[host].modules
	end
	return loaded[host]
end

--- The environment of a loaded module, or nil.
function registry.get_module(host, name)
	local modules = registry.get_modules(host)
	return modules and modules[name]
end

function registry.is_loaded(host, name)
	return registry.get_module(host, name) and true
end

--- Items of a kind that modules of a host have added.
-- @return list of { item, source: the module's api }, in the order of loading; nil for an unknown
--   host
function registry.item_events(key, host)
	local modules = key and host and registry.get_modules(host)
	if not modules then
		return nil
	end
	local result = {}
	for _, entry in ipairs(order) do
		local env = entry.host == host and modules[entry.name]
		local items = env and rawget(env.module, "items")
		for _, item in ipairs(items and items[key] or {}) do
			result[#result + 1] = { item = item, source = env.module }
		end
	end
	return result
end

--- Items of a kind that the modules of a host have added.
function registry.get_items(key, host)
	local events = registry.item_events(key, host)
	if not events then
		return nil
	end
	local result = {}
	for i, event in ipairs(events) do
		result[i] = event.item
	end
	return result
end

--- Names of loaded modules in the order of loading.
-- @param host default: all
-- @param reverse true: last loaded first
-- @return list of names, or of { host, name } without a host
function registry.names(host, reverse)
	local list = {}
	for _, entry in ipairs(order) do
		if not host then
			list[#list + 1] = { host = entry.host, name = entry.name }
		elseif entry.host == host then
			list[#list + 1] = entry.name
		end
	end
	if reverse then
		for i = 1, #list // 2 do
			list[i], list[#list - i + 1] = list[#list - i + 1], list[i]
		end
	end
	return list
end

--- The loaded modules themselves in the order of loading (their `module` tables: host, name,
-- items, …).
function registry.load_order()
	local list = {}
	for i, entry in ipairs(order) do
		list[i] = registry.get_module(entry.host, entry.name).module
	end
	return list
end

--- Hosts on which a global module has a part.
function registry.parts(name)
	local hosts = {}
	for _, entry in ipairs(order) do
		if entry.name == name and entry.host ~= "*" then
			hosts[#hosts + 1] = entry.host
		end
	end
	return hosts
end

--- Enters a module, or takes it out (env nil).
function registry.enter(host, name, env)
	registry.get_modules(host)[name] = env
	if env then
		for _, entry in ipairs(order) do
			if entry.host == host and entry.name == name then
				return
			end
		end
		order[#order + 1] = { host = host, name = name }
		return
	end
	for i = #order, 1, -1 do
		if order[i].host == host and order[i].name == name then
			table.remove(order, i)
		end
	end
end

--- Notes who wanted a module.
-- @param hand true: a person or a module's call; nil: the config, a dependency, or nobody any more
function registry.set_by_hand(host, name, hand)
	by_hand[host .. "/" .. name] = hand
end

--- Whether a module was loaded by hand: a reload of the config leaves it alone.
function registry.is_by_hand(host, name)
	return by_hand[host .. "/" .. name] or false
end

--- Whether another loaded module depends on this one.
function registry.needed(host, name)
	for _, entry in ipairs(order) do
		local env = registry.get_module(entry.host, entry.name)
		local needs = env and rawget(env.module, "dependencies")
		if needs and needs[name] and (host == "*" or entry.host == host) then
			return true
		end
	end
	return false
end

--- All modules for status and console, loaded ones in the order of loading, then those that
-- failed.
-- @return list of { module, host, status, message, path, loaded, dependencies }
function registry.list()
	local list = {}
	for _, entry in ipairs(order) do
		local api = registry.get_module(entry.host, entry.name).module
		list[#list + 1] = {
			module = entry.name, host = entry.host, path = api.path, loaded = true,
			status = api.status_type or "core", message = api.status_message or "Loaded",
			dependencies = rawget(api, "dependencies") or {},
		}
	end
	for _, entry in pairs(failed) do
		list[#list + 1] = { module = entry.module, host = entry.host, loaded = false,
			status = "error", message = entry.error, dependencies = {} }
	end
	return list
end

--- Remembers that a module could not be loaded.
function registry.failed(host, name, err)
	failed[host .. "/" .. name] = { module = name, host = host, error = tostring(err) }
end

--- Forgets it.
function registry.forget_failure(host, name)
	failed[tostring(host) .. "/" .. tostring(name)] = nil
end

--- Forgets all of them: what is still wanted is tried anew.
function registry.forget_failures()
	for key in pairs(failed) do
		failed[key] = nil
	end
end

--- A host has gone.
function registry.forget_host(host)
	loaded[host] = nil
end

return registry
