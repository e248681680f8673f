--- Client of a Redis server, on net.server's connections and hiredis' reader.
--
-- Commands are pipelined; every one has an answer: its callback gets the reply, or nil and why
-- there is none. Nothing waits: what the server does (slow, dead, hostile, silent) costs the
-- commands under way, and after a jittered pause the client connects again. What a command meant
-- to change is not known when its answer did not come; who needs to know asks again.
--
--	local client = redis.new { host = "127.0.0.1", port = 6379, on_up = …, on_down = … }
--	client:start()
--	client:call({ "HGET", "key", "field" }, function (reply, why) … end)
--
-- Replies: string, integer, list; null is false, an error inside a list is { err = text }.

local connect <const> = require "net.connect".connect
local host_redis <const> = require "host.redis"
local log <const> = require "util.logger".init "net.redis"
local resolver <const> = require "net.resolvers.basic"
local secure <const> = require "net.http.secure"
local server <const> = require "net.server"
local sha1 <const> = require "util.hashes".sha1
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local redis <const> = {}

local defaults <const> = {
	host = "127.0.0.1", port = 6379, database = 0, timeout = 2, backoff = { 0.1, 30 },
	--- Limits of one reply, and of what has no answer yet: bytes, values, bytes.
	reply_bytes = 1048576, reply_values = 16384, queue_bytes = 1048576,
}

-- A connection that lived this long (s) was a good one: the next pause is the shortest again.
local settled <const> = 10
-- An answer may lie in the socket when the process itself was stopped: one more look (s).
local last_look <const> = 0.1

local client <const> = {}
local client_mt <const> = { __index = client, __name = "redis client" }
local listeners <const> = {}
local owners <const> = setmetatable({}, { __mode = "k" }) -- conn → client

local function protected(fn, ...)
	if not fn then
		return
	end
	local ok, err = xpcall(fn, debug.traceback, ...)
	if not ok then
		log("error", "%s", err)
	end
end

local function encode(args)
	local parts <const> = { ("*%d\r\n"):format(#args) }
	for _, arg in ipairs(args) do
		arg = tostring(arg)
		parts[#parts + 1] = ("$%d\r\n"):format(#arg)
		parts[#parts + 1] = arg
		parts[#parts + 1] = "\r\n"
	end
	return table.concat(parts)
end

-- The connection ------------------------------------------------------------------------------

--- Ends the connection. Everybody who waits is told why; the next try comes after a pause.
function client:_drop(why)
	local conn <const>, pending <const>, was_up <const> = self.conn, self._pending, self.up
	local first <const>, last <const> = self._first, self._last
	self.conn, self.up, self._pending, self._first, self._last = nil, false, {}, 1, 0
	self._unanswered, self._out, self._late, self._connected = 0, nil, nil, false
	if self._connecting then
		self._connecting:cancel()
		self._connecting = nil
	end
	if self._tick then
		timer.stop(self._tick)
		self._tick = nil
	end
	if conn then
		owners[conn] = nil
		conn:destroy()
	end
	self.last_error = why
	local lived = was_up and time.monotonic() - self.since or 0
	self.failures = lived >= settled and 0 or self.failures + 1
	for i = first, last do
		protected(pending[i].callback, nil, why)
	end
	if not self._told_down then
		self._told_down = true
		protected(self.on_down, self, why)
	end
	self:_retry()
end

--- Connects again after a pause that doubles with each failure, half of it by chance.
function client:_retry()
	if not self.running or self._pause then
		return
	end
	local least <const>, most <const> = self.backoff[1], self.backoff[2]
	local pause = math.min(most, least * 2 ^ math.max(0, math.min(self.failures - 1, 30)))
	self._pause = timer.add_task(pause * (0.5 + math.random() / 2), function ()
		self._pause = nil
		self:_connect()
	end)
end

-- Looks whether the oldest command has waited too long; asks when nobody has asked for a while.
function client:_watch()
	local oldest <const> = self._pending[self._first]
	if not oldest then
		if self.up then
			self:call({ "PING" })
		end
		return self.timeout
	end
	local left <const> = oldest.at + self.timeout - time.monotonic()
	if left > 0 then
		return left
	elseif not self._late then
		self._late = true
		return last_look
	end
	self._tick = nil
	self:_drop("timeout")
end

function client:_connect()
	self._reader = host_redis.reader(self.reply_bytes, self.reply_values)
	self._tick = timer.add_task(self.timeout, function ()
		if self._connected then
			return self:_watch()
		end
		self._tick = nil
		self:_drop("timeout")
	end)
	if self.path then
		local conn, err = server.addclient(self.path, nil, listeners, "*a", self.sslctx, "unix")
		if not conn then
			return self:_drop(err or "cannot connect")
		end
		owners[conn], self.conn = self, conn
		return
	end
	local target <const> = resolver.new(self.host, self.port, "tcp",
		{ servername = self.host })
	local pending <const> = connect(target, listeners, { sslctx = self.sslctx }, self)
	-- It may have failed by now, or be connected.
	if self._tick and not self.conn then
		self._connecting = pending
	end
end

function client:_greet()
	local function refused(_, why)
		if why and self.conn then
			self:_drop(why)
		end
	end
	if self.password then
		self:_send(self.username and { "AUTH", self.username, self.password }
			or { "AUTH", self.password }, refused)
	end
	if self.name then
		self:_send({ "CLIENT", "SETNAME", self.name })
	end
	if self.database ~= 0 then
		self:_send({ "SELECT", self.database }, refused)
	end
	self:_send({ "PING" }, function (_, why)
		if why then
			return refused(nil, why)
		end
		self.up, self.since, self.last_error = true, time.monotonic(), nil
		self._told_down = false
		protected(self.on_up, self)
	end)
end

function listeners.onattach(conn, self)
	owners[conn], self.conn, self._connecting = self, conn, nil
end

function listeners.ondetach(conn)
	owners[conn] = nil
end

function listeners.onconnect(conn)
	local self <const> = owners[conn]
	if not self then
		return conn:close()
	elseif self.sslctx and self.verify then
		local ok, why = secure.verify(conn, self.verify)
		if not ok then
			return self:_drop(why)
		end
	end
	self._connected = true
	self:_greet()
end

function listeners.onfail(self, why)
	self._connecting = nil
	self:_drop(why or "cannot connect")
end

function listeners.ondisconnect(conn, why)
	local self <const> = owners[conn]
	owners[conn] = nil
	if self and self.conn == conn then
		self.conn = nil
		self:_drop(why or "closed")
	end
end

-- A stop closes us when the last answer is there.
function listeners.ongoodbye(conn)
	local self <const> = owners[conn]
	if not self then
		return
	end
	self.running, self.on_down = false, nil
	if self._first <= self._last then
		self._closing = true
		return true
	end
end

-- Commands ------------------------------------------------------------------------------------

function client:_answered(value, why)
	local first <const> = self._first
	local command <const> = self._pending[first]
	if not command then
		return self:_drop("an answer to no question")
	end
	self._pending[first] = nil
	self._first, self._late = first + 1, nil
	self._unanswered = self._unanswered - command.size
	protected(command.callback, value, why)
	if self._closing and self.conn and self._first > self._last then
		self:stop()
	end
end

function listeners.onincoming(conn, data)
	local self <const> = owners[conn]
	local reader <const> = self and self._reader
	while self and self.conn == conn and self._reader == reader do
		local word <const>, value <const> = reader:next(data)
		data = nil
		if word == "reply" then
			self:_answered(value)
		elseif word == "failure" then
			self:_answered(nil, value)
		elseif word == "broken" then
			return self:_drop("protocol error: " .. value)
		else
			return
		end
	end
end

local function flush(self)
	local out <const> = self._out
	self._out = nil
	if out and self.conn then
		self.conn:write(table.concat(out))
	end
end

-- What is said in one turn of the loop goes out in one write.
function client:_send(args, callback)
	local text <const> = encode(args)
	self._last = self._last + 1
	self._pending[self._last] = { callback = callback, size = #text, at = time.monotonic() }
	self._unanswered = self._unanswered + #text
	if self._out then
		self._out[#self._out + 1] = text
		return
	end
	self._out = { text }
	timer.add_task(0, function () flush(self) end)
end

local function refuse(callback, why)
	if callback then
		timer.add_task(0, function () protected(callback, nil, why) end)
	end
end

--- Sends a command.
-- @param args list: the command's words; numbers are written as text
-- @param callback optional: (reply), or (nil, why): the server's error, "not-connected",
-- "overloaded" (more than queue_bytes have no answer), "timeout", or what ended the connection.
-- Called once, never from inside this call
function client:call(args, callback)
	if not self.up then
		return refuse(callback, "not-connected")
	elseif self._unanswered > self.queue_bytes then
		return refuse(callback, "overloaded")
	end
	self:_send(args, callback)
end

--- A script for eval(). @param text Lua for the server
function redis.script(text)
	return { text = text, sha = sha1(text, true) }
end

local function eval_args(word, script, keys, args)
	local list <const> = { word, script, #keys }
	table.move(keys, 1, #keys, #list + 1, list)
	return table.move(args, 1, #args, #list + 1, list)
end

--- Runs a script atomically in the server; it is sent whole only where the server does not know
-- it. Commands sent after it may then run before it.
-- @param script of redis.script
-- @param keys, args lists
-- @param callback as in call
function client:eval(script, keys, args, callback)
	self:call(eval_args("EVALSHA", script.sha, keys, args), function (reply, why)
		if why and why:find("^NOSCRIPT") then
			return self:call(eval_args("EVAL", script.text, keys, args), callback)
		end
		protected(callback, reply, why)
	end)
end

--- Bytes of commands that have no answer yet.
function client:unanswered()
	return self._unanswered
end

--- Connects, and connects again whenever the connection ends.
function client:start()
	if not self.running then
		self.running = true
		self:_connect()
	end
end

--- Ends it after what has been written; who waits hears "closed". on_down is not called.
function client:stop()
	local conn <const> = self.conn
	self.running, self.on_down = false, nil
	flush(self)
	if self._pause then
		timer.stop(self._pause)
		self._pause = nil
	end
	if conn then
		owners[conn], self.conn = nil, nil
		conn:close()
	end
	self:_drop("closed")
end

--- Makes a client; it does nothing until start().
-- @param options table:
--	host, port; or path of a Unix socket
--	username, password, database (number), name (for CLIENT LIST)
--	sslctx: context for TLS; verify: name that the certificate must have
--	timeout: seconds for a connect and for each command
--	backoff: { least, most } seconds between two tries
--	on_up(client), on_down(client, why): it can be asked; it cannot. on_down is also called when
--	the very first try fails
--	reply_bytes, reply_values, queue_bytes: limits, see defaults
-- @return client; its fields `up` and `last_error` may be read
function redis.new(options)
	local self <const> = { failures = 0, up = false, running = false, _pending = {}, _first = 1,
		_last = 0, _unanswered = 0 }
	for name, value in pairs(defaults) do
		self[name] = value
	end
	for name, value in pairs(options) do
		self[name] = value
	end
	return setmetatable(self, client_mt)
end

return redis
