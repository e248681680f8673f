--- What the reader tells the keeper: a flat table of checked values (proc/settings.h).

local config <const> = require "core.configmanager"
local options <const> = require "core.options"
local port_address <const> = require "core.port_address"

local settings <const> = {}

--- Addresses below port 1024 that the config asks for, in an order that reader and worker share.
-- @return list of { interface, port }
function settings.privileged_addresses()
	local names, list = {}, {}
	for name in pairs(rawget(config.getconfig(), "*")) do
		local prefix = type(name) == "string" and name:match("^(.+)_ports$")
		if prefix then
			names[#names + 1] = prefix
		end
	end
	table.sort(names)
	local seen = {}
	local function add(service)
		for _, address in ipairs((port_address.wanted(service))) do
			local key = address.interface .. " " .. address.port
			if not address.unix and address.port > 0 and address.port < 1024 and not seen[key] then
				seen[key] = true
				list[#list + 1] = { interface = address.interface, port = address.port }
			end
		end
	end
	for _, name in ipairs(names) do
		-- Whether the service is private is known to its module only, which has not been loaded.
		add { name = name }
		add { name = name, private = true }
	end
	return list
end

--- Resolves a user or group to its number.
-- @return uid, gid of a user; or gid of a group; nil if there is none
local function user_ids(name)
	local pwd <const> = require "posix.pwd"
	local found = tonumber(name) and pwd.getpwuid(tonumber(name)) or pwd.getpwnam(tostring(name))
	if found then
		return found.pw_uid, found.pw_gid, found.pw_name
	end
end

local function group_id(name)
	local grp <const> = require "posix.grp"
	local found = tonumber(name) and grp.getgrgid(tonumber(name)) or grp.getgrnam(tostring(name))
	return found and found.gr_gid
end

settings.user_ids, settings.group_id = user_ids, group_id

--- Supplementary groups of a user.
local function groups_of(name)
	local grp <const> = require "posix.grp"
	local list = {}
	grp.setgrent()
	while true do
		local group = grp.getgrent()
		if not group then
			break
		end
		for _, member in ipairs(group.gr_mem or {}) do
			if member == name then
				list[#list + 1] = group.gr_gid
			end
		end
	end
	grp.endgrent()
	return list
end

settings.groups_of = groups_of

local function identity(out)
	local user = options.read("user") or config.get("*", "prosody_user")
	local group = options.read("group") or config.get("*", "prosody_group")
	if user then
		local name
		out.user_uid, out.user_gid, name = user_ids(user)
		out.groups = name and groups_of(name) or {}
	end
	if group then
		out.user_gid = group_id(group) or out.user_gid
	end
	out.run_as_root = options.read("run_as_root")
	out.no_new_privs = options.read("no_new_privs")
end

-- What the keeper takes for "never" where it has no word for it: some thirty years.
local for_ever <const> = 1e9

--- Seconds for the keeper; "never" is -1 for the two deadlines that can be switched off.
local function seconds(name)
	local value = options.read(name)
	if value == math.huge then
		return (name == "hammer_time" or name == "worker_timeout") and -1 or for_ever
	end
	return value
end

local function pair(name)
	local value = options.read(name)
	return { tonumber(value[1] or value.min or value.count),
		tonumber(value[2] or value.max or value.seconds) }
end

--- Signal number → verb, or { state = verb }.
local function signals()
	local numbers <const> = require "host.signals".numbers
	local map = require "core.signals_map".build(config.get("*", "signals"),
		config.get("*", "lameduck_signals"))
	local out = {}
	for name, entry in pairs(map) do
		if math.type(numbers[name]) == "integer" then
			out[numbers[name]] = entry.verb
		end
	end
	return out
end

--- Collects everything.
-- @param places runtime_path and data_path as core.places found them
function settings.collect(places)
	local out = {
		config_file = places.config, workers = options.read("workers"),
		umask = tonumber(options.read("umask"), 8),
		runtime_path = places.runtime, data_path = places.data, admin_socket = places.admin_socket,
		pidfile = places.pidfile, lua_memory_limit = options.read("lua_memory_limit"),
		addresses = settings.privileged_addresses(), groups = {},
	}
	identity(out)
	for _, name in ipairs { "start_timeout", "worker_timeout", "worker_heartbeat", "hammer_time",
		"shutdown_timeout", "orphan_timeout", "process_kill_timeout", "upgrade_timeout",
		"upgrade_probation" } do
		out[name] = seconds(name)
	end
	out.restart_backoff, out.restart_limit = pair("restart_backoff"), pair("restart_limit")
	out.signals = signals()
	out.max_generations = options.read("max_generations")
	out.cap_refuses = options.read("max_generations_full") == "refuse"
	out.upgrade_binary = options.read("upgrade_binary")
	return out
end

return settings
