-- The lifecycle's own options, read at each use so that a reload of the config is in force at once.

local configmanager <const> = require "core.configmanager"
local option_types <const> = require "core.option_types"

local options <const> = {}

--- A period: number of seconds, or "5 minutes"; "never", false and negative numbers mean for ever.
-- @param name the option
-- @param default seconds, also for a value that is no period (`check` reports it)
-- @return seconds, math.huge for never
function options.period(name, default)
	local value = configmanager.get("*", name)
	if value == nil then
		return default
	end
	return option_types.period(value) or default
end

--- Any other option.
function options.get(name)
	return configmanager.get("*", name)
end

return options
