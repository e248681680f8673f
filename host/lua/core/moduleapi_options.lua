--- module:get_option*: typed reads of the config.
-- A value of the wrong type is logged with the place where it was set, and counts as not set.

local config <const> = require "core.configmanager"
local option_types <const> = require "core.option_types"
local paths <const> = require "util.paths"

local api <const> = {}

function api:get_option(name, default)
	-- Remembered, so that a reload of the config can say which module an option waits for.
	self._options_read[name] = true
	local value = config.get(self.host, name)
	if value == nil then
		return default
	end
	return value
end

local function complain(module, name, message)
	-- Specs of modules put a configmanager of their own in its place.
	local where = config.where and config.where(module.host, name)
	module:log("error", "Config option '%s'%s not understood, expecting %s", name,
		where and " (" .. where .. ")" or "", message)
end

--- Reads with a type. A wrong value is an error in the log and nil, as in Prosody.
local function typed(module, kind, name, default, ...)
	local value = module:get_option(name, default)
	if value == nil then
		return nil
	end
	local result, expected = option_types[kind](value, ...)
	if result == nil then
		complain(module, name, expected)
	end
	return result
end

function api:get_option_scalar(name, default)
	local value = self:get_option(name, default)
	if type(value) == "table" then
		if #value > 1 then
			self:log("error", "Config option '%s' does not take a list, using its first item", name)
		end
		return value[1]
	end
	return value
end

function api:get_option_string(name, default)
	local value = self:get_option_scalar(name, default)
	if value == nil then
		return nil
	end
	return tostring(value)
end

--- Keeps a number within bounds, with a warning. The default may lie outside of them.
local function clamp(module, name, value, default, min, max)
	if value == default then
		return value
	elseif value and min and value < min then
		module:log("warn", "Config option '%s' is below its minimum %g, using that", name, min)
		return min
	elseif value and max and value > max then
		module:log("warn", "Config option '%s' is above its maximum %g, using that", name, max)
		return max
	end
	return value
end

function api:get_option_number(name, default, min, max)
	return clamp(self, name, typed(self, "number", name, default), default, min, max)
end

--- A number; what it has behind the point is cut off, with a warning.
function api:get_option_integer(name, default, min, max)
	local value <const> = self:get_option_number(name, default, min, max)
	if value == nil or value == default or math.type(value) == "integer" then
		return value
	end
	local whole <const> = math.tointeger(math.floor(value))
	if not whole then
		complain(self, name, "a whole number")
	elseif whole ~= value then
		self:log("warn", "Config option '%s' expects an integer, %g counts as %d", name, value, whole)
	end
	return whole
end

--- Seconds; "never", false or a negative number is math.huge, whatever the bounds.
function api:get_option_period(name, default, min, max)
	local function bound(value)
		return value and option_types.period(value)
	end
	local value = typed(self, "period", name, default)
	if value == nil and default ~= nil then
		value = option_types.period(default)
	end
	return value == math.huge and value or clamp(self, name, value, nil, bound(min), bound(max))
end

--- One of the given words; a wrong one is logged and the default is used.
function api:get_option_enum(name, default, ...)
	local value = typed(self, "enum", name, default, { default, ... })
	if value == nil then
		return default
	end
	return value
end

function api:get_option_boolean(name, default)
	return typed(self, "boolean", name, default)
end

function api:get_option_array(name, default)
	local value = self:get_option(name, default)
	if value == nil then
		return nil
	end
	local array <const> = require "util.array"
	if type(value) ~= "table" then
		return array { value }
	end
	return array():append(value)
end

function api:get_option_set(name, default)
	local value = self:get_option_array(name, default)
	if value == nil then
		return nil
	end
	return require "util.set".new(value)
end

--- The host's set together with the global one.
function api:get_option_inherited_set(name, default)
	local value = self:get_option_set(name, default)
	local global = self:context("*"):get_option_set(name, default)
	if not value then
		return global
	elseif global then
		value:include(global)
	end
	return value
end

--- A path, relative to a folder of prosody.paths or to `parent`; default: the module's folder.
function api:get_option_path(name, default, parent)
	if parent == nil then
		parent = self:get_directory()
	elseif prosody.paths[parent] then
		parent = prosody.paths[parent]
	end
	local value = self:get_option_string(name, default)
	return value and paths.resolve_relative_path(parent, value)
end

return api
