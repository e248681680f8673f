-- plain lua too
--- Absolute URLs of HTTP in their parts (RFC 3986 3), with the field names of LuaSocket's
-- socket.url.

local default_ports <const> = { http = 80, https = 443 }

-- @return host and port as written (nil: none); nil, nil if it is malformed
local function split_host(text)
	local host, rest = text:match("^%[([%x:.]+)%](.*)$")
	if not host then
		host, rest = text:match("^([^:%[%]]+)(.*)$")
	end
	if not host or rest == "" then
		return host
	end
	local port = rest:match("^:(%d+)$")
	local number = tonumber(port)
	if number and number > 0 and number < 65536 then
		return host, port
	end
end

local function or_else(text, other)
	return text ~= "" and text or other
end

--- @return table: scheme (lower case), host (no brackets), port (as written, or nil), userinfo,
-- path (at least "/"), query, fragment; nil if it is no URL of http or https
local function parse(text)
	-- A blank or a control character would be one of the request line.
	if type(text) ~= "string" or text:find("[%c ]") then
		return nil
	end
	local scheme, authority, rest = text:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
	scheme = scheme and scheme:lower()
	if not default_ports[scheme] then
		return nil
	end
	local userinfo, where = authority:match("^(.*)@([^@]*)$")
	local host, port = split_host(where or authority)
	if not host then
		return nil
	end
	local front, fragment = rest:match("^([^#]*)#?(.*)$")
	local path = front:match("^[^?]*")
	return {
		scheme = scheme, authority = authority, userinfo = userinfo, host = host, port = port,
		path = or_else(path, "/"), query = front:match("%?(.*)$"),
		fragment = or_else(fragment, nil),
	}
end

--- The number of the port, and what the Host header says: the port only if it is not the scheme's.
local function port_of(url)
	local usual <const> = default_ports[url.scheme]
	local port <const> = tonumber(url.port) or usual
	local host <const> = url.host:find(":", 1, true) and "[" .. url.host .. "]" or url.host
	return port, port == usual and host or host .. ":" .. port
end

return { parse = parse, port_of = port_of }
