--- Where an app can be reached: its base path (http_paths) and its URL from outside.

local moduleapi <const> = require "core.moduleapi"
local normalize_path <const> = require "util.http".normalize_path
local portmanager <const> = require "core.portmanager"

local urls <const> = {}

local usual_port <const> = { http = 80, https = 443 }
local global <const> = module

--- The base path of an app: http_paths of the host, of the whole config, or its own.
-- "$host" stands for the host.
function urls.base_path(of, name, default)
	local path = of:get_option("http_paths", {})[name]
		or global:get_option("http_paths", {})[name] or default
	return (normalize_path(path):gsub("%$(%w+)", { host = of.host }))
end

local function build(scheme, host, port, path)
	if tonumber(port) == usual_port[scheme] then
		port = nil
	end
	host = host:find(":", 1, true) and not host:find("^%[") and "[" .. host .. "]" or host
	return ("%s://%s%s%s"):format(scheme, host, port and (":%d"):format(port) or "", path)
end

local function from_outside(text, path)
	local scheme, authority, front = text:match("^(%a[%w+.-]*)://([^/]+)(.*)$")
	if not scheme then
		return nil
	end
	local host, port = authority:match("^(.-):(%d+)$")
	return build(scheme, host or authority, tonumber(port or usual_port[scheme]),
		normalize_path(front == "" and "/" or front, true) .. path:sub(2))
end

local function from_ports(of, path)
	local services <const> = portmanager.get_active_services()
	for _, scheme in ipairs { "https", "http" } do
		local interface, ports = next(services:get(scheme) or {})
		if interface then
			local port, default = next(ports), of.host
			if default == "*" then
				default = of:get_option_string("http_default_host", interface)
			end
			return build(scheme, of:get_option_string("http_host", default), port, path)
		end
	end
	return nil
end

--- Adds module:http_url(app_name, default_path).
function urls.install()
	function moduleapi.http_url(of, name, default)
		name = name or (of.name:gsub("^http_", ""))
		local path <const> = urls.base_path(of, name, default or "/" .. name)
		local outside <const> = of:get_option_string("http_external_url")
		local url = outside and from_outside(outside, path) or from_ports(of, path)
		return url or "http://disabled.invalid/"
	end
end

return urls
