--- Rules between options, and names outside the config: times that do not fit, signals, users,
-- files.

local EACCES <const> = require "host.sys".EACCES

local config <const> = require "core.configmanager"
local didyoumean <const> = require "util.didyoumean"
local option_types <const> = require "core.option_types"
local options <const> = require "core.options"
local paths <const> = require "util.paths"
local secret_file <const> = require "core.secret_file"

local check_limits <const> = {}

-- The phases that exist without any module's help, with their budgets.
local budgets <const> = { ["lame-duck"] = 3, ["stop-accepting"] = 1, ["close-clients"] = 10,
	["stop-services"] = 6, quit = 5 }

local network_keys <const> = {}
for key in ([[read_timeout send_timeout connect_timeout tcp_backlog accept_retry_interval
	read_retry_delay read_size ssl_handshake_timeout max_wait min_wait verbose fatal_errors
	protect_listeners opportunistic_writes tcp_keepalive nagle keep_buffers shutdown_deadline
	max_send_buffer_size send_buffer_chunks max_send_chunk tcp_fastopen tcp_defer_accept
	event_clear_interval debug max_connections max_ssl_handshake_roundtrips
	max_receive_buffer_size select_timeout select_idle_check_interval
	highest_allowed_fd]]):gmatch("%S+") do
	network_keys[key] = true
end

local function check_hammer(report)
	local hammer, budget = options.read("hammer_time"), options.read("shutdown_timeout")
	if hammer <= budget and hammer ~= math.huge then
		local name = config.origin("*", "hammer_time") and "hammer_time" or "shutdown_timeout"
		report.at("*", name, nil, { code = "hammer-too-early",
			message = ("hammer_time (%g s) must be longer than shutdown_timeout (%g s)"):format(hammer,
				budget) })
	end
end

--- Name and budget of an entry of shutdown_phases.
local function phase_of(entry)
	if type(entry) == "string" then
		return entry, budgets[entry]
	elseif type(entry) == "table" then
		local name = entry.name or entry[1]
		local budget = entry.budget or entry[2]
		if budget == nil then
			return name, budgets[name]
		end
		return name, option_types.period(budget), budget
	end
end

local function check_list(report, list)
	local total, seen, last = 0, {}, nil
	for _, entry in ipairs(list) do
		local name, budget, written = phase_of(entry)
		local function fault(code, message)
			report.at("*", "shutdown_phases", name, { code = code, message = message })
		end
		if type(name) ~= "string" then
			fault("wrong-value", "shutdown_phases: expected a name, or { name, budget = seconds }")
		elseif seen[name] then
			fault("phase-twice", ("shutdown_phases: '%s' stands there twice"):format(name))
		elseif written ~= nil and not budget then
			fault("wrong-value", ("shutdown_phases: the budget of '%s' is no time"):format(name))
		end
		if name == "lame-duck" and written == nil then
			budget = options.read("lameduck_period")
		end
		seen[name or 0], last = true, name
		total = total + (budget or 0)
	end
	if seen.quit and last ~= "quit" then
		report.at("*", "shutdown_phases", "quit", { code = "quit-not-last",
			message = "shutdown_phases: quit must be the last phase" })
	end
	return total
end

local function check_phases(report)
	local list = config.get("*", "shutdown_phases")
	local total, name
	if type(list) == "table" then
		total, name = check_list(report, list), "shutdown_phases"
	else
		total = 22 + options.read("lameduck_period")
		name = config.origin("*", "lameduck_period") and "lameduck_period" or "shutdown_timeout"
	end
	local budget = options.read("shutdown_timeout")
	if total > budget and config.origin("*", name) then
		report.at("*", name, nil, { code = "phases-do-not-fit", severity = "warning",
			message = ("the phases need %g s, shutdown_timeout is %g s"):format(total, budget) })
	end
	if options.read("close_spread") > budgets["close-clients"] and not list then
		report.at("*", "close_spread", nil, { code = "spread-too-long",
			message = "close_spread must not be longer than the budget of close-clients (10 s)" })
	end
end

local function check_signals(report)
	local _, faults = require "core.signals_map".build(
		type(config.get("*", "signals")) == "table" and config.get("*", "signals") or nil,
		type(config.get("*", "lameduck_signals")) == "table" and config.get("*", "lameduck_signals")
			or nil)
	for _, message in ipairs(faults) do
		local name = message:match("^(%a[%w_]*)")
		report.at("*", name, message:match("%.(%u[%u%d]+)"), { code = "signals", message = message })
	end
end

local function check_pair(report, name, words, valid)
	local value = config.get("*", name)
	if type(value) ~= "table" then
		return
	end
	local first = tonumber(value[1] or value.min or value.count)
	local second = tonumber(value[2] or value.max or value.seconds)
	if not first or not second or not valid(first, second) then
		report.at("*", name, nil, { code = "wrong-value",
			message = ("option '%s': expected %s"):format(name, words) })
	end
end

local function check_user(report, opts)
	local settings <const> = require "core.settings"
	for _, name in ipairs { "user", "prosody_user" } do
		local user = config.get("*", name)
		if user ~= nil and not settings.user_ids(user) then
			report.at("*", name, nil, { code = "unknown-user",
				severity = opts.as_root and "error" or "warning",
				message = ("there is no user '%s'"):format(tostring(user)) })
		end
	end
	for _, name in ipairs { "group", "prosody_group", "admin_socket_group" } do
		local group = config.get("*", name)
		if group ~= nil and not settings.group_id(group) then
			report.at("*", name, nil, { code = "unknown-group",
				severity = opts.as_root and "error" or "warning",
				message = ("there is no group '%s'"):format(tostring(group)) })
		end
	end
end

local function check_network(report)
	local settings = config.get("*", "network_settings")
	for key in pairs(type(settings) == "table" and settings or {}) do
		if not network_keys[key] then
			report.at("*", "network_settings", key, { code = "unknown-option",
				message = ("network_settings: unknown key '%s'"):format(tostring(key)),
				suggestion = didyoumean.suggest(tostring(key), network_keys) })
		end
	end
end

-- Not read into the bundle: a worker reads it itself, at each use. Without it control over HTTP is
-- off and the rest goes on; the reader's rights are not always the worker's.
local function check_secrets(report)
	local folder = paths.dirname(report.state.file)
	for _, name in ipairs { "admin_http_token_file" } do
		local value = config.get("*", name)
		local path = type(value) == "string" and paths.resolve_relative_path(folder, value)
		local secret, err, errno = true, nil, nil
		if path then
			secret, err, errno = secret_file.read(path)
		end
		if not secret then
			report.at("*", name, nil, { code = errno and "unreadable-file" or "unusable-file",
				severity = (not errno or errno == EACCES) and "warning" or nil,
				message = ("option '%s': cannot use %s: %s"):format(name, path,
					(err:gsub("^.*: ", ""))) })
		end
	end
end

local function check_log(report)
	local known <const> = { debug = true, info = true, warn = true, error = true }
	local log = config.get("*", "log")
	for key in pairs(type(log) == "table" and log or {}) do
		if type(key) == "string" and not known[key] then
			report.at("*", "log", key, { code = "unknown-level",
				message = ("option 'log': unknown level '%s'"):format(key),
				suggestion = didyoumean.suggest(key, known) })
		end
	end
end

--- Checks them all.
-- @param report see core.check
-- @param opts as_root
function check_limits.run(report, opts)
	check_hammer(report)
	check_phases(report)
	check_signals(report)
	check_pair(report, "restart_backoff", "{ least, most } seconds, 0.01 to 3600",
		function (least, most) return least >= 0.01 and most >= least and most <= 3600 end)
	check_pair(report, "restart_limit", "{ deaths, seconds }: 1 to 16 in 0.1 to 86400 s",
		function (count, seconds)
			return math.tointeger(count) and count >= 1 and count <= 16 and seconds >= 0.1
				and seconds <= 86400
		end)
	check_user(report, opts)
	check_network(report)
	check_secrets(report)
	check_log(report)
end

return check_limits
