--- Options: known to somebody, of the right type, within their range.

local config <const> = require "core.configmanager"
local didyoumean <const> = require "util.didyoumean"
local options <const> = require "core.options"

local check_options <const> = {}

--- Splits "echo_ports" into the service and the suffix.
local function service_option(name)
	for suffix in pairs(options.service_suffixes) do
		local service = name:match("^(.+)_" .. suffix .. "$")
		if service then
			return service, suffix
		end
	end
end

--- Whether some enabled module may read the option.
local function read_by_module(modules, name)
	if modules.options[name] or modules.words[name] then
		return true
	end
	for prefix in pairs(modules.prefixes) do
		if (#prefix >= 3 or prefix:find("_$")) and name:sub(1, #prefix) == prefix then
			return true
		end
	end
	for suffix in pairs(modules.suffixes) do
		if (#suffix >= 3 or suffix:find("^_")) and name:sub(-#suffix) == suffix then
			return true
		end
	end
	return false
end

--- Prefixes of options of known services, as a set.
local function service_prefixes(modules)
	local set = {}
	for name, service in pairs(modules.services) do
		set[service.config_prefix or name] = true
	end
	for _, row in ipairs(options.list) do
		local service = row.name:match("^(.+)_ports$")
		if service then
			set[service] = true
		end
	end
	return set
end

--- All names that could have been meant.
local function candidates(modules)
	local set = options.names()
	for name in pairs(modules.options) do
		set[name] = true
	end
	for service in pairs(service_prefixes(modules)) do
		for suffix in pairs(options.service_suffixes) do
			set[service == "" and suffix or service .. "_" .. suffix] = true
		end
	end
	return set
end

local function unknown(report, modules, host, name)
	local suggestion = didyoumean.suggest(name, candidates(modules))
	local service, suffix = service_option(name)
	if service and (suffix == "ports" or suffix == "interfaces") then
		report.at(host, name, nil, { code = "unknown-service", suggestion = suggestion,
			message = ("unknown service '%s' in option '%s'"):format(service, name) })
		return
	end
	report.at(host, name, nil, { code = "unknown-option", suggestion = suggestion,
		message = ("unknown option '%s'"):format(name) })
end

local function shown(value)
	if type(value) == "string" then
		return ("%q"):format(value)
	elseif type(value) == "table" then
		return "a table"
	end
	return tostring(value)
end

local function check_value(report, host, name, value)
	local row = options.row(name)
	if not row then
		return
	end
	local parsed, expected = options.parse(row, value)
	if parsed == nil then
		report.at(host, name, nil, { code = "wrong-value",
			message = ("option '%s': expected %s, got %s"):format(name, expected, shown(value)) })
	end
end

local function check_class(report, host, name, value)
	if value ~= "client" and value ~= "peer" and value ~= "admin" then
		report.at(host, name, nil, { code = "wrong-value", message =
			("option '%s': expected client, peer or admin, got %s"):format(name, shown(value)) })
	end
end

--- Checks every option that the config sets.
-- @param report see core.check
-- @param modules see core.check_modules
function check_options.run(report, modules)
	local prefixes = service_prefixes(modules)
	for host, section in pairs(report.state.origins) do
		for name in pairs(section) do
			local value = config.rawget(host, name)
			local service, suffix = service_option(tostring(name))
			-- Nothing came of it: a file that could not be read, a bare word; that is said already.
			if value == nil then
				goto continue
			end
			if options.row(name) then
				check_value(report, host, name, value)
			elseif service and prefixes[service] then
				if suffix == "class" then
					check_class(report, host, name, value)
				end
			elseif prefixes[""] and options.service_suffixes[name] then
				-- A service with an empty config_prefix has the bare words.
				goto continue
			elseif not read_by_module(modules, tostring(name)) then
				unknown(report, modules, host, tostring(name))
			end
			::continue::
		end
	end
end

return check_options
