--- The host's own options, typed (the table is core.options_table). Modules read theirs with
-- module:get_option_*.

local config <const> = require "core.configmanager"
local option_types <const> = require "core.option_types"
local rows <const> = require "core.options_table"

local options <const> = {}

local by_name <const> = {}
for _, row in ipairs(rows) do
	by_name[row.name] = row
end

--- All rows, in the order of options_table.
options.list = rows

--- Suffixes of options that exist for every service: SERVICE_ports and so on.
options.service_suffixes = {
	ports = "list", interfaces = "list", interface = "list", ssl = "table", class = "class",
	goodbye = "table", certificate = "list",
}

--- The row of an option, or nil. @return { name, type, default, owner, reload, doc, … }
function options.row(name)
	return by_name[name]
end

--- What range was expected, or nil if the number is within.
local function out_of_range(row, number)
	if row.min and number < row.min then
		return ("a value of at least %g"):format(row.min)
	elseif row.above and number <= row.above then
		return ("a value above %g"):format(row.above)
	elseif row.max and number > row.max then
		return ("a value of at most %g"):format(row.max)
	end
end

--- The value of a written option after its type.
-- @return value; or nil and what was expected
function options.parse(row, value)
	local result, expected
	if row.type == "enum" then
		result, expected = option_types.enum(value, row.words)
	elseif row.off and (value == false) then
		return false
	else
		result, expected = option_types[row.type](value)
	end
	if result == nil then
		return nil, expected
	end
	expected = type(result) == "number" and out_of_range(row, result)
	if expected then
		return nil, expected
	end
	return result
end

--- Reads an option of the host: the config's value, else the default. A wrong value counts as
-- not set (check reports it).
-- @param name must be in the table
-- @param host default "*"
function options.read(name, host)
	local row = by_name[name]
	if not row then
		error("unknown option '" .. tostring(name) .. "'", 2)
	end
	local value = config.get(host or "*", name)
	if value ~= nil then
		value = options.parse(row, value)
	end
	if value == nil then
		value = row.default
		if row.type == "period" and value ~= nil then
			value = option_types.period(value)
		end
	end
	return value
end

--- All names that a config may use without being a module's, as a set.
function options.names()
	local set = {}
	for name in pairs(by_name) do
		set[name] = true
	end
	return set
end

return options
