--- The admin socket's rights, and who is at the other end.

local sys <const> = require "host.sys"

local socket <const> = {}

--- Sets mode and group of the socket's path.
-- @param group name or nil @return true; or nil and what is wrong
function socket.protect(path, group)
	if path:sub(1, 1) ~= "/" then
		return true
	end
	if not group then
		return sys.chmod(path, tonumber("600", 8)) ~= nil
	end
	local found <const> = require "posix.grp".getgrnam(group)
	if not found then
		return nil, ("no group '%s'"):format(group)
	end
	local ok, err = require "posix.unistd".chown(path, -1, found.gr_gid)
	if not ok then
		return nil, err
	end
	return sys.chmod(path, tonumber("660", 8)) ~= nil, nil, found.gr_gid
end

--- Who connected, from the kernel (SO_PEERCRED), as numbers.
-- @param conn handle of net.server @return { pid, uid, gid, groups }; or nil and the reason
function socket.peer(conn)
	local fd <const> = conn:getfd()
	local pid, uid, gid = sys.peercred(fd)
	if not pid then
		return nil, uid
	end
	return { pid = pid, uid = uid, gid = gid, groups = sys.peergroups(fd) or {} }
end

--- Whether a peer may use the console: root, our own uid, or a member of the group.
-- @param gid of admin_socket_group, or nil
function socket.allowed(peer, gid)
	local _, own = sys.ids()
	if peer.uid == 0 or peer.uid == own or gid and peer.gid == gid then
		return true
	end
	for _, group in ipairs(gid and peer.groups or {}) do
		if group == gid then
			return true
		end
	end
	return false
end

return socket
