--- module: items, providers, dependencies, shared tables, status and metrics.

local check <const> = require "core.arguments".check

local api <const> = {}

-- Values are weak: a shared table lives as long as a module holds it.
local shared_tables <const> = setmetatable({}, { __mode = "v" })

--- Adds an item that others look for with handle_items or get_host_items.
function api:add_item(key, value)
	local items = self.items or {}
	self.items = items
	items[key] = items[key] or {}
	table.insert(items[key], value)
	self:fire_event("item-added/" .. key, { source = self, item = value })
end

function api:remove_item(key, value)
	local list = self.items and self.items[key] or {}
	for i = #list, 1, -1 do
		if list[i] == value then
			table.remove(list, i)
			self:fire_event("item-removed/" .. key, { source = self, item = value })
			return value
		end
	end
end

--- All items of a kind on the module's host.
function api:get_host_items(key)
	return require "core.modulemanager".get_items(key, self.host) or {}
end

--- Calls added(event) and removed(event) for items of a kind; existing ones are replayed. An event
-- is { item, source: the api of the module that has it }.
function api:handle_items(kind, added, removed, existing)
	self:hook("item-added/" .. kind, added)
	self:hook("item-removed/" .. kind, removed)
	if existing == false then
		return
	end
	for _, event in ipairs(require "core.modulemanager".item_events(kind, self.host) or {}) do
		added(event)
	end
end

--- Provides something: the item NAME-provider, named like the module unless it has a name.
function api:provides(kind, item)
	check("provides", 1, kind, "string")
	check("provides", 2, item, "table", true)
	if not item then
		item = {}
		for key, value in pairs(self.environment) do
			if key ~= "module" then
				item[key] = value
			end
		end
	end
	if not item.name then
		local name, prefix = self.name, kind:gsub("%-", "_") .. "_"
		if name:sub(1, #prefix) == prefix then
			name = name:sub(#prefix + 1)
		end
		item.name = name
	end
	local fault <const> = kind == "net" and require "core.port_address".fault(item)
	if fault then
		error(("bad argument #2 to 'provides' (a service %s)"):format(fault), 2)
	end
	item._provided_by = self.name
	self:add_item(kind .. "-provider", item)
end

--- A table that modules share by path; relative paths are completed with /HOST/MODULE/.
function api:shared(path)
	if path:sub(1, 1) ~= "/" then
		local _, slashes = path:gsub("/", "")
		local front = { "/" .. self.host .. "/" .. self.name .. "/", "/" .. self.host .. "/" }
		path = (front[slashes + 1] or "/") .. path
	end
	local found = shared_tables[path]
	if not found then
		found = path:find("%-cache$") and setmetatable({}, { __mode = "kv" }) or {}
		shared_tables[path] = found
	end
	-- Held here, so that it outlives a reload of the other side.
	local held = self.shared_data or {}
	self.shared_data = held
	held[path] = found
	return found
end

--- Follows the modules that this one depends on: their reload reloads it, their unload unloads
-- it.
local function follow_dependencies(module)
	local modulemanager <const> = require "core.modulemanager"
	local function mine(event)
		return module.dependencies[event.module] and not module.reloading
	end
	local function reloaded(event)
		if mine(event) then
			module:log("info", "Auto-reloading due to reload of %s:%s", event.host, event.module)
			modulemanager.reload(module.host, module.name)
		end
	end
	local function unloaded(event)
		if mine(event) then
			module:log("info", "Auto-unloading due to unload of %s:%s", event.host, event.module)
			modulemanager.unload(module.host, module.name)
		end
	end
	module:hook("module-reloaded", reloaded)
	module:hook("module-unloaded", unloaded)
	if module.host ~= "*" then
		module:hook_global("module-reloaded", reloaded)
		module:hook_global("module-unloaded", unloaded)
	end
end

--- The module in reach of another one's host; a global one with a part for each host is loaded
-- there.
local function find_or_load(module, name)
	local modulemanager <const> = require "core.modulemanager"
	local found = modulemanager.get_module(module.host, name)
		or modulemanager.get_module("*", name)
	if found and found.module.host == "*" and module.host ~= "*"
	and modulemanager.module_has_method(found, "add_host") then
		found = nil
	end
	if found then
		return found
	end
	return modulemanager.load_wanted(module.host, name)
end

--- Loads another module first.
-- @param name of the module
-- @param soft true: nil, "disabled" instead of an error if the config disables it
-- @return its environment
function api:depends(name, soft)
	if self:get_option_inherited_set("modules_disabled", {}):contains(name) then
		if soft then
			return nil, "disabled"
		end
		error("Dependency on disabled module mod_" .. name, 2)
	end
	if not rawget(self, "dependencies") then
		self.dependencies = {}
		follow_dependencies(self)
	end
	local found, err = find_or_load(self, name)
	if not found and soft then
		return nil, err
	elseif not found then
		error(("Unable to load required module, mod_%s: %s"):format(name,
			(tostring(err or "unknown error"):gsub("%-", " "))), 2)
	end
	self.dependencies[name] = true
	local reverse = rawget(found.module, "reverse_dependencies") or {}
	found.module.reverse_dependencies = reverse
	reverse[self.name] = true
	return found
end

local priorities <const> = { error = 3, warn = 2, info = 1, core = 0 }

--- What the console shows for the module. An error stays until another error or `override`.
function api:set_status(kind, message, override)
	local priority = priorities[kind]
	if not priority then
		self:log("error", "set_status: invalid status type '%s', taking 'info'", tostring(kind))
		kind, priority = "info", priorities.info
	end
	local present = priorities[self.status_type] or 0
	local sticky = present >= priorities.error and priority < present and override ~= true
	if sticky or override == false and present > priority then
		return
	end
	self.status_type, self.status_message = kind, message
	self.status_time = require "util.time".now()
	self:fire_event("module-status/updated", { name = self.name })
end

function api:log_status(level, message, ...)
	self:set_status(level, require "util.format".format(message, ...))
	return self:log(level, message, ...)
end

function api:get_status()
	return self.status_type, self.status_message, self.status_time
end

--- The older interface to metrics: a function to report with.
-- @param kind amount, counter, rate, times, sizes or distribution
function api:measure(name, kind, conf)
	local measure <const> = require "core.statsmanager".measure
	self:add_item("measure", { name = name, type = kind, conf = conf })
	local scoped = self.host ~= "*"
	return measure(kind, "mod_" .. self.name .. "/" .. name, conf, scoped and "host" or nil,
		scoped and self.host or nil)
end

--- A metric family in OpenMetrics' terms; modules of a host get the label "host".
function api:metric(kind, name, unit, description, label_keys, conf)
	local metric <const> = require "core.statsmanager".metric
	local scoped = self.host ~= "*"
	local keys = scoped and { "host" } or {}
	for _, key in ipairs(label_keys or {}) do
		keys[#keys + 1] = key
	end
	local family = metric(kind, "prosody_mod_" .. self.name .. "/" .. name, unit, description, keys,
		conf)
	self:add_item("metric", { name = name, mf = family })
	if scoped then
		return family:with_partial_label(self.host)
	end
	return family
end

return api
