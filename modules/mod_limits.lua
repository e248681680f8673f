-- Bytes a second that a connection may send us: limits = { echo = { rate = "10kb/s" } }. A key is
-- the name of a service, or a class (client, peer, admin) for services without their own entry.
-- Options are Prosody's; as with its epoll backend nothing is dropped, reading pauses, and bursts
-- are not told apart.

local portmanager <const> = require "core.portmanager"
local server <const> = require "net.server"

module:set_global()

local default_rate <const> = 3000
local exponents <const> = { b = 0, k = 3, m = 6, g = 9, t = 12 }

local rates = {}

local function parse_rate(rate, name)
	local quantity, unit = tostring(rate):match("^(%d+) ?([^/]+)/s$")
	local exponent = unit and exponents[unit:sub(1, 1):lower()]
	if not exponent then
		module:log("error", "limits.%s: a rate is like \"10kb/s\", not %q; taking %d bytes a second",
			name, tostring(rate), default_rate)
		return default_rate
	end
	return tonumber(quantity) * 10 ^ exponent
end

local function read_config()
	rates = {}
	for name, entry in pairs(module:get_option("limits", {})) do
		rates[name] = parse_rate(type(entry) == "table" and entry.rate or nil, name)
	end
end

local function apply(conn)
	local rate <const> = rates[conn:service()] or rates[conn:class()]
	if rate or conn.limited_by_module then
		conn:setlimit(rate or 0)
		conn.limited_by_module = rate and true or nil
	end
end

-- What a listener table had as onconnect before ours, or false. The tables live as long as modules.
local originals <const> = setmetatable({}, { __mode = "k" })

local function watch(service)
	local listener <const> = service and service.listener
	if not listener or originals[listener] ~= nil then
		return
	end
	local original <const> = rawget(listener, "onconnect")
	originals[listener] = original or false
	local onconnect <const> = original or listener.onconnect
	function listener.onconnect(conn)
		apply(conn)
		if onconnect then
			return onconnect(conn)
		end
	end
	server.refresh(listener)
end

local function apply_all()
	for _, conn in ipairs(server.handles()) do
		apply(conn)
	end
end

module:hook("service-added", function (event)
	watch(event.service)
end)

module:hook("config-reloaded", function ()
	read_config()
	apply_all()
end)

function module.load()
	read_config()
	for _, list in pairs(portmanager.get_registered_services()) do
		for _, service in ipairs(list) do
			watch(service)
		end
	end
	apply_all()
end

function module.unload()
	for listener, original in pairs(originals) do
		listener.onconnect = original or nil
		server.refresh(listener)
	end
	rates = {}
	apply_all()
end
