--- Finding module files and judging their head comments (Prosody 13: `--% requires: a, b`).

local config_file <const> = require "core.config_file"
local log <const> = require "util.logger".init("modulemanager")
local pluginloader <const> = require "util.pluginloader"

local module_files <const> = {}

--- The `--% key: value` lines of a module's text.
function module_files.metadata(text)
	local found = {}
	if not text:find("--%", 1, true) then -- most have none, and a start reads them all
		return found
	end
	for line in text:gmatch("[^\r\n]+") do
		local key, value = line:match("^%-%-%% *([%w_]+): *(.-)%s*$")
		if key then
			found[key] = value
		end
	end
	return found
end

--- Why the head comments forbid loading, or nil.
local function refusal(metadata)
	local available <const> = require "core.features".available
	for name in (metadata.conflicts or ""):gmatch("[^, ]+") do
		if available:contains(name) then
			return "conflicts with the feature '" .. name .. "'"
		end
	end
	for name in (metadata.requires or ""):gmatch("[^, ]+") do
		if not available:contains(name) then
			return "needs the feature '" .. name .. "'"
		end
	end
	if metadata.lua and not (" " .. metadata.lua:gsub(",", " ") .. " "):find(" 5.4 ", 1, true) then
		return "is for Lua " .. metadata.lua
	end
	return nil
end

local overrides <const> = {}

--- Says once that a module in plugin_paths stands in for a built-in one.
local function note_override(path)
	local builtin = prosody.paths.builtin
	local file = path:match("[^/]*$")
	if not builtin or path:sub(1, #builtin + 1) == builtin .. "/" or overrides[path] then
		return
	end
	local known = io.open(builtin .. "/" .. file)
	if known then
		known:close()
		overrides[path] = true
		log("info", "%s is used instead of the built-in %s", path, file)
	end
end

local function started_as_root()
	local ok, keeper <const> = pcall(require, "host.keeper")
	return ok and keeper.hello.as_root
end

-- What everyone may write is refused as root, as at the start (core/check_modules.lua); there the
-- reader has warned of it otherwise.
local function read(path)
	local text, judged <const> = config_file.read(path, { as_root = started_as_root() })
	for _, item in ipairs(text and judged or {}) do
		if item.everyone and item.severity == "error" then
			return nil, path .. " " .. item.message
		elseif item.everyone and prosody.state ~= "starting" then
			log("warn", "%s %s", path, item.message)
		end
	end
	return text
end

module_files.loader = pluginloader.init {
	read = read,
	load_filter_cb = function (path, text)
		local metadata = module_files.metadata(text)
		local reason = refusal(metadata)
		if reason then
			log("warn", "Not loading %s: it %s", path, reason)
			return nil, nil, nil, "it " .. reason
		end
		if path:find("mod_[%w_]+%.lua$") then
			note_override(path)
		end
		return path, text, metadata
	end,
}

return module_files
