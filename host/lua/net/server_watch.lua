--- net.server: descriptors that somebody else owns, libevent's old words for them, and pipes
-- between two connections.

local host_loop <const> = require "host.loop"
local log <const> = require "util.logger".init("net.server")

local server_watch <const> = {}

--- Watches a descriptor that somebody else owns.
-- @param source number, or object with getfd
-- @param onreadable, onwritable functions of the handle; nil: not watched
-- @return handle with close, setflags(r, w), getfd; or nil, error
function server_watch.watchfd(source, onreadable, onwritable)
	local fd = type(source) == "number" and source or source:getfd()
	local handle, err = host_loop.watch(fd, onreadable, onwritable)
	if not handle then
		return nil, err
	end
	handle.conn, handle.log = source, log
	return handle
end

--- Everything that `from` receives is written to `to`; reading pauses until that is sent. Call it
-- twice for both directions.
-- @param read_size bytes of one read
function server_watch.link(from, to, read_size)
	from.onincoming = function (conn, data)
		conn:pause()
		to:write(data)
	end
	to.ondrain = function ()
		from:resume()
	end
	from:set_mode(read_size)
	from:resume()
end

-- libevent's interface, for old callers --

server_watch.event = { EV_READ = "r", EV_WRITE = "w", EV_READWRITE = "rw", EV_LEAVE = -1 }

--- Old form of watchfd: callback returns EV_LEAVE to end, or a new mode.
function server_watch.addevent(fd, mode, callback)
	local function flags(to)
		return to:find("r", 1, true) ~= nil, to:find("w", 1, true) ~= nil
	end
	local function on_event(watch)
		local ret = callback(watch)
		if ret == -1 then
			watch:setflags(false, false)
		elseif type(ret) == "string" then
			watch:setflags(flags(ret))
		end
	end
	local handle, err = server_watch.watchfd(fd, on_event, on_event)
	if not handle then
		return nil, err
	end
	handle:setflags(flags(mode))
	return handle
end

return server_watch
