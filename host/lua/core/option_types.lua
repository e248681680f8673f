--- Types of options: from what a config file says to a value. Used by module:get_option_*, the
-- host's own reads and `check`, so that all three agree. Every function returns the value, or
-- nil and what was expected.

local option_types <const> = {}

local units <const> = {
	s = 1, sec = 1, secs = 1, second = 1, seconds = 1, ms = 0.001,
	m = 60, min = 60, mins = 60, minute = 60, minutes = 60,
	h = 3600, hour = 3600, hours = 3600, d = 86400, day = 86400, days = 86400,
	w = 604800, week = 604800, weeks = 604800, month = 2678400, months = 2678400,
	y = 31536000, year = 31536000, years = 31536000,
}

--- The first item of a list, the value itself otherwise (Prosody's get_option_scalar).
function option_types.scalar(value)
	if type(value) == "table" then
		return value[1]
	end
	return value
end

function option_types.string(value)
	value = option_types.scalar(value)
	if value == nil or type(value) == "table" or type(value) == "function" then
		return nil, "a string"
	end
	return tostring(value)
end

function option_types.boolean(value)
	value = option_types.scalar(value)
	if value == true or value == "true" or value == 1 then
		return true
	elseif value == false or value == "false" or value == 0 then
		return false
	end
	return nil, "true or false"
end

function option_types.number(value)
	value = tonumber(option_types.scalar(value))
	if not value or value ~= value then
		return nil, "a number"
	end
	return value
end

function option_types.integer(value)
	local number = option_types.number(value)
	local integer = number and math.tointeger(number)
	if not integer then
		return nil, "a whole number"
	end
	return integer
end

--- "2 days" in seconds, or nil.
local function with_unit(text)
	local count, unit = text:lower():match("^%s*(%d*%.?%d*)%s*(%a+)%s*$")
	local factor = unit and units[unit]
	local number = count == "" and 1 or tonumber(count)
	return factor and number and number * factor or nil
end

--- Seconds. "2 days", 90, "1.5h"; "never", false and negative numbers are math.huge (Prosody 13),
-- and so is "unlimited" (of worker_timeout).
function option_types.period(value)
	value = option_types.scalar(value)
	if value == false or value == "never" or value == "unlimited" then
		return math.huge
	end
	local number = tonumber(value) or type(value) == "string" and with_unit(value) or nil
	if not number or number ~= number then
		return nil, 'a time, as in 30 or "5 minutes"'
	end
	return number < 0 and math.huge or number
end

function option_types.array(value)
	if value == nil then
		return nil, "a list"
	elseif type(value) ~= "table" then
		return { value }
	end
	local copy = {}
	for i = 1, #value do
		copy[i] = value[i]
	end
	return copy
end

option_types.set = option_types.array
option_types.list = option_types.array

function option_types.table(value)
	if type(value) ~= "table" then
		return nil, "a table"
	end
	return value
end

function option_types.any(value)
	return value
end

option_types.path = option_types.string

--- Words of which one is allowed.
-- @param words list
function option_types.enum(value, words)
	value = option_types.scalar(value)
	for _, word in ipairs(words) do
		if value == word then
			return value
		end
	end
	local quoted = {}
	for i, word in ipairs(words) do
		quoted[i] = type(word) == "string" and ("%q"):format(word) or tostring(word)
	end
	return nil, "one of " .. table.concat(quoted, ", ")
end

--- A port: a number, or 0 for one that the kernel picks.
function option_types.port(value)
	local port = option_types.integer(value)
	if not port or port < 0 or port > 65535 then
		return nil, "a port from 0 to 65535"
	end
	return port
end

function option_types.octal(value)
	value = option_types.scalar(value)
	local text = type(value) == "string" and value:match("^0?[0-7][0-7]?[0-7]?$")
	if not text then
		return nil, 'an octal mode, as in "027"'
	end
	return text
end

return option_types
