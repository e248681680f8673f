--- HTTP client (Prosody's net.http): one request a connection, which closes after the answer; no
-- redirects are followed.
--
--	http.request(url, options, function (body, code, response, request) … end)
--	http.request(url, options):next(function (response) … end)     -- response.body, .code
--
-- Without an answer the callback gets a reason and 0, the promise is rejected with an error of
-- net.http.errors. Events of a client (`http.events`): pre-request, request, response,
-- request-connection-error.

local events <const> = require "util.events"
local http_errors <const> = require "net.http.errors"
local log <const> = require "util.logger".init "http"
local new_parser <const> = require "net.http.parser".new
local promise <const> = require "util.promise"
local question <const> = require "net.http.question"
local secure <const> = require "net.http.secure"
local timer <const> = require "util.timer"
local url <const> = require "net.http.url"
local util_http <const> = require "util.http"

local http <const> = { features = { sni = true } }

local requests <const> = {} -- conn → request
local listener <const> = { default_port = 80, default_mode = "*a" }

-- The end of a request --

--- Closes the connection of a request without a word to its callback.
function http.destroy_request(request)
	timer.stop(request._timer)
	request._timer = nil
	if request._pending then
		request._pending:cancel()
		request._pending = nil
	end
	local conn = request.conn
	if conn then
		request.conn = nil
		requests[conn] = nil
		conn:close()
	end
end

-- Tells the callback, once. The connection is there during the call: a 101 hands it over.
local function finish(request, content, code, response, asked)
	local callback <const> = request.callback
	if not callback then
		return
	end
	request.callback = nil
	if request._connected then
		local event <const> = { http = request.http, url = request.url, request = request,
			response = response, content = content, code = code, callback = callback }
		request.http.events.fire_event("response", event)
		content, code, response = event.content, event.code, event.response
	end
	log("debug", "Request '%s': calling callback, status %s", request.id, code)
	local ok, err = xpcall(callback, debug.traceback, content, code, response, asked)
	http.destroy_request(request)
	if not ok then
		log("error", "Request '%s': error in callback: %s", request.id, err)
		if not request.suppress_errors then
			error(err, 0)
		end
	end
end

local function fail(request, reason)
	finish(request, reason, 0, request)
	http.destroy_request(request)
end

local function cancel(request, reason)
	fail(request, reason or "cancelled")
end

-- The answer --

local function read_answer(request)
	local finalize
	local function on_packet(response)
		if response.partial then
			if request.streaming_handler then
				response.body_sink, finalize = request.streaming_handler(response)
			elseif request.body_sink then
				response.body_sink = request.body_sink
			end
			return
		elseif finalize then
			finalize(response)
		end
		finish(request, response.body, response.code, response, request)
	end
	return new_parser(on_packet, function (reason)
		fail(request, reason or "connection-closed")
	end, "client", function () return request end)
end

function listener.onattach(conn, request)
	requests[conn] = request
	request.conn, request._pending = conn, nil
end

function listener.ondetach(conn)
	requests[conn] = nil
end

function listener.onconnect(conn)
	local request <const> = requests[conn]
	request._connected = true
	function request.write(...)
		return request.conn:write(...)
	end
	if request.scheme == "https" and not request.insecure then
		local ok, why = secure.verify(conn, request.host)
		if not ok then
			return fail(request, why)
		end
	end
	request.parser = read_answer(request)
	conn:write(question.text(request))
end

function listener.onincoming(conn, data)
	local request <const> = requests[conn]
	if request and request.parser then
		request.parser:feed(data)
	end
end

function listener.ondisconnect(conn, err)
	local request <const> = requests[conn]
	requests[conn] = nil
	if not request or not request.conn then
		return
	end
	request.conn = nil
	-- A body without a length ends with the connection, but not with a broken one.
	if request.parser and (not err or err == "closed") then
		request.parser:feed(nil)
	end
	fail(request, err or "closed")
end

function listener.onfail(request, reason)
	request._pending = nil
	request.http.events.fire_event("request-connection-error",
		{ http = request.http, request = request, url = request.url, err = reason })
	fail(request, reason or "connection failed")
end

-- The question --

local function begin(self, request, ex)
	local sslctx, err
	if request.scheme == "https" then
		sslctx, err = secure.context(ex, self.options)
		if not sslctx then
			return fail(request, err)
		end
	end
	local connect <const> = require "net.connect".connect
	local resolver <const> = require "net.resolvers.basic".new(request.host, request.port_number,
		"tcp", { servername = request.host })
	local timeout <const> = ex.timeout or self.options and self.options.timeout
	if timeout then
		request._timer = timer.add_task(timeout, function () fail(request, "timeout") end)
	end
	local pending = connect(resolver, listener, { sslctx = sslctx }, request)
	-- It may have ended by now, or be connected.
	if request.callback and not request.conn then
		request._pending = pending
	end
end

local function ask(self, address, ex, callback)
	local request = url.parse(address)
	if not request then
		callback("invalid-url", 0, request)
		return nil, "invalid-url"
	end
	request.url, request.http, request.time = address, self, os.time()
	request.id = ex and ex.id or tostring(request):match("%x+$")
	request.cancel = cancel
	local event <const> = { http = self, url = address, request = request, options = ex,
		callback = callback }
	local answer = self.events.fire_event("pre-request", event)
	if answer then
		return answer
	end
	request, ex = event.request, event.options or {}
	request.callback = event.callback
	local ok, why = question.settle(request, ex, self.options or {})
	if not ok then
		event.callback(why, 0, request)
		return nil, why
	end
	log("debug", "Making %s %s request '%s' to %s", request.scheme:upper(), request.method or "GET",
		request.id, ex.suppress_url and request.headers.Host or event.url)
	begin(self, request, ex)
	self.events.fire_event("request", { http = self, request = request, url = event.url })
	return request
end

-- Clients --

local function ask_promise(self, address, ex)
	return promise.new(function (resolve, reject)
		ask(self, address, ex, function (body, code, response, request)
			if code == 0 then
				reject(http_errors.new(code, body, { request = response }))
			else
				response.request = request
				resolve(response)
			end
		end)
	end)
end

--- Makes a client of its own.
-- @param options nil or table: sslctx, timeout (seconds of a whole request), suppress_errors (an
-- error in a callback is logged only), body_size_limit (bytes)
-- @return client with request(self, url, options, callback), new(more options), events, options
function http.new(options)
	local client <const> = { options = options, events = events.new() }

	--- @param ex nil or table: method, headers, body, id, timeout, body_size_limit, insecure, sslctx,
	-- suppress_errors, suppress_url, streaming_handler(response) → sink, finalize; body_sink
	-- @param callback nil: the answer is a promise
	-- @return the request, with cancel(self, reason); or nil and a reason
	function client:request(address, ex, callback)
		return (callback and ask or ask_promise)(self, address, ex, callback)
	end

	function client.new(more)
		local merged <const> = {}
		for name, value in pairs(options or {}) do merged[name] = value end
		for name, value in pairs(more or {}) do merged[name] = value end
		return http.new(merged)
	end
	return client
end

http.default = http.new { suppress_errors = true }
http.events = http.default.events

function http.request(address, ex, callback)
	return http.default:request(address, ex, callback)
end

http.urlencode, http.urldecode = util_http.urlencode, util_http.urldecode
http.formencode, http.formdecode = util_http.formencode, util_http.formdecode

return http
