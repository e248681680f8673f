--- HTTP serving, Prosody's handler interface.
--
-- Handlers are events "METHOD host/path" and "METHOD /path" (any host), "/*" at the end stands for
-- everything below. They get { request, response } and return nil (404), true (will answer
-- later), a number (status), a string (body), a table (merged into the response), an error object
-- of util.error, or a promise of one of these.

local codes <const> = require "net.http.codes"
local errors <const> = require "util.error"
local host_http <const> = require "host.http"
local listen <const> = require "net.server".addserver
local listener <const> = require "net.http.listener"
local log <const> = require "util.logger".init("http.server")
local promise <const> = require "util.promise"
local response <const> = require "net.http.response"
local routes <const> = require "net.http.routes"
local session <const> = require "net.http.session"

local server <const> = {}

local events <const> = require "util.events".new()
local fire <const> = events.fire_event
local hosts <const> = {}
local default_host
local names <const>, handlers <const> = host_http.events, events._handlers
local answer_plain <const> = response.answer

-- Whatever changes who answers: the lists that are remembered for requests (resolve) are made anew.
routes.install(events, host_http.forget_routes)

-- Results -----------------------------------------------------------------------------------------

events.add_handler("http-error", function (event)
	return ("Error processing request: %s. Check your error log for more information.")
		:format(codes[event.code])
end, -1)

-- A short answer that says what went wrong.
local function report(answer, code, message)
	answer.status_code = code
	local private <const> = code == 500
	return answer:send(fire("http-error", {
		request = answer.request, response = answer, code = code,
		message = not private and message or nil, private_message = private and message or nil,
	}))
end

local handle_result

local by_type <const> = {}

function by_type.number(answer, code)
	answer.status_code = code
	return code >= 400 and fire("http-error",
		{ request = answer.request, response = answer, code = code }) or nil
end

function by_type.table(answer, result)
	for key, value in pairs(result) do
		if key ~= "headers" then
			answer[key] = value
		end
	end
	for name, value in pairs(result.headers or {}) do
		answer.headers[name] = value
	end
end

local function reject(answer, err)
	log("error", "A handler's promise: %s", tostring(err))
	if not answer.finished and not answer.begun then
		answer.headers, answer.persistent = {}, false
		report(answer, 500, tostring(err))
	end
end

local function await(answer, result)
	result:next(function (value)
		return handle_result(answer, value)
	end, function (err)
		answer.status_code = 500
		return handle_result(answer, errors.is_error(err) and err or 500)
	end):catch(function (err)
		reject(answer, err)
	end)
	return true
end

handle_result = function (answer, result)
	if type(result) == "string" then
		return answer:send(result)
	elseif result == true then
		return true
	elseif promise.is_promise(result) then
		return await(answer, result)
	elseif errors.is_error(result) then
		local code = result.code or 500
		answer.status_code = code
		return answer:send(fire("http-error",
			{ request = answer.request, response = answer, code = code, error = result }))
	end
	local convert = by_type[type(result)]
	return answer:send(convert and convert(answer, result) or nil)
end

-- Requests ----------------------------------------------------------------------------------------

-- The event of a method; HEAD is answered by whoever answers GET.
local function fire_for(answer, event, payload)
	local result = fire(event, payload)
	if result == nil and answer.is_head_request then
		return fire("GET" .. event:sub(5), payload)
	end
	return result
end

local function target_of(event)
	return event and event:match(" (.*)$")
end

-- OPTIONS * asks for the server, not for a path (RFC 9110 9.3.7).
local function answer_for_server(answer)
	answer.headers.allow = table.concat(routes.methods(events._event_map), ", ")
	return handle_result(answer, "")
end

local function no_host(answer, host, early)
	if early then
		return
	elseif answer.request.path == "*" then
		return answer_for_server(answer)
	elseif host then
		return report(answer, 404, "Unknown host: " .. host)
	end
	return report(answer, 400, "Missing or invalid 'Host' header")
end

-- Nobody has answered: the path is not known, or is for other methods.
local function not_found(answer, event, own)
	if answer.request.path == "*" then
		return answer_for_server(answer)
	end
	local list <const>, set <const> = routes.methods(events._event_map,
		{ target_of(event), target_of(own) })
	if not list[1] or set[answer.request.method] then
		return handle_result(answer, 404)
	end
	answer.headers.allow = table.concat(list, ", ")
	return handle_result(answer, 405)
end

-- early: the body has not come; only who wants it in pieces answers now
local function handle(request, answer, early)
	local event, own, host = names(request, hosts, default_host)
	if not event then
		return report(answer, 400, "Invalid path")
	end
	local payload <const> = { request = request, response = answer }
	local result
	-- of any host: most have no handlers, but a wrapper runs all the same
	if handlers[event] or events.wrapped or answer.is_head_request then
		result = fire_for(answer, event, payload)
	end
	if result == nil then
		if not own then
			return no_host(answer, host, early)
		end
		result = fire_for(answer, own, payload)
	end
	if result == nil then
		return not early and not_found(answer, event, own) or nil
	end
	return handle_result(answer, result)
end

-- The usual request (bindings/lua_http_serve.c) ---------------------------------------------------

-- handler → what it is for requests that are complete; see server.set_whole
local whole <const> = setmetatable({}, { __mode = "k" })

local function add_all(list, found)
	for _, handler in ipairs(found or {}) do
		list[#list + 1] = whole[handler] or handler
	end
end

-- The handlers of a request, first those of any host, as handle calls them; nil: none, or somebody
-- wants to see the event itself.
local function resolve(request)
	local event <const>, own <const> = names(request, hosts, default_host)
	if not own or events.wrapped or events.debugged then
		return nil
	end
	local list <const> = {}
	add_all(list, handlers[event])
	add_all(list, handlers[own])
	return list[1] and list
end

local function serve(list, request, answer)
	local event <const> = { request = request, response = answer }
	for i = 1, #list do
		local result <const> = list[i](event)
		if result ~= nil then
			return answer_plain(answer, result) or handle_result(answer, result)
		end
	end
	return handle_result(answer, 404)
end

session.init { handle = handle, report = report }
listener.init(resolve, serve)

-- What is made of a request when it is asked for --------------------------------------------------

local computed <const> = host_http.computed

-- (ip, secure) of a request after looking at its proxies; set by mod_http
local forwarded

--- The peer's address, or what a trusted proxy says of it.
function computed.ip(request)
	local ip = request.conn:ip()
	return forwarded and forwarded(request, ip) or ip
end

function computed.secure(request)
	if request.conn:ssl() then
		return true
	end
	return forwarded ~= nil and select(2, forwarded(request, request.conn:ip())) == true
end

function computed.id()
	return require "util.id".short()
end

function computed.log(request)
	return require "util.logger".init("http." .. request.method .. "-" .. request.id)
end

-- The interface -----------------------------------------------------------------------------------

server.add_handler = events.add_handler
server.remove_handler = events.remove_handler

function server.fire_event(event, ...)
	return fire(event, ...)
end

--- Listens without a service of the config.
-- @return server handle; or nil, error
function server.listen_on(port, interface, ssl)
	return listen(interface or "*", port, listener, "*a", ssl)
end

function server.add_host(host)
	hosts[host] = true
	host_http.forget_routes()
end

function server.remove_host(host)
	hosts[host] = nil
	host_http.forget_routes()
end

--- Who answers for hosts that nobody has added.
function server.set_default_host(host)
	default_host = host
	host_http.forget_routes()
end

--- A handler asks of each request first whether it is complete (mod_http).
-- @param handler as it was added
-- @param fn what it does if it is
function server.set_whole(handler, fn)
	whole[handler] = fn
end

local defaults <const> = {}
for name, value in pairs(session.options) do
	defaults[name] = value
end

--- @param name body_size_limit, buffer_size_limit, max_request_line, max_header_size,
-- max_headers, max_pipeline, header_timeout, body_timeout, keepalive_timeout, request_timeout
-- (bytes, counts, seconds)
-- @param value nil: the default
function server.set_option(name, value)
	session.options[name] = value == nil and defaults[name] or value
	session.refresh()
end

--- @param fn (request, ip) → ip, secure of the client behind trusted proxies
function server.set_forwarded(fn)
	forwarded = fn
end

--- @param fn (conn) → true if its service is to be left: answers say close; nil: never
-- @param announced optional () → seconds for which an idle connection waits for its next request
-- when the host says goodbye
server.set_draining = session.set_draining

--- @return the request that is being answered on a connection, or nil
server.get_request_from_conn = session.request_of

-- Older names of the response's methods.
server.prepare_header = response.prepare_header
server.send_response = response.methods.send
server.send_file = response.methods.send_file
server.write_headers = response.methods.write_headers
server.finish_response = response.methods.done

--- Whether https can be served at all; where OpenSSL is missing, the listener says so.
server.has_tls = true

--- Makes an answer of what a handler has returned, as for the apps.
-- @param answer the response
-- @param result nil, true, number, string, table, error object or promise
server.answer = handle_result

server.listener = listener
server.new_listener = listener.new
server.codes = codes
server._events = events
return server
