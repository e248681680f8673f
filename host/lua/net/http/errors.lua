--- Failures of HTTP requests as errors of util.error: the client's own (code 0, the body names the
-- reason) and those that a server answered with.

local codes <const> = require "net.http.codes"
local errors <const> = require "util.error"

local registry <const> = {}

local function own(name, kind, condition, text)
	registry[name] = { code = 0, type = kind, condition = condition, text = text }
end

own(0, "cancel", "internal-server-error", "The request failed before an answer came")
own("cancelled", "cancel", "remote-server-timeout", "The request was cancelled")
own("connection-closed", "wait", "remote-server-timeout", "The connection ended early")
own("certificate-chain-invalid", "cancel", "remote-server-timeout",
	"The server's certificate is not trusted")
own("certificate-verify-failed", "cancel", "remote-server-timeout",
	"The server's certificate could not be verified")
own("connection failed", "cancel", "remote-server-not-found", "No connection to the server")
own("invalid-url", "modify", "bad-request", "The URL is malformed")
own("unable to resolve service", "cancel", "remote-server-not-found",
	"The server's name could not be resolved")

local answered <const> = {
	auth = {
		["not-authorized"] = { 401, 511 }, ["payment-required"] = { 402 },
		forbidden = { 403, 451 }, ["registration-required"] = { 407 },
	},
	modify = {
		["bad-request"] = { 400, 411, 416, 422 }, ["not-acceptable"] = { 406 },
		["resource-constraint"] = { 413, 414, 431 },
	},
	cancel = {
		["item-not-found"] = { 404 }, ["not-allowed"] = { 405 }, conflict = { 409, 412 },
		gone = { 410 }, ["feature-not-implemented"] = { 415, 501 },
		["service-unavailable"] = { 503 },
	},
	wait = {
		["remote-server-timeout"] = { 408, 502, 504 }, ["internal-server-error"] = { 500 },
		["resource-constraint"] = { 423, 429, 507 },
	},
}

local function default(code)
	return { code = code, type = "cancel", condition = "undefined-condition", text = codes[code] }
end

for code in pairs(codes) do
	registry[code] = default(code)
end
for kind, conditions in pairs(answered) do
	for condition, list in pairs(conditions) do
		for _, code in ipairs(list) do
			registry[code].type, registry[code].condition = kind, condition
		end
	end
end

setmetatable(registry, { __index = function (_, code)
	return type(code) == "number" and default(code) or nil
end })

--- @param code of the callback of net.http; 0: body names the reason
-- @return error object
local function new(code, body, context)
	if code == 0 then
		return errors.new(body, context, registry)
	end
	return errors.new(code, context, registry)
end

return { registry = registry, new = new }
