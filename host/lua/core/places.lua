--- Where a config's runtime files are (runtime_path, data_path, pidfile, admin_socket).

local config <const> = require "core.configmanager"
local paths <const> = require "util.paths"

local sys <const> = require "host.sys"

local places <const> = {}

local function current_folder()
	return sys.cwd()
end

--- An absolute form without "." and ".." components.
function places.absolute(path, folder)
	path = paths.resolve_relative_path(folder or current_folder(), path)
	if path:sub(1, 1) ~= "/" then
		path = current_folder() .. "/" .. path
	end
	local parts = {}
	for part in path:gmatch("[^/]+") do
		if part == ".." then
			parts[#parts] = nil
		elseif part ~= "." then
			parts[#parts + 1] = part
		end
	end
	return "/" .. table.concat(parts, "/")
end

--- The checkout that a config lies in, or nil.
local function checkout_of(file)
	local info <const> = require "host.info"
	local folder = paths.dirname(file)
	if info.checkout and (folder .. "/"):sub(1, #info.root + 1) == info.root .. "/" then
		return info.root
	end
end

local function env_folder(name)
	local value = os.getenv(name)
	-- systemd gives a list; the first one is ours.
	return value and value ~= "" and value:match("^[^:]+") or nil
end

local function runtime_folder(file, root)
	local checkout = checkout_of(file)
	local xdg = env_folder "XDG_RUNTIME_DIR"
	return env_folder "RUNTIME_DIRECTORY" or checkout and checkout .. "/run"
		or root and "/run/gadwall" or xdg and xdg .. "/gadwall"
		or ("/tmp/gadwall-%d"):format(select(2, sys.ids()))
end

local function data_folder(file, root, runtime)
	local checkout = checkout_of(file)
	return env_folder "STATE_DIRECTORY" or checkout and checkout .. "/run/data"
		or root and "/var/lib/gadwall" or runtime .. "/data"
end

local function text_or(value, default)
	return type(value) == "string" and value ~= "" and value or default
end

--- Finds all places for the config in force.
-- @param file the config's path
-- @param root whether the keeper is root; default: we are
-- @return { config, folder, runtime, user_runtime, data, admin_socket, pidfile } with absolute
--   paths
function places.find(file, root)
	if root == nil then
		root = select(2, sys.ids()) == 0
	end
	file = places.absolute(file)
	local folder = paths.dirname(file)
	local function option(name)
		local value = text_or(config.get("*", name))
		return value and places.absolute(value, folder)
	end
	local found = { config = file, folder = folder }
	found.runtime = option "runtime_path" or runtime_folder(file, root)
	found.data = option "data_path" or data_folder(file, root, found.runtime)
	local drops = root and (config.get("*", "user") or config.get("*", "prosody_user"))
	found.user_runtime = drops and found.runtime .. "/user" or found.runtime
	found.admin_socket = places.absolute(text_or(config.get("*", "admin_socket"), "gadwall.sock"),
		found.user_runtime)
	local pidfile = config.get("*", "pidfile")
	found.pidfile = pidfile ~= false
		and places.absolute(text_or(pidfile, "gadwall.pid"), found.runtime)
	return found
end

--- Makes a folder and those above it (mode 0750).
-- @return true if it is there; or nil and the system's words
function places.make_folder(path)
	local err
	for at in (path .. "/"):gmatch("()/") do
		local part = path:sub(1, at - 1)
		if part ~= "" and not sys.stat(part) then
			local _
			_, err = sys.mkdir(part, 488)
		end
	end
	if sys.stat(path) then
		return true
	end
	return nil, err
end

--- Writes a small file whole: who reads it meanwhile has the old text or the new one. It is there
-- after a crash of this process, not of the machine (that is util.storefile's).
-- @param path of the file
-- @param text
-- @param mark optional: what makes the name of the file beside it ours, where several processes
--   write the same path
-- @return true; or nil and a message, and the old file is as it was
function places.replace(path, text, mark)
	local scratch <const> = ("%s.%s"):format(path, mark or "tmp")
	local file, err = io.open(scratch, "w")
	if not file then
		return nil, err
	end
	local ok, why = file:write(text)
	local closed, close_err = file:close()
	if ok and closed then
		ok, why = os.rename(scratch, path)
		closed = ok
	end
	if not closed then
		os.remove(scratch)
		return nil, why or close_err
	end
	return true
end

return places
