--- What a connection tells net.http.server: the listener of the services http and https.

local abandon <const> = require "net.http.response".abandon
local host_http <const> = require "host.http"
local host_loop <const> = require "host.loop"
local session <const> = require "net.http.session"
local timer <const> = require "util.timer"

local options <const>, sessions <const> = session.options, session.sessions
local wake <const> = session.wake

-- Seconds: a connection is left open until it has been idle for this long at least, and a request
-- that is on its way when the goodbye comes has this long to arrive.
local least_idle <const>, last_wait <const> = 1, 0.1
-- What stays before the deadline of a goodbye, to close without being cut.
local margin <const> = 0.2

local listener <const> = {}

function listener.onconnect(conn)
	host_http.came(conn)
	conn:setreadtimeout(options.header_timeout)
end

-- A connection that another listener gave to this one.
listener.onattach = listener.onconnect

-- What is no usual request.
local function unusual(conn, data)
	local s <const> = wake(conn)
	if not s then
		return
	elseif s.busy or s.advancing then
		return s.parser:push(data)
	end
	return session.advance(s, data)
end

--- @param resolve (request) → list of handlers
-- @param serve (handlers, request, response)
function listener.init(resolve, serve)
	listener.onincoming = host_http.incoming {
		unusual = unusual, resolve = resolve, serve = serve, ended = session.ended,
	}
end

function listener.ondisconnect(conn)
	local s <const> = sessions[conn]
	if not s then
		local _, _, _, answer = host_http.take(conn)
		if answer then
			abandon(answer)
		end
	else
		s.closed = true
		sessions[conn] = nil
		if s.sink and s.sink.on_destroy then
			s.sink:on_destroy()
		end
		if s.response then
			abandon(s.response)
		end
	end
end

--- Another protocol takes over: what it has been sent already is its.
function listener.ondetach(conn)
	local s <const> = wake(conn)
	if not s then
		return
	end
	s.closed, s.busy = true, false
	sessions[conn] = nil
	conn:setreadtimeout()
	local rest <const> = s.parser:rest()
	if rest or s.paused then
		conn:pause()
		host_loop.nexttick(function ()
			conn:resume()
			local new <const> = conn.listeners
			if rest and new and new.onincoming and conn:getfd() ~= -1 then
				new.onincoming(conn, rest)
			end
		end)
	end
end

--- @return true while the connection stays; a request that takes too long is given up
function listener.onreadtimeout(conn)
	local s <const> = sessions[conn]
	if not s then
		return false
	elseif s.busy and s.response and s.response.begun then
		conn:setreadtimeout(options.request_timeout)
		return true -- an answer may take long; the write timeout decides
	elseif s.busy then
		conn.log("warn", "No answer within %g s: given up", options.request_timeout)
		session.fail(s, 503, "timeout")
		return true
	end
	local _, part = s.parser:pending()
	if part then
		session.fail(s, 408)
		return true
	end
	return false
end

-- Closes it if nothing has come. Looked at twice, with a turn of the loop between: on a busy
-- machine the clock is heard before what waits in the kernel.
local function close_if_idle(s, again)
	local _, part = s.parser:pending()
	if s.closed or s.busy or part then
		return
	elseif again then
		return session.close(s)
	end
	timer.add_task(0.01, function () close_if_idle(s, true) end)
end

-- A client that thinks no longer than the lame-duck period has heard `close` in an answer by now.
-- Who is idle all the same has been so for longer, or has come since: he has the same time from
-- then on. Whoever has it behind him gets no more requests that count on us.
local function time_to_close(s, event)
	local now <const> = host_loop.monotonic()
	local idle <const> = math.max(least_idle, session.announced and session.announced() or 0)
	local at = math.max(now + last_wait, s.idle_since + idle)
	if event.deadline then
		at = math.min(at, event.deadline - margin)
	end
	return math.max(0, at - now)
end

--- The host says goodbye: the answer under way, or one to a request that is on its way, is the
-- last.
-- @return true: closes by itself
function listener.ongoodbye(conn, event)
	local s <const> = wake(conn)
	if not s then
		return false
	end
	s.last, s.retry_after = true, event.after
	s.refuse = event.reason == "draining"
	local _, part = s.parser:pending()
	if not s.busy and not part and not s.refuse then
		timer.add_task(time_to_close(s, event), function () close_if_idle(s) end)
	end
	return true
end

--- A listener for requests that do not go to the apps: health and control of the host itself,
-- which a drain does not concern.
-- @param handle called with (request, response, early); early: the head only, return to wait for
-- the rest
-- @return a listener table of its own
function listener.new(handle)
	local own <const> = {}
	for name, fn in pairs(listener) do
		own[name] = fn
	end
	own.new, own.init = nil, nil
	function own.onconnect(conn)
		listener.onconnect(conn)
		wake(conn).handle = handle
	end
	own.onattach = own.onconnect
	return own
end

return listener
