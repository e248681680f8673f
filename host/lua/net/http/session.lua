--- A connection of net.http.server: one request after another, answered in order.
--
--    reading ──> busy (a handler works, input waits in the kernel) ──> reading
--       └──────────┴──> lingering (the last answer is out, input is thrown away) ──> closed
--
-- A connection at rest has no session (net.http.resting).

local host_http <const> = require "host.http"
local host_loop <const> = require "host.loop"
local linger <const> = require "net.http.linger"
local log <const> = require "util.logger".init("http.server")
local new_response <const> = require "net.http.response".new
local abandon <const> = require "net.http.response".abandon
local resting <const> = require "net.http.resting"
local run_pooled <const> = require "util.async".run_pooled

local session <const> = {}

local monotonic <const>, coarse <const> = host_loop.monotonic, host_loop.coarse
-- By name a method costs three times as much, and these are called at every request.
local set_read_timeout <const> = require "host.net".conn_methods.setreadtimeout

--- Limits and times; net.http.server sets them.
session.options = {
	body_size_limit = 10 * 1024 * 1024, max_request_line = 8192, max_header_size = 32768,
	max_headers = 64, max_pipeline = 16, header_timeout = 10, body_timeout = 10,
	keepalive_timeout = 60, request_timeout = 300,
}

-- Seconds between requests while the service is drained.
local drained_wait <const> = 5

-- conn → session
local sessions <const> = {}
session.sessions = sessions
local options = session.options

-- net.http.server's: handle(request, response, early), report(response, code, message)
local handle, report

local function new_parser(conn)
	return host_http.parser("request", {
		line = options.max_request_line, header = options.max_header_size,
		headers = options.max_headers, body = options.body_size_limit,
	}, conn)
end

--- A connection that is new, or has been given to us.
session.came = resting.came

--- The session of a connection; made, or taken from those that are spare, if it is at rest.
-- @return session; nil: it is none of ours, or closes
function session.wake(conn)
	local s = sessions[conn]
	if s then
		return s
	end
	local since <const>, count <const> = resting.take(conn)
	if not since then
		return nil
	end
	s = resting.spare()
	if s then
		s.conn, s.count, s.idle_since = conn, count, since
		s.parser:adopt(conn)
	else
		s = { conn = conn, count = count, busy = false, idle_since = since,
			parser = new_parser(conn) }
	end
	sessions[conn] = s
	resting.watch(sessions)
	return s
end

-- Running handlers --------------------------------------------------------------------------------

local advance

local function fail(s, code, message)
	local response = s.response
	if response and response.begun then
		s.closed = true
		s.conn:destroy()
		sessions[s.conn] = nil
		return abandon(response)
	end
	response = new_response(s.conn, response and response.request, session.finish, s)
	s.response = response
	response.persistent = false
	s.busy = true
	report(response, code, message)
end

local function on_error(s, err)
	log("error", "Traceback[httpserver]: %s", err)
	if s.closed then
		return
	end
	local ok, why = xpcall(fail, debug.traceback, s, 500, err)
	if not ok then
		log("error", "Answering with an error: %s", why)
		s.conn:destroy()
	end
end

-- Called when a handler has looked at the head of a body that has not come.
local function go_on(s)
	local request, expects = s.request, select(3, host_http.framing(s.request))
	s.early, s.busy, s.response, s.request = nil, false, nil, nil
	if request.body_sink then
		s.sink = request
		s.parser:stream()
	end
	local _, _, _, length = host_http.framing(request)
	local welcome = request.body_sink or length <= options.body_size_limit
	if expects and welcome and s.parser:pending() == 0 then
		s.conn:write("HTTP/1.1 100 Continue\r\n\r\n")
	end
	if s.paused then
		s.paused = false
		s.conn:resume()
	end
	if not s.advancing then
		advance(s)
	end
end

local function work(s)
	local response <const> = s.response
	local own <const> = s.handle or handle
	own(s.request, response, s.early)
	if s.early and s.response == response and not response.finished then
		go_on(s)
	end
end

local function run(s, request)
	local response <const> = new_response(s.conn, request, session.finish, s)
	s.busy, s.request, s.response = true, request, response
	run_pooled(work, s, on_error)
	if s.busy and not s.closed and not s.paused then
		s.paused = true
		s.conn:pause()
		s.conn:setreadtimeout(options.request_timeout)
	end
end

-- Reading -----------------------------------------------------------------------------------------

local function sink_write(s, data)
	local sink = s.sink.body_sink
	local ok, taken = xpcall(sink.write, debug.traceback, sink, data)
	if not ok then
		log("error", "Writing to a body's sink: %s", taken)
	end
	if not ok or not taken then
		s.sink = nil
		fail(s, 500, "body-sink-write-failure")
		return false
	end
	return true
end

local steps <const> = {}

function steps.request(s, request)
	s.count, s.begun = s.count + 1, nil
	if s.refuse then
		local response = new_response(s.conn, request, session.finish, s)
		s.response, s.busy = response, true
		response.headers.retry_after = ("%d"):format(math.ceil(tonumber(s.retry_after) or 1))
		return report(response, 503)
	end
	return run(s, request)
end

function steps.head(s, request)
	local _, _, _, length, chunked = host_http.framing(request)
	s.begun = s.begun or monotonic()
	if not s.refuse and (chunked or length > options.body_size_limit) then
		s.early = true
		return run(s, request)
	end
	s.request = request
	return go_on(s)
end

function steps.body(s, data)
	return sink_write(s, data)
end

steps["end"] = function (s, data)
	local request <const> = s.sink
	if request and (data == "" or sink_write(s, data)) then
		s.sink = nil
		host_http.complete(request)
		return steps.request(s, request)
	end
end

function steps.error(s, code, message)
	s.conn.log("debug", "Refused with %d: %s", code, message)
	s.request = nil
	return fail(s, code, message)
end

-- Between two requests.
local function idle_wait(s)
	local wait <const> = options.keepalive_timeout
	if session.draining and not s.handle and session.draining(s.conn) then
		return math.min(wait, drained_wait)
	end
	return wait
end

-- Sets the clock for what comes next.
local function expect_more(s)
	local _, part, over = s.parser:pending()
	local wait
	if over then
		return
	elseif part then
		local now = monotonic()
		s.begun = s.begun or now
		wait = s.begun + options.header_timeout - now
		if part == "body" then
			wait = math.min(options.body_timeout, s.begun + options.request_timeout - now)
		end
		wait = math.max(wait, 0.001)
	elseif s.count == 0 then
		wait = options.header_timeout
	else
		wait = idle_wait(s)
	end
	set_read_timeout(s.conn, wait)
end

-- The others get their turn.
local function go_on_later(s)
	s.busy = true
	s.conn:pause()
	host_loop.nexttick(function ()
		if not s.closed then
			s.busy = false
			s.conn:resume()
			advance(s)
		end
	end)
end

advance = function (s, data)
	s.advancing = true
	local left = options.max_pipeline
	local kind, a, b, quiet = s.parser:next(data)
	while kind do
		steps[kind](s, a, b)
		if s.busy or s.closed then
			break
		end
		if quiet then
			s.advancing = false
			return set_read_timeout(s.conn, idle_wait(s))
		end
		left = kind == "request" and left - 1 or left
		if left == 0 and s.parser:pending() > 0 then
			go_on_later(s)
			break
		end
		kind, a, b, quiet = s.parser:next()
	end
	s.advancing = false
	if not s.busy and not s.closed then
		expect_more(s)
	end
end

-- Ending ------------------------------------------------------------------------------------------

local function close(s, at_once)
	s.closed, s.busy = true, false
	sessions[s.conn] = nil
	if at_once then
		s.conn:close()
	else
		linger.begin(s.conn)
	end
end

-- The last answer is out. Who asked for the end of the connection sends nothing more.
local function close_after(s, request)
	local complete <const> = request and not request.partial
	s.early, s.sink = nil, nil
	return close(s, complete and not host_http.framing(request))
end

--- An answer has ended (response.finish_cb).
function session.finish(response)
	local s <const> = response.session
	if not s or s.response ~= response or s.closed then
		return
	end
	s.response, s.request = nil, nil
	if not response.persistent or s.early or s.sink then -- else the request is complete
		return close_after(s, response.request)
	end
	s.busy, s.idle_since = false, coarse()
	if s.paused then
		s.paused = false
		s.conn:resume()
	end
	if not s.advancing then
		return advance(s)
	end
end

--- @return the request that is being answered on a connection, or nil
function session.request_of(conn)
	local s <const> = conn and sessions[conn]
	return s and s.response and s.response.request or nil
end

-- What the listener needs.
session.advance, session.fail, session.close = advance, fail, close

--- @param hooks handle(request, response, early), report(response, code, message)
function session.init(hooks)
	handle, report = hooks.handle, hooks.report
	require "net.http.response".set_persistence(function (response)
		local s <const> = response.session
		local draining <const> = session.draining and not (s and s.handle)
		return not (s and s.last) and not (draining and session.draining(response.conn))
	end)
end

return session
