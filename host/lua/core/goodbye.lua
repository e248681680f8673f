-- Goodbyes: the connections of a class are told, in their protocol's own words, and closed.
--
-- listeners.ongoodbye(conn, event) writes the words. It returns nothing (the host closes after
-- the flush) or true (the module closes by itself before the deadline; until then the connection
-- holds the phase).

local blame <const> = require "core.blame"
local configmanager <const> = require "core.configmanager"
local log <const> = require "util.logger".init("goodbye")
local portmanager <const> = require "core.portmanager"
local promise <const> = require "util.promise"
local server <const> = require "net.server"
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local goodbye <const> = {}

-- Goodbyes that are due are written together; a shorter step only costs wake-ups (s).
local step <const> = 0.01

-- How often those are looked at that core.sessions does not count (s).
local peer_look <const> = 0.05

local function class_is_counted(class)
	return class == "client"
end

local function is_closed(conn)
	return conn:getfd() == -1
end

local function service_of(conn)
	return conn.service and conn:service() or nil
end

-- service → { drained, forced } since the start
local totals <const> = {}

local function count(conn, what)
	local service = service_of(conn) or "none"
	local counts = totals[service] or { drained = 0, forced = 0 }
	totals[service] = counts
	counts[what] = counts[what] + 1
end

--- Connections that stops have ended, by service ("none": outgoing ones).
-- @return service → { drained = told and let go, forced = cut at a deadline }
function goodbye.totals()
	return totals
end

-- `goodbye` for all, `<service>_goodbye` over it.
local function words_for(service)
	local all = configmanager.get("*", "goodbye")
	local own = service and configmanager.get("*", service .. "_goodbye")
	all, own = type(all) == "table" and all or {}, type(own) == "table" and own or {}
	return own.to or all.to, own.after or all.after
end

-- Tells one connection; true if it will close by itself.
local function tell(conn, work)
	local told = conn.listeners and conn.listeners.ongoodbye
	if not told then
		return false
	end
	local event = work.event
	local to, after = words_for(service_of(conn))
	blame.enter("ongoodbye", service_of(conn))
	local ok, result = xpcall(told, debug.traceback, conn, {
		reason = event.reason, code = event.code, to = to, after = after, deadline = event.deadline,
	})
	blame.leave()
	if not ok then
		log("error", "ongoodbye of %s: %s", service_of(conn) or "a connection", result)
		if work.on_error then
			work.on_error("ongoodbye", service_of(conn), result)
		end
		return false
	end
	work.closed.goodbye = work.closed.goodbye + 1
	return result == true
end

--- Tells one connection goodbye outside a stop, and closes it.
-- @param conn the connection
-- @param reason string for the module's words
function goodbye.refuse(conn, reason)
	local work = { event = { reason = reason }, closed = { goodbye = 0 } }
	if not tell(conn, work) then
		conn:close()
	end
end

local function say(conn, work)
	if is_closed(conn) then
		return
	end
	if tell(conn, work) then
		if is_closed(conn) then
			work.closed.finished = work.closed.finished + 1
			count(conn, "drained")
		else
			work.own[conn] = work.phase.holds:hold("goodbye", nil, nil, conn, service_of(conn))
			work.waiting = work.waiting + 1
		end
	else
		conn:close()
		work.closed.idle = work.closed.idle + 1
		count(conn, "drained")
	end
end

-- Those that wanted to close by themselves: who has done it lets go of the phase.
local function look(work)
	work.looking = false
	for conn, release in pairs(work.own) do
		if is_closed(conn) then
			work.own[conn] = nil
			work.waiting = work.waiting - 1
			work.closed.finished = work.closed.finished + 1
			count(conn, "drained")
			release()
		end
	end
	work.phase:check()
end

local function look_soon(work)
	if not work.looking then
		work.looking = true
		timer.add_task(0, function () look(work) end)
	end
end

-- Connection i of n is due at its part of the spread, moved by chance inside its own slot:
-- clients that reconnect at once must not come in one wave, and one connection alone must not wait.
local function due_times(n, spread)
	local slot, list = spread / n, {}
	local jitter = math.min(slot, spread / 10)
	for i = 1, n do
		list[i] = (i - 1) * slot + math.random() * jitter
	end
	return list
end

local function say_spread(list, due, work, done)
	local at, started = 1, time.monotonic()
	local function some()
		local passed = work.hurried and math.huge or time.monotonic() - started
		while at <= #list and due[at] <= passed do
			say(list[at], work)
			at = at + 1
		end
		if at <= #list then
			return step
		end
		done()
	end
	local again = some()
	if again then
		timer.add_task(again, some)
	end
	return some
end

local function force(work)
	for conn in pairs(work.own) do
		if not is_closed(conn) then
			conn:close()
			work.closed.forced = work.closed.forced + 1
			count(conn, "forced")
		end
	end
	work.own = {}
end

local function join_phase(work, rest)
	local phase = work.phase
	phase.extra.closed = work.closed
	phase.stragglers = function () return #server.handles { class = work.class } end
	phase.on_cut = function ()
		work.hurried = true
		rest()
		if next(work.own) ~= nil then
			force(work)
			return "expired"
		end
		return "clean"
	end
	-- Of connections that are nobody's session, only they themselves know that they have gone.
	local unhook = sessions.on_fall(function () look_soon(work) end)
	local looks = class_is_counted(work.class) and nil or timer.add_task(peer_look, function ()
		look(work)
		return peer_look
	end)
	phase.on_end = function ()
		unhook()
		if looks then
			timer.stop(looks)
		end
	end
end

--- Closes the listeners of a class in the order that loses nobody: who waits in their queues is
-- accepted first, so goodbyes may be said only when this is over.
-- @param class "client", "peer" or "admin"
-- @return promise, resolved when the last has closed
function goodbye.close_listeners(class)
	portmanager.close_class(class)
	return promise.new(function (resolve)
		server.close_servers({ class = class }, function () resolve() end)
	end)
end

--- Tells all connections of a class goodbye and closes them. The work of a phase.
-- @param class "client" or "peer"
-- @param event the phase's event (reason, code, deadline)
-- @param phase the running phase
-- @param opts table: `spread` seconds (default 0), `on_error(event, module, error)`
-- @return promise, resolved when all have been told
function goodbye.close(class, event, phase, opts)
	local list = server.handles { class = class }
	local work = {
		class = class, event = event, phase = phase, own = {}, waiting = 0,
		on_error = opts.on_error, closed = { idle = 0, finished = 0, goodbye = 0, forced = 0 },
	}
	for i = #list, 1, -1 do
		if is_closed(list[i]) then
			table.remove(list, i)
		end
	end
	return promise.new(function (resolve)
		local rest = function () end
		join_phase(work, function () rest() end)
		if #list == 0 then
			return resolve()
		end
		rest = say_spread(list, due_times(#list, opts.spread or 0), work, resolve)
	end)
end

return goodbye
