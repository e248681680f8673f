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

local function look(sessions)
	local now <const> = coarse()
	local found = false
	for conn, s in next, sessions do
		if can_rest(s, now) then
			sessions[conn], found = nil, true
			rest(s)
		end
	end
	pause = found and soon or math.min(pause * 2, seldom)
	watching = next(sessions) ~= nil
	return watching and pause or nil
end

--- Somebody has a session: looks for those who need theirs no more, until nobody has one.
-- @param sessions conn → session
function resting.watch(sessions)
	pause = soon
	if not watching then
		watching = true
		timer.add_task(soon, function () return look(sessions) end)
	end
end

return resting
