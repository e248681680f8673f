-- HTTP for operators and balancers: health, metrics, control. A service of class admin: it has a
-- listener of its own, is heard first, and answers to the last phase of a stop.
--
--	module:depends("admin_http")
--	module:provides("admin-http", { route = {
--		["GET /ducks"] = function (event) return "12 ducks\n" end,
--	} })
--
-- A handler gets { request, response, query (table) } and returns what one of net.http.server
-- does. Whatever is no GET, HEAD or OPTIONS changes something: it needs the token
-- (mod_admin_http/guard) before the handler hears of it.

module:set_global()

local http_server <const> = require "net.http.server"
local socket <const> = require "core.console.socket"
local query <const> = require "util.http".query
local time <const> = require "util.time"
local guard <const> = module:require "guard"
local verbs <const> = module:require "verbs"

local token_file <const> = module:get_option_path("admin_http_token_file", nil, "config")

-- Connections at once; the one that has been silent for longest makes room for the next.
local connections_max <const> = 64

local routes <const> = {} -- path → { METHOD = { handler, owner } }
local conns <const> = {}  -- conn → monotonic seconds of its last request

-- Answers -----------------------------------------------------------------------------------------

local function say(response, code, text)
	response.status_code = code
	response.headers.content_type = "text/plain; charset=utf-8"
	response.headers.cache_control = "no-store"
	return response:send(text .. "\n")
end

local function allowed(methods)
	local names <const> = { "OPTIONS" }
	for name in pairs(methods) do
		names[#names + 1] = name
	end
	if methods.GET then
		names[#names + 1] = "HEAD"
	end
	table.sort(names)
	return table.concat(names, ", ")
end

local function index()
	local lines <const> = {}
	for path, methods in pairs(routes) do
		for method in pairs(methods) do
			lines[#lines + 1] = ("%-5s %s"):format(method, path)
		end
	end
	table.sort(lines)
	return table.concat(lines, "\n")
end

local safe <const> = { GET = true, HEAD = true, OPTIONS = true }

local function call(entry, request, response)
	local headers <const> = response.headers
	headers.content_type, headers.cache_control = "text/plain; charset=utf-8", "no-store"
	return http_server.answer(response, entry.handler {
		request = request, response = response, query = query(request.url.query),
	})
end

local function dispatch(request, response, methods, method)
	local entry <const> = methods[method] or method == "HEAD" and methods.GET
	if method == "OPTIONS" then
		response.status_code, response.headers.allow = 204, allowed(methods)
		return response:send()
	elseif not entry then
		response.headers.allow = allowed(methods)
		return say(response, 405, ("%s is not for this path; it takes %s"):format(method,
			allowed(methods)))
	elseif not safe[method] then
		local code, why = guard.refuse(request, token_file)
		if code then
			if code == 401 then
				response.headers.www_authenticate = 'Bearer realm="gadwall"'
			end
			module:log("warn", "%s %s of %s refused: %s", method, request.path, request.ip, why)
			return say(response, code, why)
		end
	end
	return call(entry, request, response)
end

local function handle(request, response, early)
	if early then
		return nil -- control needs no body, but a client may send one
	end
	local method, path = request.method, request.path
	conns[request.conn] = time.monotonic()
	if not path then
		return say(response, 400, "bad request: the path cannot be read")
	elseif routes[path] then
		return dispatch(request, response, routes[path], method)
	elseif path == "/" and safe[method] then
		return say(response, 200, index())
	end
	return say(response, 404, "not found; / lists what there is")
end

-- Connections -------------------------------------------------------------------------------------

local listener <const> = http_server.new_listener(handle)
local connected <const>, gone <const> = listener.onconnect, listener.ondisconnect

local function make_room()
	local count, silent = 0, nil
	for conn, last in pairs(conns) do
		count = count + 1
		if not silent or last < conns[silent] then
			silent = conn
		end
	end
	if count >= connections_max then
		conns[silent] = nil
		silent:close()
	end
end

function listener.onconnect(conn)
	make_room()
	conns[conn] = time.monotonic()
	return connected(conn)
end

listener.onattach = listener.onconnect

function listener.ondisconnect(conn, ...)
	conns[conn] = nil
	return gone(conn, ...)
end

-- Routes ------------------------------------------------------------------------------------------

local function enter(owner, key, handler)
	local method, path = key:match("^(%u+) (/%S*)$")
	if not method or type(handler) ~= "function" then
		return owner:log("error", "admin-http: '%s' is no route (METHOD /path = function)", key)
	end
	routes[path] = routes[path] or {}
	if routes[path][method] then
		return owner:log("error", "admin-http: '%s' is taken by mod_%s", key,
			routes[path][method].owner.name)
	end
	routes[path][method] = { handler = handler, owner = owner }
end

local function leave(owner, key)
	local method, path = key:match("^(%u+) (/%S*)$")
	local methods <const> = path and routes[path]
	if methods and methods[method] and methods[method].owner == owner then
		methods[method] = nil
		routes[path] = next(methods) and methods or nil
	end
end

local function follow(owner)
	owner:handle_items("admin-http-provider", function (event)
		for key, handler in pairs(event.item.route or {}) do
			enter(event.source or owner, key, handler)
		end
	end, function (event)
		for key in pairs(event.item.route or {}) do
			leave(event.source or owner, key)
		end
	end)
end

function module.add_host(host_module)
	follow(host_module)
end

follow(module)

module:provides("admin-http", { name = "verbs", route = verbs.routes })

module:hook("listener-opened", function (event)
	if event.service == "admin_http" then
		local ok, err = socket.protect(event.interface)
		if not ok then
			module:log("error", "rights of %s: %s", event.interface, err or "chmod failed")
		end
	end
end)

guard.check_file(token_file)

module:provides("net", {
	name = "admin_http", class = "admin", private = true, default_port = 5290, listener = listener,
})
