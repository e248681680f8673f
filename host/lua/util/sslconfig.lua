--- Collects TLS settings from several tables; later ones win field by field, flags add up.

local paths <const> = require "util.paths"

local sslconfig <const> = {}

-- From the weakest to the strongest.
local protocols <const> = { "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" }

-- A field that is a set: a list of words, or words to booleans; false takes a word away.
local function add_flags(config, field, new)
	local flags <const> = config[field] or {}
	for key, value in pairs(type(new) == "table" and new or { new }) do
		if type(value) == "boolean" then
			flags[key] = value
		else
			flags[value] = true
		end
	end
	config[field] = flags
end

local collect <const> = { options = add_flags, verifyext = add_flags }

local function flag_list(flags)
	local list <const> = {}
	for word, on in pairs(flags) do
		if on then
			list[#list + 1] = word
		end
	end
	table.sort(list)
	return list
end

local function joined(list)
	return type(list) == "table" and table.concat(list, ":") or list
end

local function path(value, basedir)
	if type(value) ~= "string" or not basedir then
		return value
	end
	return paths.resolve_relative_path(basedir, value)
end

local finish <const> = {
	options = flag_list, verifyext = flag_list,
	ciphers = joined, ciphersuites = joined, curveslist = joined,
	certificate = path, key = path, cafile = path, capath = path, dhparam = path,
}

-- "tlsv1_2+" is every protocol without those below.
local function spread_protocol(config)
	local lowest = type(config.protocol) == "string" and config.protocol:match("^(.+)%+$")
	if not lowest then
		return
	end
	local below <const> = {}
	for _, name in ipairs(protocols) do
		if name == lowest then
			config.protocol = "sslv23"
			add_flags(config, "options", below)
			return
		end
		below[#below + 1] = "no_" .. name
	end
end

local builder <const> = {}
builder.__index = builder

--- Takes over the fields of a table; nil is an empty one.
-- @return the builder
function builder:apply(new)
	for field, value in pairs(type(new) == "table" and new or {}) do
		local add <const> = collect[field]
		if add then
			add(self._config, field, value)
		else
			self._config[field] = value
		end
	end
	return self
end

--- The settings in the form that LuaSec takes.
-- @return a new table
function builder:final()
	local config <const> = {}
	for field, value in pairs(self._config) do
		config[field] = value
	end
	if config.options then
		config.options = {}
		add_flags(config, "options", self._config.options)
	end
	spread_protocol(config)
	for field, fn in pairs(finish) do
		if config[field] ~= nil then
			config[field] = fn(config[field], self._basedir)
		end
	end
	return config
end

--- @return context; or nil and why
function builder:build()
	if not self._factory then
		return nil, "no context factory"
	end
	return self._factory(self:final(), self)
end

--- A builder of its own with the same settings.
function builder:clone()
	local copy <const> = sslconfig._new(self._factory, self._basedir)
	for field, value in pairs(self._config) do
		copy:apply { [field] = value }
	end
	return copy
end

--- @param factory function(settings, builder) → context
-- @param basedir folder that relative paths are meant from; nil leaves them as they are
function sslconfig._new(factory, basedir)
	return setmetatable({ _config = {}, _factory = factory, _basedir = basedir }, builder)
end

--- A builder that makes no contexts.
function sslconfig.new()
	return sslconfig._new(nil, nil)
end

return sslconfig
