--- What a config file gets for the name of a list that it has set before (Prosody 13): something
-- that can be appended to, indexed and copied.

local config_proxy <const> = {}

local proxy_methods <const> = {}
local proxy_mt <const> = {}

--- The value behind what a config file calls an earlier option.
function config_proxy.unwrap(value)
	if getmetatable(value) == proxy_mt then
		return rawget(value, "_value")
	end
	return value
end

function proxy_methods:value()
	return rawget(self, "_value")
end

function proxy_methods:append(more)
	if type(more) ~= "table" then
		error("append expects a list of values, as in " .. rawget(self, "_name") .. ":append { … }", 2)
	end
	more = config_proxy.unwrap(more)
	local target = {}
	for key, value in pairs(rawget(self, "_value")) do
		target[key] = value
	end
	for key, value in pairs(more) do
		if math.type(key) ~= "integer" then
			target[key] = value
		end
	end
	for _, value in ipairs(more) do
		target[#target + 1] = value
	end
	rawset(self, "_value", target)
	rawget(self, "_set")(target)
	return self
end

function proxy_mt:__index(key)
	return proxy_methods[key] or rawget(self, "_value")[key]
end

function proxy_mt:__newindex(key, value)
	rawget(self, "_value")[key] = config_proxy.unwrap(value)
end

function proxy_mt:__call(more)
	if type(more) ~= "table" then
		error("invalid syntax: is there a '=' missing after " .. rawget(self, "_name") .. "?", 2)
	end
	return proxy_methods.append(self, more)
end

function proxy_mt:__len()
	return #rawget(self, "_value")
end

function proxy_mt:__pairs()
	return pairs(rawget(self, "_value"))
end

--- @param name of the option
-- @param value its table
-- @param set fn(new table), called by append
function config_proxy.new(name, value, set)
	return setmetatable({ _name = name, _value = value, _set = set }, proxy_mt)
end

return config_proxy
