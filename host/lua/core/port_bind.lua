--- Getting a listening socket: from the keeper if it holds one of that name, else by binding; the keeper gets a dup.
-- Order and names: PROCESSES.md, Who binds.

local config <const> = require "core.configmanager"
local log <const> = require "util.logger".init("portmanager")
local net <const> = require "host.net"
local port_address <const> = require "core.port_address"

local port_bind <const> = {}

--- host.keeper, or nil where there is no keeper (development, specs).
local function keeper()
	local ok, found = pcall(require, "host.keeper")
	return ok and found.hello and found or nil
end

local stat_of <const> = function (path)
	return require "posix.sys.stat".lstat(path)
end

--- Whether a Unix path is a dead socket of ours that may be replaced: connecting to it is refused.
local function is_stale(path)
	local stat <const> = require "posix.sys.stat"
	local socket <const> = require "posix.sys.socket"
	local unistd <const> = require "posix.unistd"
	local info = stat_of(path)
	if not info or stat.S_ISSOCK(info.st_mode) == 0 or info.st_uid ~= unistd.geteuid() then
		return false
	end
	local fd = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
	if not fd then
		return false
	end
	local ok, _, errno = socket.connect(fd, { family = socket.AF_UNIX, path = path })
	unistd.close(fd)
	return not ok and errno == require "posix.errno".ECONNREFUSED
end

local function bind(address, opts)
	if not address.unix then
		return net.bind(address.interface, address.port, { backlog = opts.backlog, type = "tcp" })
	end
	local path = address.interface
	local unix = { backlog = opts.backlog, type = "unix" }
	local fd, err, errno = net.bind(path, 0, unix)
	if not fd and path:sub(1, 1) == "/" and is_stale(path) then
		os.remove(path)
		fd, err, errno = net.bind(path, 0, unix)
	end
	return fd, err, errno
end

--- Asks the keeper to bind one of the privileged addresses of the config, by its place in the list.
local function bind_privileged(address)
	local k = keeper()
	if not k or address.unix then
		return nil
	end
	for i, item in ipairs(require "core.settings".privileged_addresses()) do
		if item.interface == address.interface and item.port == address.port then
			return k.bind_privileged(i)
		end
	end
end

--- What a bind error means and which line of the config changes it.
function port_bind.explain(service, address, err)
	local prefix = port_address.prefix(service)
	local where = config.where("*", prefix .. "ports")
	local fix = ("%sports = { … }%s"):format(prefix, where and " (" .. where .. ")" or
		" in the config")
	if err:find("in use", 1, true) then
		if address.unix then
			return err .. ": another program listens on this path"
		end
		return ("%s: another program has port %d (ss -ltnp 'sport = :%d' shows it); change %s"):format(
			err, address.port, address.port, fix)
	elseif err:find("permission", 1, true) and address.port > 0 and address.port < 1024 then
		return ("%s: ports below 1024 need a start as root; change %s"):format(err, fix)
	elseif err:find("assign", 1, true) then
		return ("%s: this machine has no address %s; change %sinterfaces"):format(err,
			address.interface, prefix)
	end
	return err
end

--- Whether a failure to bind is only "this machine has no IPv6", with nobody having asked for it.
function port_bind.is_missing_family(address, err)
	return not address.configured and address.interface:find(":", 1, true) ~= nil
		and (err:find("family", 1, true) ~= nil or err:find("assign", 1, true) ~= nil)
end

--- Opens the socket of an address: taken from the keeper, or bound, not yet listening.
-- @param address from port_address.wanted
-- @param opts backlog
-- @return fd, inherited; or nil and bind(2)'s words
function port_bind.open(address, opts)
	local k = keeper()
	local fd = k and k.take(address.name)
	if fd then
		return fd, true
	end
	local err, errno
	fd, err, errno = bind(address, opts)
	if not fd and errno == 13 then
		fd = bind_privileged(address)
	end
	if not fd then
		return nil, err
	end
	if k then
		k.hold(address.name, fd)
	end
	return fd, false
end

--- The keeper lets a listener go.
function port_bind.forget(address)
	local k = keeper()
	if k then
		k.unhold(address.name)
	end
end

--- Device and inode of a Unix path, to know later that it is still ours.
function port_bind.identity(address)
	local info = address.unix and address.interface:sub(1, 1) == "/" and stat_of(address.interface)
	return info and { dev = info.st_dev, ino = info.st_ino } or nil
end

--- Removes a Unix path if it is still the one that was bound.
function port_bind.unlink(address, identity)
	local now = identity and port_bind.identity(address)
	if not now then
		return
	elseif now.dev == identity.dev and now.ino == identity.ino then
		os.remove(address.interface)
	else
		log("warn", "%s is no longer our socket, it is left alone", address.interface)
	end
end

return port_bind
