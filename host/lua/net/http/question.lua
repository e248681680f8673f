--- What the HTTP client sends: method, headers and body out of the caller's options.

local base64 <const> = require "util.encodings".base64
local url <const> = require "net.http.url"
local util_http <const> = require "util.http"
local version <const> = require "host.info".version

local question <const> = {}

local function set_header(headers, name, value)
	for known in pairs(headers) do
		if known:lower() == name:lower() then
			headers[known] = nil
		end
	end
	headers[name] = value
end

local function is_token(text)
	return text:find("^[%w!#$%%&'*+.^_`|~-]+$") ~= nil
end

-- Nothing that would end a line or begin another request.
local function is_sound(request)
	if request.method and not is_token(request.method) then
		return nil, "invalid-method"
	end
	for name, value in pairs(request.headers) do
		if not is_token(tostring(name)) or tostring(value):find("[\r\n\0]") then
			return nil, "invalid-header"
		end
	end
	return true
end

local taken <const> = { "onlystatus", "insecure", "suppress_errors", "streaming_handler",
	"body_sink", "body_size_limit" }

--- Fills in the request from the caller's options, and those of the client.
-- @return true; or nil and a reason
function question.settle(request, ex, options)
	local headers <const> = { ["User-Agent"] = "gadwall/" .. version }
	request.port_number, headers.Host = url.port_of(request)
	if request.userinfo then
		headers.Authorization = "Basic " .. base64.encode(util_http.urldecode(request.userinfo))
	end
	if ex.body then
		request.method = "POST"
		headers["Content-Length"] = tostring(#ex.body)
		headers["Content-Type"] = "application/x-www-form-urlencoded"
	end
	request.method, request.headers, request.body = ex.method or request.method, headers, ex.body
	for name, value in pairs(ex.headers or {}) do
		set_header(headers, name, value)
	end
	for _, name in ipairs(taken) do
		request[name] = ex[name]
		if request[name] == nil then
			request[name] = options[name]
		end
	end
	return is_sound(request)
end

--- The bytes that are sent.
function question.text(request)
	local target = request.path .. (request.query and "?" .. request.query or "")
	local lines = { ("%s %s HTTP/1.1\r\n"):format(request.method or "GET", target) }
	for name, value in pairs(request.headers) do
		lines[#lines + 1] = ("%s: %s\r\n"):format(name, value)
	end
	return table.concat(lines) .. "\r\n" .. (request.body or "")
end

return question
