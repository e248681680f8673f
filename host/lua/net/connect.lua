--- Connects to the first target that answers, of a resolver's (net.resolvers.*). Attempts begin
-- 250 ms apart or when the one before has failed (RFC 8305 5); who answers first wins, the others
-- are destroyed.

local id <const> = require "util.id"
local log <const> = require "util.logger".init("net.connect")
local server <const> = require "net.server"
local timer <const> = require "util.timer"

local connect <const> = {}

-- Seconds until the next attempt begins beside one that has not answered yet (RFC 8305 5).
local attempt_delay <const> = 0.25

-- attempts[conn]: who waits for it
local attempts <const> = {}
local listeners <const> = {}

local methods <const> = {}
local pending_mt <const> = { __index = methods, __name = "pending_connection",
	__tostring = function (p)
		return ("<pending connection %s to %s>"):format(p.id, p.target_resolver.hostname or "?")
	end,
}

function methods:log(level, message, ...) -- luacheck: ignore 212/self
	log(level, "[pending connection %s] " .. message, self.id, ...)
end

function methods:_stop_timer()
	if self.timer then
		timer.stop(self.timer)
		self.timer = nil
	end
end

function methods:_over()
	self.done = true
	self:_stop_timer()
	for conn in pairs(self.conns) do
		attempts[conn] = nil
		self.conns[conn] = nil
		conn:destroy()
	end
end

function methods:_fail()
	self:_over()
	local err = self.last_error or self.target_resolver.last_error or "unable to resolve service"
	self:log("debug", "no target left: %s", err)
	if self.listeners.onfail then
		self.listeners.onfail(self.data, err)
	end
end

function methods:_try(conn_type, ip, port, extra)
	self:log("debug", "trying %s:%s", ip, port)
	local conn, err = server.addclient(ip, port, listeners, self.options.pattern or "*a",
		extra and extra.sslctx or self.options.sslctx, conn_type, extra)
	if not conn then
		self.last_error = err or "unknown reason"
		self:log("debug", "attempt failed at once: %s", self.last_error)
		return self:_next()
	end
	self.conns[conn] = true
	attempts[conn] = self
	self.timer = timer.add_task(attempt_delay, function ()
		self.timer = nil
		self:_next()
	end)
end

--- Begins with the next target, unless one is being looked for.
function methods:_next()
	if self.done or self.looking then
		return
	end
	self:_stop_timer()
	if self.exhausted then
		if not next(self.conns) then
			self:_fail()
		end
		return
	end
	self.looking = true
	self.target_resolver:next(function (conn_type, ip, port, extra)
		self.looking = false
		if self.done then
			return
		elseif conn_type then
			return self:_try(conn_type, ip, port, extra)
		end
		self.exhausted = true
		self:_next()
	end)
end

function listeners.onconnect(conn)
	local p = attempts[conn]
	if not p then
		return conn:close()
	end
	attempts[conn], p.conns[conn] = nil, nil
	p:_over()
	p:log("debug", "connected")
	conn:setlistener(p.listeners, p.data)
	if p.listeners.onconnect then
		return p.listeners.onconnect(conn)
	end
end

function listeners.ondisconnect(conn, reason)
	local p = attempts[conn]
	if not p then
		return
	end
	attempts[conn], p.conns[conn] = nil, nil
	p.last_error = reason or "unknown reason"
	p:log("debug", "attempt failed: %s", p.last_error)
	p:_next()
end

--- Ends it: nothing is called any more.
function methods:cancel()
	self:_over()
end

--- Begins; the listeners hear onattach(conn, data) and onconnect(conn), or onfail(data, error).
-- @param target_resolver object with next(callback)
-- @param callbacks listener table
-- @param options nil or { pattern = read size, sslctx = context }
-- @param data passed to onattach and onfail
-- @return object with cancel()
function connect.connect(target_resolver, callbacks, options, data)
	local p <const> = setmetatable({ id = id.short(), target_resolver = target_resolver,
		listeners = assert(callbacks), options = options or {}, data = data, conns = {} },
		pending_mt)
	p:_next()
	return p
end

return connect
