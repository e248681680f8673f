-- Section module: list, info, load, unload, reload; and the words for one module.

local modulemanager <const> = require "core.modulemanager"

local lib <const> = {}

local desc <const> = "modules: list, load, reload"

local function loaded_names()
	local seen <const>, names <const> = {}, {}
	for _, entry in ipairs(modulemanager.names()) do
		if not seen[entry.name] then
			seen[entry.name] = true
			names[#names + 1] = entry.name
		end
	end
	table.sort(names)
	return names
end

-- Hosts on which a module is loaded, "*" first; only `host` if one is given.
local function hosts_with(name, host)
	local found <const> = {}
	for _, entry in ipairs(modulemanager.names()) do
		if entry.name == name and (not host or entry.host == host) then
			found[#found + 1] = entry.host
		end
	end
	table.sort(found)
	-- A global module's parts on hosts are one with it.
	if found[1] == "*" and not host then
		return { "*" }
	end
	return found
end

-- Where a module is loaded that says nothing of hosts: all active hosts, else global.
local function hosts_for_load(host)
	if host then
		return { host }
	end
	local found <const> = {}
	for name in pairs(prosody.hosts) do
		found[#found + 1] = name
	end
	table.sort(found)
	return #found > 0 and found or { "*" }
end

local function not_loaded(name)
	local near <const> = require "util.didyoumean".suggest(name, loaded_names())
	return ("module '%s' is not loaded (%s)"):format(name,
		near and ("did you mean '%s'?"):format(near) or "'module list' shows those that are")
end

local function check_host(host)
	if host and host ~= "*" and not prosody.hosts[host] then
		return nil, ("no host '%s' ('host list' shows them)"):format(host)
	end
	return true
end

-- Does something on each host. @return true, message; or nil, what failed
local function on_each(self, hosts, verb, done, fn)
	local failed = {}
	for _, host in ipairs(hosts) do
		local ok, err = fn(host)
		if ok then
			self.session.print(("%s: %s"):format(host, done))
		else
			failed[#failed + 1] = ("%s: %s"):format(host, tostring(err))
		end
	end
	if #failed > 0 then
		return nil, ("cannot %s: %s"):format(verb, table.concat(failed, "; "))
	end
	return true, ("%s on %d host%s"):format(done, #hosts, #hosts == 1 and "" or "s")
end

local function list(self, host)
	local rows <const> = {}
	for _, entry in ipairs(modulemanager.list()) do
		if not host or entry.host == host or entry.host == "*" then
			rows[#rows + 1] = { module = entry.module, host = entry.host, status = entry.status,
				message = entry.message, path = entry.path }
			self.session.print(("%-24s %-16s %-6s %s"):format(entry.module, entry.host,
				entry.status, entry.message))
		end
	end
	return true, ("%d modules"):format(#rows), rows
end

local function sorted_keys(set)
	local names <const> = {}
	for name in pairs(set or {}) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	return table.concat(names, ", ")
end

local function print_ports(print, name)
	for _, service in ipairs(require "core.portmanager".list()) do
		for _, listener in ipairs(service.module == name and service.listeners or {}) do
			print(("  listens: %s %s port %d"):format(service.service, listener.address,
				listener.port))
		end
	end
end

local function print_module(print, entry, api)
	print(("%s on %s: %s (%s)"):format(entry.module, entry.host, entry.message, entry.status))
	print("  file: " .. tostring(entry.path))
	print("  depends on: " .. sorted_keys(entry.dependencies))
	local counts <const> = {}
	for _, hook in ipairs(api and api._hooks or {}) do
		counts[hook[2]] = true
	end
	print("  hooks: " .. sorted_keys(counts))
	local items <const> = {}
	for key, found in pairs(api and rawget(api, "items") or {}) do
		items[("%s (%d)"):format(key, #found)] = #found > 0 or nil
	end
	print("  items: " .. sorted_keys(items))
	print_ports(print, entry.module)
end

local function info(self, name, host)
	local found = 0
	for _, entry in ipairs(modulemanager.list()) do
		if entry.module == name and (not host or entry.host == host) then
			local env <const> = modulemanager.get_module(entry.host, entry.module)
			print_module(self.session.print, entry, env and env.module)
			found = found + 1
		end
	end
	if found == 0 then
		return nil, not_loaded(name)
	end
	return true, "loaded on " .. found .. " host" .. (found == 1 and "" or "s")
end

local function load(self, name, host)
	local ok, err = check_host(host)
	if not ok then
		return nil, "cannot load: " .. err
	end
	return on_each(self, hosts_for_load(host), "load", "loaded", function (where)
		if modulemanager.is_loaded(where, name) then
			return nil, "loaded already"
		end
		return modulemanager.load(where, name)
	end)
end

-- @return hosts as hosts_with(); or nil and the refusal
local function hosts_for(verb, name, host)
	local known, why = check_host(host)
	local hosts <const> = known and hosts_with(name, host) or {}
	if #hosts == 0 then
		return nil, ("cannot %s: %s"):format(verb, why or not_loaded(name))
	end
	return hosts
end

local function unload(self, name, host)
	local hosts <const>, why <const> = hosts_for("unload", name, host)
	if not hosts then
		return nil, why
	end
	return on_each(self, hosts, "unload", "unloaded", function (where)
		return modulemanager.unload(where, name)
	end)
end

local function reload(self, name, host)
	local hosts <const>, why <const> = hosts_for("reload", name, host)
	if not hosts then
		return nil, why
	end
	return on_each(self, hosts, "reload", "reloaded", function (where)
		return modulemanager.reload(where, name)
	end)
end

lib.reload = reload

--- @return list of commands
function lib.commands()
	local one <const> = { { name = "module", type = "module" },
		{ name = "host", type = "host", optional = true } }
	local host <const> = { { name = "host", type = "host", optional = true } }
	local function command(name, text, args, handler, everywhere)
		return { section = "module", section_desc = desc, name = name, desc = text, args = args,
			handler = handler, everywhere = everywhere }
	end
	return {
		command("list", "all modules with their status", host, list),
		command("info", "file, dependencies, hooks, items, ports", one, info),
		command("load", "loads a module", one, load, true),
		command("unload", "unloads a module", one, unload, true),
		command("reload", "loads its file anew; connections stay", one, reload, true),
	}
end

lib.sources = {
	module = loaded_names,
	host = function ()
		local names <const> = {}
		for name in pairs(prosody.hosts) do
			names[#names + 1] = name
		end
		table.sort(names)
		return names
	end,
}

return lib
