--- A connection to the admin socket: one request, its answer; blocking, with deadlines.
-- Stands on host.sys alone: no loop runs in a command.

local json <const> = require "util.json"
local sys <const> = require "host.sys"

local client <const> = {}
local methods <const> = {}
methods.__index = methods

--- Most seconds that any command waits for a first answer, unless --timeout says otherwise.
client.first_answer = 5

--- @param path of the socket
-- @return connection; nil, message, errno
function client.connect(path)
	local fd, err, errno = sys.connect_unix(path)
	if not fd then
		return nil, err, errno
	end
	return setmetatable({ fd = fd, buffer = "" }, methods)
end

function methods:close()
	if self.fd then
		sys.close(self.fd)
		self.fd = nil
	end
end

--- Sends text. @return true; nil and the reason
function methods:send(text)
	while #text > 0 do
		local n, err, errno = sys.write(self.fd, text)
		if n then
			text = text:sub(n + 1)
		elseif errno == sys.EAGAIN then
			sys.wait({}, 0.01)
		else
			return nil, err
		end
	end
	return true
end

-- Takes one line off the buffer.
local function take_line(self)
	local line, rest = self.buffer:match("^([^\n]*)\n(.*)$")
	if line then
		self.buffer = rest
	end
	return line
end

-- Waits until there is something to read. @return true; nil and why not
local function wait_readable(self, deadline, extra)
	local left <const> = deadline and math.max(0, deadline - sys.clock()) or -1
	local ready, err = sys.wait({ self.fd, extra }, left)
	if not ready then
		return nil, err:find("interrupt", 1, true) and "interrupted" or err
	elseif #ready == 0 then
		return nil, "timeout"
	elseif ready[1] ~= self.fd then
		return nil, "extra"
	end
	return true
end

-- Reads what is there. @return true; nil and why not
local function fill(self)
	local text, why, errno = sys.read(self.fd)
	if text then
		self.buffer = self.buffer .. text
	elseif errno ~= sys.EAGAIN then
		return nil, errno == sys.ECONNRESET and "closed" or why
	end
	return true
end

--- Waits for a line.
-- @param deadline monotonic seconds or nil @param extra another fd that ends the wait, or nil
-- @return line; nil and "timeout", "closed", "interrupted", "extra"
function methods:line(deadline, extra)
	while true do
		local line <const> = take_line(self)
		if line then
			return line
		end
		local ok, why = wait_readable(self, deadline, extra)
		if ok then
			ok, why = fill(self)
		end
		if not ok then
			return nil, why
		end
	end
end

--- Sends words as a JSON line.
-- @param argv list of words @param width columns
function methods:request(argv, width)
	return self:send(json.encode { argv = argv, json = true, width = width } .. "\n")
end

--- Reads an answer to its last object.
-- @param on_part fn(object) for each part before
-- @param deadlines { first = monotonic or nil, last = monotonic or nil } @param extra fd or nil
-- @return the last object; nil and "timeout", "closed", …
function methods:answer(on_part, deadlines, extra)
	local deadline = deadlines.first
	while true do
		local line, why = self:line(deadline, extra)
		if not line then
			return nil, why
		end
		local object <const> = json.decode(line)
		if type(object) ~= "table" then
			return { ok = false, exit = 1, error = (line:gsub("^Error: ", "")) }
		elseif object.ok ~= nil then
			return object
		end
		deadline = deadlines.last
		on_part(object)
	end
end

--- null and absent are one. @return value or nil
function client.value(v)
	if v == json.null then
		return nil
	end
	return v
end

return client
