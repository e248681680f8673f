--- Who listens on a TCP port of this machine, as far as /proc tells (proc(5): net/tcp, PID/fd).

local port_owner <const> = {}

local LISTENING <const> = "0A"

-- Inodes of the sockets that listen on a port: a set of strings.
local function listeners_on(port)
	local inodes = {}
	for _, table_name in ipairs { "tcp", "tcp6" } do
		for line in io.lines("/proc/net/" .. table_name) do
			local at, state, inode = line:match(
				"^%s*%d+: %x+:(%x+) %x+:%x+ (%x+) %S+ %S+ %S+%s+%d+%s+%d+ (%d+)")
			if state == LISTENING and tonumber(at, 16) == port then
				inodes[inode] = true
			end
		end
	end
	return inodes
end

--- Whether a process holds a socket that listens on a TCP port.
-- @param pid integer
-- @param port integer
-- @return true or false; nil and the reason when that process may not be looked into
function port_owner.holds(pid, port)
	local dirent <const> = require "posix.dirent"
	local unistd <const> = require "posix.unistd"
	local folder <const> = ("/proc/%d/fd"):format(pid)
	local ok, names = pcall(dirent.dir, folder)
	if not ok or not names then
		return nil, "cannot read " .. folder
	end
	local inodes <const> = listeners_on(port)
	for _, name in ipairs(names) do
		local target <const> = unistd.readlink(folder .. "/" .. name) or ""
		if inodes[target:match("^socket:%[(%d+)%]$")] then
			return true
		end
	end
	return false
end

return port_owner
