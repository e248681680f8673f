--- Messages of HTTP as tables, Prosody's interface: the parser of net.http and of modules.
--
-- success_cb(packet) is called when a message is complete, and once before with packet.partial when
-- its body comes in chunks, until the end of the connection, or is larger than the limit: who then
-- sets packet.body_sink gets the body by body_sink:write(data), and packet.body stays false. A
-- response in chunks for which nobody did is offered a second time, as in Prosody.

local host_http <const> = require "host.http"

local parser <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

local function options_of(self)
	return self.options_cb and self.options_cb() or {}
end

local function fail(self, why)
	self.failed = true
	self.packet, self.parts = nil, nil
	return self.error_cb(why)
end

local steps <const> = {}

local function is_interim(packet)
	return packet.code and packet.code < 200 and packet.code ~= 101
end

function steps.head(self, packet)
	self.packet, self.parts, self.size = packet, {}, 0
	packet.body, packet.partial = false, true
	packet.responseversion, packet.responseheaders = packet.httpversion, packet.headers
	if packet.url and packet.url.host then
		packet.headers.host = packet.url.host
	end
	if is_interim(packet) then
		return
	end
	local length <const> = packet.body_length
	if not length or length > self.body_limit then
		self.success_cb(packet)
		if length and not packet.body_sink then
			return fail(self, "content-length-limit-exceeded")
		end
	end
	if packet.code and packet.chunked and not packet.body_sink then
		self.success_cb(packet)
	end
end

function steps.body(self, data)
	local packet <const> = self.packet
	if data == "" or is_interim(packet) then
		return
	elseif packet.body_sink then
		if not packet.body_sink:write(data) then
			return fail(self, "body-sink-write-failure")
		end
		return
	end
	self.size = self.size + #data
	if self.size > self.body_limit then
		return fail(self, "content-length-limit-exceeded")
	end
	self.parts[#self.parts + 1] = data
end

steps["end"] = function (self, data)
	steps.body(self, data)
	local packet <const> = self.packet
	if self.failed or is_interim(packet) then
		return
	end
	if not packet.body_sink then
		packet.body = table.concat(self.parts)
	end
	packet.partial, self.packet, self.parts = nil, nil, nil
	self.upgraded = packet.code == 101 -- what follows is another protocol's
	return self.success_cb(packet)
end

function steps.error(self, _, why)
	return fail(self, (why:gsub(" ", "-")))
end

--- @param data bytes; nil: the connection has ended
function methods:feed(data)
	if self.failed then
		return nil, "parse has failed"
	end
	local input <const> = self.input
	if self.upgraded then
		return data and input:push(data)
	end
	input:skip_body(options_of(self).method == "HEAD")
	local kind, a, b
	if data then
		kind, a, b = input:next(data)
	else
		kind, a, b = input:finish()
		if kind == "error" then
			return fail(self, "unexpected-eof")
		end
	end
	while kind do
		steps[kind](self, a, b)
		if self.failed or self.upgraded then
			return
		end
		kind, a, b = input:next()
	end
end

--- @return what has been fed and belongs to no message (after a 101), or nil
function methods:rest()
	return self.input:rest()
end

--- @param parser_type "client" (responses) or "server" (requests, the default)
-- @param options_cb function → table: body_size_limit, head_size_limit (bytes), method (of the
-- request that is answered)
-- @return parser with feed(data)
function parser.new(success_cb, error_cb, parser_type, options_cb)
	assert(not parser_type or parser_type == "client" or parser_type == "server",
		"Invalid parser type")
	local self <const> = setmetatable({
		success_cb = success_cb, error_cb = error_cb, options_cb = options_cb,
	}, mt)
	local options <const> = options_of(self)
	self.body_limit = tonumber(options.body_size_limit) or 10 * 1024 * 1024
	self.input = host_http.parser(parser_type == "client" and "response" or "plain", {
		line = 8192, header = tonumber(options.head_size_limit) or 32768, headers = 256,
	})
	return self
end

return parser
