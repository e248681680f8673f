-- lua5.4 listen_fds.lua NAMES FD… -- COMMAND…: what systemd does for a socket unit. The descriptors
-- become 3, 4, …, LISTEN_PID is this process, which becomes COMMAND. NAMES: "a:b", or "" for none.
package.path = "./.deps/share/lua/5.4/?.lua;./.deps/share/lua/5.4/?/init.lua;" .. package.path
package.cpath = "./.deps/lib/lua/5.4/?.so;" .. package.cpath

local fcntl <const> = require "posix.fcntl"
local stdlib <const> = require "posix.stdlib"
local unistd <const> = require "posix.unistd"

local fds, command = {}, {}
local at = 2
while arg[at] ~= "--" do
	-- Out of the way of 3, 4, … first.
	fds[#fds + 1] = assert(fcntl.fcntl(tonumber(arg[at]), fcntl.F_DUPFD, 100))
	at = at + 1
end
for i, fd in ipairs(fds) do
	assert(unistd.dup2(fd, 2 + i))
	unistd.close(fd)
end
table.move(arg, at + 2, #arg, 1, command)
stdlib.setenv("LISTEN_FDS", tostring(#fds))
stdlib.setenv("LISTEN_PID", tostring(unistd.getpid()))
if arg[1] ~= "" then
	stdlib.setenv("LISTEN_FDNAMES", arg[1])
end
unistd.execp(arg[at + 1], command)
