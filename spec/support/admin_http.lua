--- Daemons with mod_admin_http and mod_health, and requests to them.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"

local admin_http <const> = {}

--- The token of every daemon here.
admin_http.token = "a-token-of-the-spec"

local config <const> = [[
	modules_enabled = { "echo", "admin_http", "health", "http_openmetrics", "lameduck",
		"graceful_shutdown", "admin_socket", "admin_shell", %s }
	echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }; close_spread = 0; shutdown_pause = 0.1
	lameduck_period = 0.2
	admin_http_ports = { 0 }; admin_http_interfaces = { "127.0.0.1" }
	admin_http_token_file = "token"
]]

--- Starts one.
---@param spec table|nil as for daemon.start; `enable`: list of modules besides, `config` is added,
--- `token`: mode of the token file (default 0600), false: no file
---@return table daemon; `admin` is the port of admin_http
function admin_http.start(spec)
	spec = spec or {}
	local names = {}
	for i, name in ipairs(spec.enable or {}) do names[i] = ("%q"):format(name) end
	spec.config = config:format(table.concat(names, ", ")) .. (spec.config or "")
	spec.dir = spec.dir or process.temp_dir()
	if spec.token ~= false then
		process.write_file(spec.dir .. "/token", admin_http.token .. "\n")
		require "posix.sys.stat".chmod(spec.dir .. "/token", spec.token or 384)
	end
	local d = daemon.start(spec)
	d.admin = d:port "admin_http"
	return d
end

local function read_answer(c, is_head)
	local line = c:line()
	local status = line and tonumber(line:match("^HTTP/1%.1 (%d+) "))
	if not status then return nil, line or "no answer" end
	local headers = {}
	for text in function () return c:line() end do
		if text == "" then break end
		local name, value = text:match("^([^:]+): (.*)$")
		headers[name:lower()] = value
	end
	local length = tonumber(headers["content-length"] or 0)
	local body = (length > 0 and not is_head) and c:read(length) or ""
	return status, body, headers
end

--- One request over a connection that stays; raises nothing.
---@param c table client
---@param line string as "GET /readyz"
---@param headers table|nil name to value; Host is localhost unless given, false: none
---@return integer|nil status; nil, why
---@return string body
---@return table headers, names in lower case
function admin_http.send(c, line, headers)
	headers = headers or {}
	local lines = { line .. " HTTP/1.1" }
	if headers.Host == nil then lines[2] = "Host: localhost" end
	for name, value in pairs(headers) do
		if value then lines[#lines + 1] = name .. ": " .. value end
	end
	local ok, err = c:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
	if not ok then return nil, err end
	return read_answer(c, line:find("^HEAD"))
end

--- One request over a connection of its own.
---@param where integer|table port or daemon
function admin_http.ask(where, line, headers)
	local port = type(where) == "table" and where.admin or where
	local c, err = client.tcp("127.0.0.1", port, 15)
	if not c then return nil, err end
	local status, body, got = admin_http.send(c, line, headers)
	c:close()
	return status, body, got
end

--- POST with the token; a JSON object comes back decoded.
function admin_http.post(d, path, headers)
	local all = { Authorization = "Bearer " .. admin_http.token, ["Content-Length"] = "0" }
	for name, value in pairs(headers or {}) do all[name] = value end
	return admin_http.ask(d, "POST " .. path, all)
end

--- The JSON body of a health path.
---@return table object
---@return integer status
function admin_http.health(d, path)
	local status, body = admin_http.ask(d, "GET " .. path, { Accept = "application/json" })
	return assert(json.decode(body), body), status
end

return admin_http
