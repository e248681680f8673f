-- The first Lua of every process: search paths, both spellings of `require`, then the role.
-- Called with the role and its arguments; returns the exit status.

local role <const> = ...
local args <const> = { select(2, ...) }
local info <const> = require "host.info"

-- Text only: mutated bytecode can crash the interpreter. The runtime's own is in the
-- binary (info.load_embedded).
local load_any <const>, loadfile_any <const> = load, loadfile
function load(chunk, name, _, ...) return load_any(chunk, name, "t", ...) end
function loadfile(path, _, ...) return loadfile_any(path, "t", ...) end
function dofile(path)
	local chunk, err = loadfile(path)
	if not chunk then error(err, 2) end
	return chunk()
end
string.dump = nil

-- The folders of Lua libraries beside the runtime itself: ours first, then the distribution's.
local function library_paths()
	local root <const> = info.root
	local own <const> = info.checkout and root .. "/.deps" or root
	local lua, c = {}, {}
	local function add(share, lib)
		table.insert(lua, share .. "/?.lua")
		table.insert(lua, share .. "/?/init.lua")
		table.insert(c, lib .. "/?.so")
	end
	if info.checkout then
		add(own .. "/share/lua/5.4", own .. "/lib/lua/5.4")
	else
		add(own .. "/lib/gadwall/lua", own .. "/lib/gadwall/lua")
	end
	local system <const> = package.path:gsub("%./%?%.lua;?", ""):gsub("%./%?/init%.lua;?", "")
	table.insert(lua, (system:gsub(";$", "")))
	table.insert(c, (package.cpath:gsub("%./%?%.so;?", ""):gsub(";$", "")))
	return table.concat(lua, ";"), table.concat(c, ";")
end
package.path, package.cpath = library_paths()

-- The runtime comes from the binary (or from GADWALL_LUA=DIR, for development).
local function search_runtime(name)
	if info.lua_folder then
		local path <const> = info.lua_folder .. "/" .. name:gsub("%.", "/") .. ".lua"
		local chunk, err = loadfile(path)
		if chunk then return chunk, path end
		if not err:find("cannot open", 1, true) then error(err, 0) end
		return "\n\tno file '" .. path .. "'"
	end
	local chunk <const> = info.load_embedded(name, "@" .. name:gsub("%.", "/") .. ".lua")
	if not chunk then return "\n\tnot in the runtime: '" .. name .. "'" end
	return chunk, name
end

-- Modules since 2024 say `prosody.util.timer`, older ones `util.timer`; both are one instance.
local function search_prefixed(name)
	local plain <const> = name:match("^prosody%.(.+)$")
	if not plain then return end
	return function() return require(plain) end, plain
end

table.insert(package.searchers, 2, search_prefixed)
table.insert(package.searchers, 3, search_runtime)

local entry <const> = {
	worker = "core.worker",
	reader = "core.reader",
	command = "cli.main",
}
return require(entry[role])(table.unpack(args)) or 0
