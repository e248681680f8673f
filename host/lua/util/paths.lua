--- Paths and glob patterns (Prosody's util.paths).

local gsub <const> = string.gsub

local paths <const> = {}

--- Resolves a path against a folder. Absolute and `~` paths stay; `.` components at the front go.
-- @param parent folder, or nil
-- @param path what was written
function paths.resolve_relative_path(parent, path)
	if not path then
		return nil
	end
	if not parent or path:match("^[/~]") then
		return path
	end
	parent = parent:gsub("(.)/+$", "%1")
	path = path:gsub("^%./+", "")
	if parent == "/" then
		return "/" .. path
	end
	return parent .. "/" .. path
end

--- A Lua pattern for a glob of `*` and `?`.
function paths.glob_to_pattern(glob)
	return "^" .. glob:gsub("[%p*?]", function (c)
		if c == "*" then
			return ".*"
		elseif c == "?" then
			return "."
		end
		return "%" .. c
	end) .. "$"
end

--- Joins components with one slash between them; what comes after a nil is left out.
function paths.join(first, ...)
	local out = first
	for i = 1, select("#", ...) do
		local part = select(i, ...)
		if part == nil then break end
		out = gsub(out, "/+$", "") .. "/" .. gsub(part, "^/+", "")
	end
	return out
end

--- The folder part of a path, "." if there is none.
function paths.dirname(path)
	local dir = path:match("^(.*)/[^/]*$")
	if dir == "" then
		return "/"
	end
	return dir or "."
end

--- The last component of a path.
function paths.basename(path)
	return path:match("([^/]*)$")
end

--- Adds a folder in LuaRocks' layout to the search for libraries.
function paths.complement_lua_path(installer_path)
	local share = installer_path .. "/share/lua/5.4"
	local wanted = { share .. "/?.lua", share .. "/?/init.lua" }
	for _, entry in ipairs(wanted) do
		if not (";" .. package.path .. ";"):find(";" .. entry .. ";", 1, true) then
			package.path = entry .. ";" .. package.path
		end
	end
	local c_entry = installer_path .. "/lib/lua/5.4/?.so"
	if not (";" .. package.cpath .. ";"):find(";" .. c_entry .. ";", 1, true) then
		package.cpath = c_entry .. ";" .. package.cpath
	end
end

return paths
