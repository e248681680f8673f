--- HTTP connections at rest: nothing of a request is here, and nothing is owed.
--
-- A session with its parser takes 800 bytes, most connections are idle most of the time. So who
-- has been idle for a moment gives both up, to the next one that has something to say; what stays
-- is the time since when, in the connection (bindings/lua_http_serve.c). Who sends one request
-- after the other never gets here: this costs a busy connection nothing.

local coarse <const> = require "host.loop".coarse
local host_http <const> = require "host.http"
local timer <const> = require "util.timer"

local resting <const> = {}

-- Seconds between two looks: the first, and the longest when a look finds nothing.
local soon <const>, seldom <const> = 0.05, 1
-- Sessions that are kept for the next ones; their parsers have limits that must not change.
local spares_most <const> = 256

local spare <const> = {}
local watching, pause = false, soon
-- Sessions put to rest, and requests served without one, since garbage was last collected for it;
-- how many are worth that.
local rested, many <const> = 0, 256
local served = 0 -- of those requests, as of the last look
-- What one look collects at most, in KB of allocation (as collectgarbage counts): under 1 ms.
local step <const> = 200

--- A session that nobody has, or nil.
function resting.spare()
	local n <const> = #spare
	local s <const> = spare[n]
	spare[n] = nil
	return s
end

--- The limits of parsers have changed.
function resting.forget_spares()
	for i = #spare, 1, -1 do
		spare[i] = nil
	end
end

-- What a session that may be given away has; false and nil stand for nothing.
local plain <const> = { conn = true, count = true, idle_since = true, parser = true }

local function can_rest(s, now)
	if s.busy or s.advancing or now - s.idle_since < soon then
		return false
	end
	for key, value in next, s do
		if value and not plain[key] then
			return false
		end
	end
	local bytes, part, over = s.parser:pending()
	return bytes == 0 and not part and not over
end

local function rest(s)
	host_http.rest(s.conn, s.idle_since, s.count)
	if #spare < spares_most then
		s.conn = false
		s.parser:adopt(nil)
		spare[#spare + 1] = s
	end
end

-- Lua collects when it allocates, and who rests allocates nothing: what many requests have left
-- behind would stay for as long as nobody comes. A step a look, until the cycle is over.
local function collect()
	if collectgarbage("step", step) then
		rested = 0
	end
	return rested >= many
end

-- How many requests have been served without a session since the last look.
local function count_served()
	local before <const> = served
	served = host_http.unwatch()
	return served - before
end

local function look(sessions)
	local now <const> = coarse()
	local found = false
	for conn, s in next, sessions do
		if can_rest(s, now) then
			sessions[conn], found = nil, true
			rested = rested + 1
			rest(s)
		end
	end
	local new <const> = count_served()
	rested = rested + new
	pause = found and soon or math.min(pause * 2, seldom)
	watching = next(sessions) ~= nil or new > 0 or rested >= many and collect()
	if watching then
		return pause
	end
	host_http.unwatch(true)
end

--- Somebody has a session, or has been served without one: looks for those who need theirs no more,
-- until nobody has one and nobody asks for anything.
-- @param sessions conn → session
function resting.watch(sessions)
	pause = soon
	if not watching then
		watching = true
		timer.add_task(soon, function () return look(sessions) end)
	end
end

return resting
