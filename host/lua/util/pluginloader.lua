--- Finds and loads module files in the plugin folders (Prosody's util.pluginloader).

local envload <const> = require "util.envload".envload

local loader_methods <const> = {}
local loader_mt <const> = { __index = loader_methods }

local none <const> = "no such file" -- the reason when a resource is not in any place

local has_host <const>, info <const> = pcall(require, "host.info")

-- Without a runtime around it (a script, a spec) the built-in modules are there.
local function plugin_dirs()
	local dirs = {}
	for dir in (prosody.paths.plugins or has_host and info.modules or ""):gmatch("[^;]+") do
		dirs[#dirs + 1] = dir
	end
	return dirs
end

local function read_text(path)
	local file = io.open(path)
	if not file then
		return nil
	end
	-- A folder opens, but does not read.
	local text = file:read("a")
	file:close()
	return text
end

-- The text, or nil: there is none, the next place is looked at; a reason ends the search.
function loader_methods:_read(path)
	return (self._options.read or read_text)(path)
end

--- Reads the first of several names that exists in a plugin folder.
-- @param names list of paths relative to a plugin folder
-- @return text, path, metadata; or nil and the reason
function loader_methods:load_file(names)
	local err = none
	for _, dir in ipairs(plugin_dirs()) do
		for _, name in ipairs(names) do
			local path = dir .. "/" .. name
			local text, refused = self:_read(path)
			if refused then
				return nil, refused
			elseif text then
				local metadata, reason
				if self._options.load_filter_cb then
					path, text, metadata, reason = self._options.load_filter_cb(path, text)
				end
				if path and text then
					return text, path, metadata
				end
				err = reason or metadata or err
			end
		end
	end
	return nil, err
end

--- The names under which a plugin's resource is looked for, in order.
local function candidates(plugin, resource)
	local file = resource or "mod_" .. plugin .. ".lua"
	return {
		"mod_" .. plugin .. "/" .. plugin .. "/" .. file,
		"mod_" .. plugin .. "/" .. file,
		plugin .. "/" .. file,
		file,
		"share/lua/5.4/" .. file,
		"share/lua/5.4/mod_" .. plugin .. "/" .. file,
	}
end

function loader_methods:load_resource(plugin, resource)
	return self:load_file(candidates(plugin, resource))
end

-- What load_resource has found, as a chunk.
local function compile(text, path, metadata, env)
	if not text then
		return nil, path
	end
	local chunk, err = envload(text, "@" .. path, env or _G)
	if not chunk then
		return nil, err, path
	end
	return chunk, path, metadata
end

--- @return chunk, path, metadata; or nil and the message
function loader_methods:load_code(plugin, resource, env)
	local text, path, metadata = self:load_resource(plugin, resource)
	return compile(text, path, metadata, env)
end

--- As load_code for `NAME.EXTENSION`, then `NAME.lua`, then in a folder of the resource's own name
-- (module:require "adhoc" finds adhoc/adhoc.lib.lua).
function loader_methods:load_code_ext(plugin, resource, extension, env)
	local text, path, metadata = self:load_resource(plugin, resource .. "." .. extension)
	if path == none and extension == "lib.lua" then
		text, path, metadata = self:load_resource(plugin, resource .. ".lua")
		if path == none then
			text, path, metadata = self:load_resource(resource, resource .. "." .. extension)
		end
	end
	return compile(text, path, metadata, env)
end

--- @param options `load_filter_cb(path, text)` → path, text, metadata; nil skips the file.
-- `read(path)` → text; nil: it is not there; nil and a reason: it is, and nothing may be loaded
local function init(options)
	return setmetatable({ _options = options or {} }, loader_mt)
end

local default <const> = init()

return {
	init = init,
	load_file = function (names) return default:load_file(names) end,
	load_resource = function (...) return default:load_resource(...) end,
	load_code = function (...) return default:load_code(...) end,
	load_code_ext = function (...) return default:load_code_ext(...) end,
}
