--- The clients of the demo: they count by themselves, with numbers that they make up and look for
-- in the answers.
--
-- lost: a number sent on a connection on which no `Connection: close` (lines: no "bye") had
-- arrived, not answered in full, or answered with another number. The end of a connection on which
-- nothing is open is no loss. Nobody pipelines. refused: a connect that failed.

local server <const> = require "net.server"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local clients <const> = {}

--- What all clients have counted: answered, lost, refused, connects, worst (seconds from the
-- first try to the answer, connecting included).
clients.counts = { answered = 0, lost = 0, refused = 0, connects = 0, worst = 0 }

local counts <const> = clients.counts
local number = 0
local stopped = false

-- A refused client tries again after this (s): a loop without a pause would only heat the room.
local pause <const> = 0.01

local function begin_request(self)
	number = number + 1
	self.open, self.since = tostring(number), self.since or time.monotonic()
	self.conn:write(self.ask(self.open))
end

local function answered(self, value)
	if value ~= self.open then
		counts.lost = counts.lost + 1
	end
	counts.answered = counts.answered + 1
	counts.worst = math.max(counts.worst, time.monotonic() - self.since)
	self.open, self.since = nil, nil
	if stopped then
		self.conn:close()
	elseif not self.leaving then
		local conn <const> = self.conn
		timer.add_task(self.think, function ()
			-- The connection may have ended meanwhile, and another one have begun.
			if self.conn == conn and not self.open and not self.leaving and not stopped then
				begin_request(self)
			end
		end)
	else
		self.conn:close()
	end
end

local connect

local function ended(self)
	self.conn = nil
	if self.open and not self.leaving then
		counts.lost = counts.lost + 1
	end
	self.open = nil
	if not stopped then
		timer.add_task(0, function () connect(self) end)
	end
end

local function listeners_of(self)
	local ready = false
	local listeners <const> = {}
	function listeners.onconnect()
		ready = true
		counts.connects = counts.connects + 1
		begin_request(self)
	end
	function listeners.onincoming(_, data)
		self.take(self, data)
	end
	function listeners.ondisconnect()
		if not ready then
			counts.refused = counts.refused + 1
			self.conn = nil
			timer.add_task(pause, function ()
				if not stopped then connect(self) end
			end)
			return
		end
		ended(self)
	end
	return listeners
end

function connect(self)
	self.leaving, self.buffer = false, ""
	self.since = self.since or time.monotonic()
	self.conn = server.addclient("127.0.0.1", self.port, listeners_of(self), "*a")
end

-- HTTP/1.1 with keep-alive: one answer at a time, with a Content-Length.
local function take_http(self, data)
	self.buffer = self.buffer .. data
	local head, rest = self.buffer:match("^(.-\r\n)\r\n(.*)$")
	local length = head and tonumber(head:lower():match("\r\ncontent%-length: (%d+)\r\n"))
	if length and #rest >= length then
		self.leaving = head:lower():find("\r\nconnection: close\r\n", 1, true) ~= nil
		self.buffer = rest:sub(length + 1)
		answered(self, head:match("^HTTP/1%.1 200 ") and rest:sub(1, length) or "no answer")
	end
end

local function take_lines(self, data)
	self.buffer = self.buffer .. data
	for line in self.buffer:gmatch("([^\n]*)\n") do
		if line == "bye" then
			self.leaving = true
			if not self.open then
				self.conn:close()
			end
		else
			answered(self, line:match("^ok (.*)$"))
		end
		if not self.conn then
			return
		end
	end
	self.buffer = self.buffer:match("[^\n]*$")
end

--- Starts clients of one kind.
-- @param kind "http" (keep-alive) or "lines"
-- @param port number
-- @param count how many
-- @param think seconds between an answer and the next request
function clients.start(kind, port, count, think)
	for _ = 1, count do
		connect {
			port = port, think = think, take = kind == "http" and take_http or take_lines,
			ask = kind == "http" and function (n)
				return ("GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(n)
			end or function (n) return n .. "\n" end,
		}
	end
end

--- No new requests; open ones are waited for.
function clients.stop()
	stopped = true
end

return clients
