--- Answers of net.http.server: what handlers fill and send.
--
-- Fields: request, conn, status_code (200), status (text, optional), headers (underscored names),
-- body, persistent, is_head_request, finished, on_destroy(response), finish_cb(response).

local codes <const> = require "net.http.codes"
local host_http <const> = require "host.http"
local respond_plain <const> = host_http.respond_plain
local contains_token <const> = require "util.http".contains_token

local response <const> = {}

local block <const> = 65536 -- bytes of a file that are read at once

-- May the connection live on? Set by the session. And whether some connections may not.
local may_persist, draining = function () return true end, false

-- A number that is no status would make an answer that no client can read: a text is up to the
-- module.
local status_lines <const> = setmetatable({}, { __index = function (lines, code)
	local line <const> = ("HTTP/1.1 %s\r\n"):format(codes[code])
	local number <const> = type(code) == "number" and math.tointeger(code)
	if number and number >= 100 and number < 1000 then
		lines[number] = line
	elseif type(code) == "number" then
		error(("%s is no status of HTTP"):format(code))
	end
	return line
end })

-- And what a field is that has not been set: to set one of a new table takes 200 instructions.
local methods <const> = { status_code = 200, is_head_request = false, old = false,
	persistent = true, begun = false, finished = false }

-- Who sets a field, or asks for HEAD or in HTTP/1.0, has no plain answer (see send): the class of a
-- response says that, and that it has ended.
local altered <const> = { __index = methods }
local plain <const> = { __index = methods, __newindex = function (self, key, value)
	rawset(setmetatable(self, altered), key, value)
end }
local ended <const> = {
	__index = setmetatable({ finished = true, begun = true }, { __index = methods }),
}
local answer <const> = host_http.answerer(plain, ended)

-- RFC 9110 6.4.1: these never have a body.
local function is_bodyless(code)
	return code < 200 or code == 204 or code == 304
end

-- Whether the peer can tell where the body ends.
local function is_delimited(self, headers, length)
	return length or is_bodyless(self.status_code) or self.is_head_request
		or headers and (headers.content_length or headers.transfer_encoding)
end

local function check_persistence(self, headers, length)
	local connection <const> = headers and headers.connection
	if self.status_code == 101 then
		return
	elseif connection and contains_token(connection, "close")
	or not is_delimited(self, headers, length) then
		self.persistent = false
	elseif self.persistent and not may_persist(self) then
		self.persistent = false
		if connection then
			headers.connection = nil
		end
	end
end

-- Writes the head, and the body with it; raises, with nothing written, if a header is malformed.
local function write(self, length, body)
	local headers <const> = self.headers
	local code <const> = self.status_code
	if headers and headers.transfer_encoding then
		headers.content_length, length = nil, nil
	end
	check_persistence(self, headers, length)
	local line = self.status and ("HTTP/1.1 %s\r\n"):format(self.status) or status_lines[code]
	local connection = not self.persistent and "close" or self.old and "keep-alive" or nil
	local text = host_http.respond(self.conn, line, headers, connection, length, body)
	self.begun = true
	if type(text) == "string" then
		self.conn:write(text)
	end
end

-- Most answers are 200 with the body at hand, no header of how it is framed, and another request to
-- come. They are framed in one call of C, without write's questions. false: nothing was done.
local function send_plain(self, body)
	local s <const>, conn <const> = self.session, self.conn
	if getmetatable(self) ~= plain or draining or type(body) ~= "string" or not s or s.last then
		return false
	end
	local text <const> = respond_plain(conn, self.headers, body)
	if text == nil then
		return false
	elseif text ~= true and text then
		conn:write(text)
	end
	setmetatable(self, ended)
	return true
end

--- Sends the answer with its body and ends it.
-- @param body string, default response.body or none
function methods:send(body)
	if self.finished or answer(self, body) then
		return
	elseif send_plain(self, body) then
		return self:finish_cb()
	end
	body = body or self.body or ""
	if type(body) ~= "string" then
		body = tostring(body)
	end
	if is_bodyless(self.status_code) then
		write(self, nil, nil)
	else
		write(self, #body, not self.is_head_request and body or nil)
	end
	return self:done()
end

--- Sends the head alone; the handler writes the body to response.conn and calls done().
function methods:write_headers()
	if not self.finished then
		write(self, nil, nil)
	end
end

local function end_file(self, file)
	self.conn.ondrain = nil
	self._send_more = nil
	if file.close then
		file:close()
	end
end

-- One more block; a file that ends early ends the connection, or its rest would be taken for the
-- next answer.
local function file_sender(self, file, chunked)
	local left = tonumber(self.headers.content_length)
	return function ()
		if self.finished then
			return end_file(self, file)
		end
		local data = file:read(left and math.min(left, block) or block)
		if data and #data > 0 then
			left = left and left - #data
			return self.conn:write(chunked and ("%x\r\n%s\r\n"):format(#data, data) or data)
		end
		if chunked then
			self.conn:write("0\r\n\r\n")
		end
		if left and left > 0 then
			self.persistent = false
		end
		end_file(self, file)
		return self:done()
	end
end

--- Sends a file (anything with read(bytes) and perhaps close()) as fast as the peer reads; without
-- headers.content_length in chunks.
-- @return true
function methods:send_file(file)
	if self.finished or self.is_head_request then
		if file.close then
			file:close()
		end
		if not self.finished then
			self:write_headers()
			self:done()
		end
		return true
	end
	local chunked = not self.headers.content_length and not self.old
	if chunked then
		self.headers.transfer_encoding = "chunked"
	end
	write(self, nil, nil)
	local more <const> = file_sender(self, file, chunked)
	self._send_more = more
	self.conn.ondrain = function ()
		if self._send_more then
			more()
		end
	end
	more()
	return true
end

--- Ends the answer: the connection goes on with the next request, or is closed.
function methods:done()
	if self.finished then
		return
	end
	self.finished = true
	local on_destroy <const> = self.on_destroy
	if on_destroy then
		self.on_destroy = nil
		on_destroy(self)
	end
	return self:finish_cb()
end

--- Nobody will read the answer: the connection has gone.
function response.abandon(self)
	if not self.finished then
		self.finished = true
		if self._send_more then
			self._send_more() -- closes the file
		end
		if self.on_destroy then
			self:on_destroy()
		end
	end
end

--- @param request request object, or nil for an answer to what is none
-- @param session of the connection
function response.new(conn, request, session)
	if not request then
		return setmetatable({ conn = conn, session = session, headers = {}, persistent = false },
			altered)
	end
	local self <const> = setmetatable({ request = request, conn = conn, headers = {},
		session = session }, plain)
	if host_http.is_special(request) then
		local persistent, version, _, _, _, method = host_http.framing(request)
		self.persistent, self.old = persistent, version == "1.0"
		self.is_head_request = method == "HEAD"
	end
	return self
end

--- A response that was made for a request without a session gets one.
function response.give_session(self, session)
	rawset(self, "session", session)
end

--- Sets what is called with a response that has ended, as its finish_cb.
function response.set_finish(fn)
	methods.finish_cb = fn
end

--- Sets who decides whether connections live on: fn(response) → boolean.
function response.set_persistence(fn)
	may_persist = fn
end

--- @param some whether may_persist must be asked
function response.set_draining(some)
	draining = some
end

--- The head as a list of texts (Prosody's interface for modules that write themselves).
function response.prepare_header(self)
	local out <const> = { "HTTP/1.1 " .. (self.status or codes[self.status_code]) }
	for name, value in pairs(self.headers) do
		name = name:gsub("_", "-"):gsub("%f[%w].", string.upper)
		assert(not (name .. value):find("[%c]"), "control character in a header")
		out[#out + 1] = "\r\n" .. name .. ": " .. value
	end
	out[#out + 1] = "\r\n\r\n"
	return out
end

--- @return true: a plain answer to a usual request has been sent; else nothing was done
response.answer = answer
response.methods = methods
return response
