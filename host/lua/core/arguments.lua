--- Arguments of the module API, checked where a wrong one would show only later, or as an error
-- inside the host: the message names the module's own line.

local arguments <const> = {}

local function is_a(value, wanted)
	if type(value) == wanted then
		return true
	end
	local mt = wanted == "function" and type(value) == "table" and getmetatable(value)
	return type(mt) == "table" and mt.__call ~= nil
end

-- How far up the caller is that is not part of the host.
local function level_of_module()
	local level = 3
	local info = debug.getinfo(level, "S")
	while info and info.short_src:find("^core/") do
		level = level + 1
		info = debug.getinfo(level, "S")
	end
	return level - 1
end

--- Raises "bad argument #2 to 'handover' (function expected, got table)" at the line outside
-- core/ that the call came from.
-- @param name of the function, for the message
-- @param i number of the argument, the module itself not counted
-- @param value what was passed
-- @param wanted name of a type; what can be called is a function
-- @param optional true: nil will do
function arguments.check(name, i, value, wanted, optional)
	if is_a(value, wanted) or optional and value == nil then
		return
	end
	error(("bad argument #%d to '%s' (%s expected, got %s)"):format(i, name, wanted,
		value == nil and "nothing" or type(value)), level_of_module())
end

return arguments
