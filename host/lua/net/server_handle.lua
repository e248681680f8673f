--- The methods of handles that need no C: what Prosody's handles have beside the hot path, and
-- words for TLS.

local host_net <const> = require "host.net"
local logger <const> = require "util.logger"
local server_tls <const> = require "net.server_tls"
local timer <const> = require "util.timer"

local server_handle <const> = {}

local socket_methods <const> = {}
local socket_mt <const> = { __index = socket_methods }

-- LuaSocket's third value.
local function with_family(ip, port)
	if ip and ip:find("^[%x:.]+$") then
		return ip, port, ip:find(":", 1, true) and "inet6" or "inet"
	end
	return ip, port
end

function socket_methods:getfd() return self.handle:getfd() end
function socket_methods:getpeername() return with_family(self.handle:getpeername()) end
function socket_methods:getsockname() return with_family(self.handle:getsockname()) end
function socket_methods:setoption(...) return self.handle:setoption(...) end
function socket_methods:settimeout() return 1 end -- luacheck: ignore 212/self
function socket_methods:dirty() return false end -- luacheck: ignore 212/self

local conn <const> = host_net.conn_methods

--- What Prosody's callers ask a LuaSocket object for.
function conn:socket()
	return setmetatable({ handle = self }, socket_mt)
end

-- Flags of the poller: reading is what a caller can mean; writing is watched when there is
-- something to write.
function conn:set(readable)
	if self:getfd() < 0 then
		return nil, "invalid fd"
	end
	if readable then
		self:resume()
	elseif readable == false then
		self:pause()
	end
	return true
end
conn.setflags = conn.set
conn.add = conn.set

function conn:del()
	if self:getfd() < 0 then
		return nil, "invalid fd"
	end
	self:pause()
	return true
end

function conn:set_send() end -- luacheck: ignore 212/self

local listening <const> = host_net.server_methods

listening.socket = conn.socket
server_tls.complete(conn, listening, socket_methods)

-- What its socket() asks and only a connection has.
function listening:getpeername() return nil, "not connected" end -- luacheck: ignore 212/self
function listening:setoption() return false, "unsupported option" end -- luacheck: ignore 212/self

--- Does not accept for a while, as Prosody's handles do after an error; false: goes on at once.
function listening:pausefor(seconds)
	self._pause = {}
	if not seconds then
		return self:gate(true)
	end
	local this <const> = self._pause
	self:gate(false)
	timer.add_task(seconds, function ()
		if self._pause == this then
			self:gate(true)
		end
	end)
end

--- Gives the C side its loggers and the counts of what is in flight.
function server_handle.complete()
	local log <const> = logger.init("net")
	host_net.set_logger(function (level, message)
		log(level, "%s", message)
	end, logger.init)
	local ok, sessions = pcall(require, "core.sessions")
	if ok then
		sessions.count_connections(host_net)
	end
end

return server_handle
