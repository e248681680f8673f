--- The end of a connection after its last answer (RFC 9112 9.6): nothing more is sent, what the
-- peer still sends is read and thrown away until it closes, at most two seconds. A close with
-- unread input would be a reset, and a reset can take the answer back.

local host_http <const> = require "host.http"
local timer <const> = require "util.timer"

local linger <const> = {}

local longest <const> = 2 -- seconds

local listener <const> = {}

local function stop_sending(conn)
	if not host_http.half_close(conn) then
		conn:close()
		return
	end
	timer.add_task(longest, function ()
		if conn:getfd() ~= -1 then
			conn:destroy()
		end
	end)
end

function listener.onincoming() end

function listener.ondrain(conn)
	if not conn.half_closed then
		conn.half_closed = true
		stop_sending(conn)
	end
end

function listener.onreadtimeout()
	return true -- slow to take its answer: the write timeout decides
end

function listener.ongoodbye()
	return true
end

--- Takes the connection over.
function linger.begin(conn)
	conn.ondrain = nil
	conn:setlistener(listener)
	conn:resume()
	if conn:queued() == 0 then
		listener.ondrain(conn)
	end
end

return linger
