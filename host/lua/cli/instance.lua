--- Which running host a command means, and what its runtime folder says about it.
-- Only paths are read from a config, as text, so that a broken config does not stop `stop`, and
-- nothing in it is run with the rights of who types.

local info <const> = require "host.info"
local sys <const> = require "host.sys"

local instance <const> = {}

local system_config <const> = "/etc/gadwall/gadwall.cfg.lua"
local path_options <const> = { "runtime_path", "admin_socket", "user", "prosody_user", "pidfile" }

local function read_file(path, limit)
	local fd <const> = sys.open(path, "r")
	local stat <const> = fd and sys.stat_fd(fd)
	local text
	if stat and stat.type == "file" then
		text = sys.readfd(fd)
	end
	if fd then
		sys.close(fd)
	end
	return text and #text <= (limit or 1024 * 1024) and text or nil
end

-- The last literal value of each option that decides where things are.
local function scan(text)
	local tokens <const> = require "core.config_scan".tokens(text)
	local wanted <const>, found <const> = {}, {}
	for _, name in ipairs(path_options) do
		wanted[name] = true
	end
	for i, token in ipairs(tokens) do
		local equals <const>, value <const> = tokens[i + 1], tokens[i + 2]
		if token.kind == "name" and wanted[token.value] and token.depth == 0
			and equals and equals.value == "=" and value and value.kind == "string" then
			found[token.value] = value.value
		end
	end
	return found
end

local function absolute(path)
	if path:sub(1, 1) == "/" then
		return path
	end
	return require "core.places".absolute(path)
end

-- open(2) says ENXIO of a socket, EACCES of one that is not ours to use.
local function is_socket(path)
	local fd, _, errno = sys.open(path, "r")
	if fd then
		sys.close(fd)
	end
	return errno == 6 or errno == 13
end

-- Whether a host runs, or has run, with this socket.
local function exists(path)
	return read_file(instance.folder(path) .. "/gadwall.state", 65536) ~= nil
end

--- The runtime folder of a socket: its own, or the one above the workers' folder "user".
function instance.folder(socket)
	local folder <const> = socket:match("^(.*)/[^/]*$") or "."
	local above <const> = folder:match("^(.*)/user$")
	return above and sys.stat(above .. "/lock") and above or folder
end

--- The socket that a config leads to, whoever may have started it (root or not).
-- @return path; nil and what is wrong with the file
function instance.socket_of(file)
	local text <const> = read_file(file)
	if not text then
		return nil, ("cannot read %s"):format(file)
	end
	local config <const>, places <const> = require "core.configmanager", require "core.places"
	for name, value in pairs(scan(text)) do
		config.set("*", name, value)
	end
	local candidates <const> = {}
	local _, uid = sys.ids()
	for i, as_root in ipairs { uid == 0, uid ~= 0 } do
		candidates[i] = places.find(absolute(file), as_root).admin_socket
	end
	for _, test in ipairs { is_socket, exists } do
		for _, path in ipairs(candidates) do
			if test(path) then
				return path
			end
		end
	end
	return candidates[1]
end

-- The checkout that the current folder is in, if it is one.
local function checkout_socket()
	local folder = require "core.places".absolute(".")
	while folder and folder ~= "" do
		if read_file(folder .. "/host/lua/boot.lua") and read_file(folder .. "/Makefile") then
			return folder .. "/run/gadwall.sock"
		end
		folder = folder:match("^(.*)/[^/]*$")
	end
end

-- Candidates where nothing was said: the first that exists, else the first.
local function default_socket()
	local list <const> = {}
	list[1] = checkout_socket()
	if read_file(system_config) then
		list[#list + 1] = instance.socket_of(system_config)
	end
	local xdg <const> = os.getenv("XDG_RUNTIME_DIR")
	if xdg and xdg ~= "" then
		list[#list + 1] = xdg .. "/gadwall/gadwall.sock"
	end
	for _, path in ipairs(list) do
		if exists(path) then
			return path
		end
	end
	return list[1] or "/run/gadwall/gadwall.sock"
end

local function from_env(name)
	local value <const> = os.getenv(name)
	return value and value ~= "" and value or nil
end

--- Finds the instance. @param opts flags: socket, config
-- @return { socket, folder }; nil and a message
function instance.find(opts)
	local socket, fault = opts.socket or not opts.config and from_env "GADWALL_SOCKET" or nil, nil
	local config <const> = not socket and (opts.config or from_env "GADWALL_CONFIG") or nil
	if config then
		socket, fault = instance.socket_of(config)
	elseif not socket then
		socket = default_socket()
	end
	if not socket then
		return nil, fault
	end
	socket = socket:sub(1, 1) == "@" and socket or absolute(socket)
	return { socket = socket, folder = instance.folder(socket), config = config }
end

--- The keeper's file as a table of strings, or nil.
function instance.state(found)
	local text <const> = read_file(found.folder .. "/gadwall.state", 65536)
	if not text then
		return nil
	end
	local state <const> = {}
	for key, value in text:gmatch("([%w_]+)=([^\n]*)") do
		state[key] = value
	end
	return state
end

--- The pid of the keeper, if one holds the lock of the runtime folder.
function instance.pid(found)
	for _, name in ipairs { "lock", "gadwall.pid" } do
		local pid <const> = sys.flock_test(found.folder .. "/" .. name)
		if pid and pid > 0 then
			return pid
		end
	end
end

--- The config file that `check` and `run` mean without -c.
function instance.config_file(opts)
	local file <const> = opts.config or from_env "GADWALL_CONFIG"
	if file then
		return file
	end
	if info.checkout and checkout_socket() then
		return info.root .. "/contrib/examples/gadwall.cfg.lua"
	end
	return system_config
end

return instance
