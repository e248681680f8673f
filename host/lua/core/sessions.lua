-- What is in flight: connections of class client, and work that modules have begun.
--
-- Connections count themselves: net.server tells opened() and closed() for each. Work is told by
-- `local done = module:begin("job")`. The count of this process alone decides when lame-duck and
-- finish may end; nothing here asks another process or a store.

local log <const> = require "util.logger".init("sessions")

local timer <const> = require "util.timer"

local sessions <const> = {}

-- At the end of the process everything is collected; nothing is a leak any more.
local shut = false

-- total, and per module and service; zero entries are removed, so that the tables stay small.
local total, connections, jobs = 0, 0, 0
local by_module, by_service, jobs_of = {}, {}, {}
local listeners <const> = {}

local function bump(counts, key, by)
	if key then
		local count = (counts[key] or 0) + by
		counts[key] = count ~= 0 and count or nil
	end
end

local function count(module, service, by)
	total = total + by
	bump(by_module, module, by)
	bump(by_service, service, by)
	-- Told on every fall, not only at zero: phases wait for the count of one service as well.
	if by < 0 then
		for fn in pairs(listeners) do
			fn(total, service)
		end
	end
end

--- A connection of class client has come; called for each accepted connection.
-- @param module name of the module that serves it, or nil
-- @param service name of its service, or nil
function sessions.opened(module, service)
	connections = connections + 1
	count(module, service, 1)
end

--- That connection has gone, for whatever reason.
function sessions.closed(module, service)
	connections = connections - 1
	count(module, service, -1)
end

-- The token of one piece of work: when it is collected before its end was told, that is a leak.
local token_mt <const> = {}

local function finish(token)
	if token.ended then
		return
	end
	token.ended = true
	jobs = jobs - 1
	bump(jobs_of, token.module or "?", -1)
	count(token.module, token.service, -1)
end

token_mt.__gc = function (token)
	if not token.ended and not shut then
		log("warn", "mod_%s began '%s' and lost the function that ends it: counted as ended",
			token.module or "?", token.name)
		-- Not inside the collector: whoever waits for the count goes on from here.
		timer.add_task(0, function () finish(token) end)
	end
end

--- Work in flight begins (`module:begin(name [, service])`).
-- @param module name of the module
-- @param name what it is, in words
-- @param service optional name of the service it belongs to
-- @return done() that ends it; calling it again does nothing
function sessions.begin(module, name, service)
	jobs = jobs + 1
	bump(jobs_of, module or "?", 1)
	local token = setmetatable({
		module = module, name = tostring(name), service = service, ended = false,
	}, token_mt)
	count(module, service, 1)
	-- The token lives exactly as long as the function does.
	return function ()
		return finish(token)
	end
end

--- Everything in flight in this process.
-- @param service optional: of this service only
-- @return number
function sessions.total(service)
	if service then
		return by_service[service] or 0
	end
	return total
end

--- How many of them are connections.
function sessions.connections()
	return connections
end

--- How many of them are work that a module has begun.
-- @return number; and by module, a copy
function sessions.jobs()
	local copy = {}
	for name, value in pairs(jobs_of) do
		copy[name] = value
	end
	return jobs, copy
end

--- The numbers of the status object.
-- @return { total, by_module = { name = count } }, a copy; and by_service, a copy
function sessions.snapshot()
	local modules, services = {}, {}
	for name, value in pairs(by_module) do
		modules[name] = value
	end
	for name, value in pairs(by_service) do
		services[name] = value
	end
	return { total = total, by_module = modules }, services
end

--- Calls fn(total, service) each time a count falls.
-- @return function that ends this
function sessions.on_fall(fn)
	listeners[fn] = true
	return function ()
		listeners[fn] = nil
	end
end

--- The host ends: from here on nothing is called a leak.
function sessions.shut()
	shut = true
end

return sessions
