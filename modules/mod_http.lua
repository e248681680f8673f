--- HTTP: the services http and https, and the apps that other modules provide:
-- module:provides("http", { name, default_path, route = { ["GET /path"] = fn }, cors,
-- streaming_uploads }). Options: modules/README.md.

module:set_global()
module:depends("http_errors", true)

local config <const> = require "core.configmanager"
local lifecycle <const> = require "core.lifecycle"
local server <const> = require "net.http.server"
local time <const> = require "util.time"
local console <const> = module:require "console"
local cors <const> = module:require "cors"
local proxies <const> = module:require "proxies"
local urls <const> = module:require "urls"

-- Options -----------------------------------------------------------------------------------------

local http_host <const> = module:get_option_string("http_host")
local http_default_host <const> = module:get_option_string("http_default_host")

-- A config that names no host has one, which answers to whatever name a client knows it by.
local function set_default_host()
	local implicit <const> = config.is_implicit("localhost") and (http_host or "localhost") or nil
	server.set_default_host(http_default_host or implicit and implicit:lower())
end

local function set_options()
	set_default_host()
	server.set_option("body_size_limit",
		module:get_option_integer("http_max_content_size", 10 * 1024 * 1024, 0))
	server.set_option("buffer_size_limit", module:get_option_integer("http_max_buffer_size"))
	server.set_option("max_request_line",
		module:get_option_integer("http_max_request_line", 8192, 16))
	server.set_option("max_header_size",
		module:get_option_integer("http_max_header_size", 32768, 16))
	server.set_option("max_headers", module:get_option_integer("http_max_headers", 64, 1))
	server.set_option("max_pipeline", module:get_option_integer("http_max_pipeline", 16, 1))
	server.set_option("header_timeout", module:get_option_period("http_header_timeout", 10))
	server.set_option("body_timeout", module:get_option_period("http_body_timeout", 10))
	server.set_option("keepalive_timeout", module:get_option_period("http_keepalive_timeout", 60))
	server.set_option("request_timeout", module:get_option_period("http_request_timeout", 300))
	server.set_forwarded(proxies.new(
		module:get_option_set("trusted_proxies", { "127.0.0.1", "::1" })))
end

set_options()
module:hook_global("hosts-activated", set_default_host)

-- Draining ----------------------------------------------------------------------------------------

local lameduck_period <const> = module:get_option_period("lameduck_period", 3)
local unready_since -- monotonic seconds, nil while the host is ready

-- How long every answer has been saying close, as far as a client had the time to hear it.
local function announced()
	return unready_since and math.min(time.monotonic() - unready_since,
		lameduck_period) or 0
end

-- Asked at every answer, so only looked up while something is drained or the host ends.
local function follow_drain()
	local ready <const> = lifecycle.ready()
	unready_since = not ready and (unready_since or time.monotonic()) or nil
	local quiet = ready and next(lifecycle.drained_services()) == nil
	server.set_draining(not quiet and function (conn)
		return not lifecycle.ready(conn:service())
	end or nil, announced)
end

for _, event in ipairs { "lifecycle-changed", "drain-started", "drain-ended" } do
	module:hook_global(event, follow_drain, 100)
end

function module.unload()
	server.set_draining(nil)
	server.set_forwarded(nil)
end

-- Apps --------------------------------------------------------------------------------------------

-- "GET /path" of an app → the name of the server's event; nil if it is none
local function event_name(host, base, key)
	local method, path = key:match("^(%S+)%s+(.+)$")
	method, path = method or key, path or ""
	if method:sub(1, 1) == "/" then
		return nil
	elseif base == "/" and path:sub(1, 1) == "/" then
		base = ""
	end
	return ("%s %s%s%s"):format(method:upper(), host == "*" and "" or host, base, path)
end

-- As the client wrote it, but for slashes in front: two of them would name another host.
local function redirect(event)
	local url <const> = event.request.url
	event.response.headers.location = url.path:gsub("^/+", "/") .. "/"
		.. (url.query and "?" .. url.query or "")
	return 301
end

-- Handlers that get the rest of the path, and only complete requests unless they want the parts.
local function adapt(handler, name, streaming)
	local adapted = handler
	if type(handler) ~= "function" then
		adapted = function () return handler end
	elseif name:sub(-2) == "/*" then
		local front <const> = #name:match("/.+$")
		adapted = function (event)
			return handler(event, event.request.path:sub(front))
		end
	end
	if streaming then
		return adapted
	end
	local function complete(event)
		if not event.request.partial then
			return adapted(event)
		end
	end
	server.set_whole(complete, adapted)
	return complete
end

-- "/dir" leads to "/dir/".
local function redirected(name, handler)
	if type(handler) ~= "function" then
		return nil
	end
	return name:match("^(.+)/%*$") or name:match("^(.+)/$")
end

local function hook_route(app, name, handler, item)
	local function hook(event, fn, priority)
		app.hooks[#app.hooks + 1] = { event, fn }
		app.module:hook_object_event(server, event, fn, priority)
	end
	local short <const> = redirected(name, handler)
	if short and short:find("/", 1, true) then
		hook(short, redirect, -1)
	end
	hook(name, adapt(handler, name, item.streaming_uploads), 0)
	if app.cors then
		hook(name, app.cors.add, 1)
		hook(name:gsub("^%S+", "OPTIONS"), app.cors.answer, -1)
	end
end

local function add_app(of, apps, item)
	if not item.name then
		return of:log("error", "HTTP app has no 'name', add one or use module:provides('http', app)")
	elseif not item.route then
		return of:log("error", "HTTP app %q provides no 'route' to handle requests with", item.name)
	end
	local host = of.host ~= "*" and of:get_option_string("http_host", of.host):lower() or "*"
	local base <const> = urls.base_path(of, item.name, item.default_path or "/" .. item.name)
	local app <const> = { module = of, hooks = {}, cors = cors.new(of, item) }
	local seen <const> = {}
	apps[item] = app
	console.note(item, of)
	for key, handler in pairs(item.route) do
		local name = event_name(host, base, key)
		if not name then
			of:log("error", "Invalid route in %s, %q", item.name, key)
		elseif seen[name] then
			of:log("warn", "App %s added a handler twice for '%s', ignored", item.name, name)
		else
			seen[name] = true
			if app.cors then
				app.cors.allow(name:match("^%S+"))
			end
			hook_route(app, name, handler, item)
		end
	end
	of:on_ready(function ()
		of:log("info", "Serving '%s' at %s", item.name, of:http_url(item.name, item.default_path))
	end)
end

local function remove_app(apps, item)
	local app <const> = apps[item]
	apps[item] = nil
	console.note(item, nil)
	for _, hook in ipairs(app and app.hooks or {}) do
		app.module:unhook_object_event(server, hook[1], hook[2])
	end
end

function module.add_host(module) -- luacheck: ignore 431/module
	local apps <const> = {}
	module.environment.apps = apps
	module:handle_items("http-provider", function (event)
		add_app(module, apps, event.item)
	end, function (event)
		remove_app(apps, event.item)
	end)
	if module.host ~= "*" then
		local host <const> = module:get_option_string("http_host", module.host):lower()
		server.add_host(host)
		function module.unload()
			server.remove_host(host)
		end
	end
end

urls.install()
module.add_host(module)

module:provides("net", {
	name = "http",
	listener = server.listener,
	private = true,
	default_port = 5280,
	multiplex = { pattern = "^[A-Z]" },
})

if server.has_tls then
	module:provides("net", {
		name = "https",
		listener = server.listener,
		default_port = 5281,
		encryption = "ssl",
		multiplex = { protocol = "http/1.1", pattern = "^[A-Z]" },
	})
end
