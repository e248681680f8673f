--- A connection of net.http.server: one request after another, answered in order.
--
--    reading ──> busy (a handler works, input waits in the kernel) ──> reading
--       └──────────┴──> lingering (the last answer is out, input is thrown away) ──> closed
--
-- A connection at rest has no session (net.http.resting), nor has one whose request is usual
-- (bindings/lua_http_serve.c) as long as its handlers run: most are answered by then.

local host_http <const> = require "host.http"
local host_loop <const> = require "host.loop"
local linger <const> = require "net.http.linger"
local log <const> = require "util.logger".init("http.server")
local response <const> = require "net.http.response"
local resting <const> = require "net.http.resting"
local async <const> = require "util.async"

local new_response <const>, abandon <const> = response.new, response.abandon
local run_pooled <const> = async.run_pooled

local session <const> = {}

local monotonic <const>, coarse <const> = host_loop.monotonic, host_loop.coarse
local answered <const> = host_http.answered
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

-- What a session has to know of a request whose handlers run, or have run, without one.
local function set_busy(s, answer)
	s.busy, s.request, s.response = true, answer.request, answer
	response.give_session(answer, s)
end

--- The session of a connection; made, or taken from those that are spare, if it has none.
-- @param answer the response to the request that is being served, if its handlers have run
-- @return session; nil: it is none of ours, or closes
function session.wake(conn, answer)
	local s = sessions[conn]
	if s then
		return s
	end
	local since <const>, count <const>, serving <const>, current <const> = host_http.take(conn)
	if not since then
		return nil
	end
	answer = serving and (current or answer)
	s = resting.spare()
	if s then
		s.conn, s.count, s.idle_since = conn, count, since
		s.parser:adopt(conn)
	else
		s = { conn = conn, count = count, busy = false, idle_since = since,
			parser = new_parser(conn) }
	end
	sessions[conn] = s
	if answer then
		set_busy(s, answer)
	end
	resting.watch(sessions)
	return s
end
local wake <const> = session.wake

-- Running handlers --------------------------------------------------------------------------------

local advance

local function fail(s, code, message)
	local answer = s.response
	if answer and answer.begun then
		s.closed = true
		s.conn:destroy()
		sessions[s.conn] = nil
		return abandon(answer)
	end
	answer = new_response(s.conn, answer and answer.request, s)
	s.response = answer
	answer.persistent = false
	s.busy = true
	report(answer, code, message)
end

local function on_error(s, err)
	log("error", "Traceback[httpserver]: %s", err)
	if not s or s.closed or not s.response then
		return -- nobody is owed an answer
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
	local answer <const> = s.response
	local own <const> = s.handle or handle
	own(s.request, answer, s.early)
	if s.early and s.response == answer and not answer.finished then
		go_on(s)
	end
end

-- The handlers have returned, or wait.
local function hold_input(s)
	if s.busy and not s.closed and not s.paused then
		s.paused = true
		s.conn:pause()
		s.conn:setreadtimeout(options.request_timeout)
	end
end

local function run(s, request)
	s.busy, s.request, s.response = true, request, new_response(s.conn, request, s)
	run_pooled(work, s, on_error)
	return hold_input(s)
end

--- The handlers of a usual request wait, have raised, or have returned without an answer.
-- @param answer its response
-- @param thread their coroutine, unless they have returned
-- @param ok false: they have raised `err`; else that is what they have yielded
function session.ended(conn, answer, thread, ok, err)
	local s <const> = wake(conn, answer)
	if not ok then
		on_error(s, async.bury(thread, err))
	elseif thread then
		async.adopt(thread, s, on_error, err)
	end
	if s then
		return hold_input(s)
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
		local answer <const> = new_response(s.conn, request, s)
		s.response, s.busy = answer, true
		answer.headers.retry_after = ("%d"):format(math.ceil(tonumber(s.retry_after) or 1))
		return report(answer, 503)
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

-- An answer has ended.
local function finish(answer)
	local s = answer.session
	if not s then -- that of a usual request
		if answer.persistent and answered(answer) then
			return
		end
		s = wake(answer.conn)
	end
	if not s or s.response ~= answer or s.closed then
		return
	end
	s.response, s.request = nil, nil
	if not answer.persistent or s.early or s.sink then -- else the request is complete
		return close_after(s, answer.request)
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
	local answer <const> = s and s.response or not s and conn and host_http.served(conn)
	return answer and answer.request or nil
end

-- What the listener needs.
session.advance, session.fail, session.close = advance, fail, close

-- Whether connections come to an end: then no request is usual.
local function set_usual()
	host_http.usual {
		on = not session.draining, keepalive = options.keepalive_timeout,
		line = options.max_request_line, header = options.max_header_size,
		headers = options.max_headers,
	}
end

--- The options have changed.
function session.refresh()
	resting.forget_spares()
	set_usual()
end

--- @param draining (conn) → whether its service is to be left; nil: none is
-- @param announced as of net.http.server
function session.set_draining(draining, announced)
	session.draining, session.announced = draining, announced
	response.set_draining(draining ~= nil)
	set_usual()
end

--- @param hooks handle(request, response, early), report(response, code, message)
function session.init(hooks)
	handle, report = hooks.handle, hooks.report
	response.set_finish(finish)
	response.set_persistence(function (answer)
		local s <const> = answer.session
		local draining <const> = session.draining and not (s and s.handle)
		return not (s and s.last) and not (draining and session.draining(answer.conn))
	end)
	set_usual()
end

return session
