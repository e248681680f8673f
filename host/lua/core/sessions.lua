-- What is in flight: connections of class client, and work that modules have begun.
--
-- Connections are counted where they are accepted, in C, and asked for when somebody wants to know;
-- they tell of their end only while somebody waits. Work is told by
-- `local done = module:begin("job")`. The count of this process alone decides when lame-duck and
-- finish may end; nothing here asks another process or a store.

local log <const> = require "util.logger".init("sessions")

local timer <const> = require "util.timer"

local sessions <const> = {}

-- At the end of the process everything is collected; nothing is a leak any more.
local shut = false

-- Work: in all, and per module and service; zero entries are removed, so the tables stay small.
local jobs = 0
local by_module, by_service = {}, {}
local listeners <const> = {} -- function → "each" or "zero": the falls that it wants
-- Where connections are counted: host.net, or nothing.
local net = { counted = function () return 0, {} end, on_closed = function () end }

local function bump(counts, key, by)
	if key then
		local count = (counts[key] or 0) + by
		counts[key] = count ~= 0 and count or nil
	end
end

local function copy(counts)
	local list <const> = {}
	for name, value in pairs(counts) do
		list[name] = value
	end
	return list
end

-- Told on every fall, not only at zero: phases wait for the count of one service as well.
local function fell(service)
	local total <const> = sessions.total()
	for fn in pairs(listeners) do
		fn(total, service)
	end
end

local function on_closed(opts)
	fell(opts.service)
end

--- Says where connections of class client are counted.
-- @param source table: counted([details]) → number, and list of { { module, service }, number };
-- on_closed(fn or nil, at_zero): fn({ module, service }) after each end, or only after that of the
-- last one of a listener
function sessions.count_connections(source)
	net = source
end

-- The token of one piece of work: when it is collected before its end was told, that is a leak.
local token_mt <const> = {}

local function finish(token)
	if token.ended then
		return
	end
	token.ended = true
	jobs = jobs - 1
	bump(by_module, token.module or "?", -1)
	bump(by_service, token.service, -1)
	fell(token.service)
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
	bump(by_module, module or "?", 1)
	bump(by_service, service, 1)
	local token = setmetatable({
		module = module, name = tostring(name), service = service, ended = false,
	}, token_mt)
	-- The token lives exactly as long as the function does.
	return function ()
		return finish(token)
	end
end

--- Everything in flight in this process.
-- @param service optional: of this service only
-- @return number
function sessions.total(service)
	if not service then
		return jobs + net.counted()
	end
	local total = by_service[service] or 0
	local _, list <const> = net.counted(true)
	for _, entry in ipairs(list) do
		total = total + (entry[1].service == service and entry[2] or 0)
	end
	return total
end

--- How many of them are connections.
function sessions.connections()
	return (net.counted())
end

--- How many of them are work that a module has begun.
-- @return number; and by module, a copy
function sessions.jobs()
	return jobs, copy(by_module)
end

--- The numbers of the status object.
-- @return { total, by_module = { name = count } }, a copy; and by_service, a copy
function sessions.snapshot()
	local modules <const>, services <const> = copy(by_module), copy(by_service)
	local connections <const>, list <const> = net.counted(true)
	for _, entry in ipairs(list) do
		bump(modules, entry[1].module, entry[2])
		bump(services, entry[1].service, entry[2])
	end
	return { total = jobs + connections, by_module = modules }, services
end

-- Who waits for a zero alone (a drain may last for days) costs a connection that closes nothing.
local function listen()
	local each = false
	for _, wants in pairs(listeners) do
		each = each or wants == "each"
	end
	net.on_closed(next(listeners) and on_closed or nil, not each)
end

--- Calls fn(total, service) each time a count falls.
-- @param at_zero true: only zeros matter, of all or of a service; it may be called for others, too
-- @return function that ends this
function sessions.on_fall(fn, at_zero)
	listeners[fn] = at_zero and "zero" or "each"
	listen()
	return function ()
		listeners[fn] = nil
		listen()
	end
end

--- The host ends: from here on nothing is called a leak.
function sessions.shut()
	shut = true
end

return sessions
