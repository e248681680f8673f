-- The other servers, as the last beat showed them, and the events of their coming and going.

local time <const> = require "util.time"

local peers <const> = {}

local by_member <const> = {}  -- member → { server_id, state, …, seen }
local gone <const> = {}       -- members whose last word we have told, while Redis still lists them
local forgiving_until = 0     -- after an outage everybody gets time to come back

-- The last words of a server (scripts.lib.lua, leave).
local last_words <const> = { finished = true, stopped = true }

-- More peers than this are not looked at.
local most <const> = 1000

-- Fields that are numbers.
local numbers <const> = { "pid", "generation", "sessions", "in_flight" }

local function read(info)
	local peer <const> = { seen = time.monotonic() }
	for i = 2, #info - 1, 2 do
		-- Data from outside: what is no text is left out.
		if type(info[i]) == "string" and type(info[i + 1]) == "string" then
			peer[info[i]] = info[i + 1]
		end
	end
	for _, name in ipairs(numbers) do
		peer[name] = math.tointeger(tonumber(peer[name]))
	end
	return peer
end

local function left(member, state)
	local peer <const> = by_member[member]
	by_member[member] = nil
	module:log("info", "peer %s has left (%s)", peer.server_id, state)
	module:fire_event("peer-left", { server_id = peer.server_id, state = state })
end

local function came(member, peer)
	local old <const> = by_member[member]
	by_member[member] = peer
	if not old then
		module:log("info", "peer %s has joined (%s)", peer.server_id, peer.state)
		module:fire_event("peer-joined", { server_id = peer.server_id, state = peer.state })
	elseif old.state ~= peer.state then
		module:log("info", "peer %s: %s -> %s", peer.server_id, old.state, peer.state)
	end
end

local function note(member, peer)
	if not last_words[peer.state] then
		came(member, peer)
	elseif by_member[member] then
		left(member, peer.state)
		gone[member] = true
	end
end

--- Takes what a beat has brought.
-- @param list of { member, field, value, … }; what is no such list is passed over
-- @param own server_id of this process: other workers of it are no peers
function peers.update(list, own)
	local listed <const> = {}
	for i = 1, math.min(#list, most) do
		local info <const> = type(list[i]) == "table" and list[i] or {}
		local member <const>, peer <const> = info[1], read(info)
		if type(member) == "string" and peer.server_id and peer.state and peer.server_id ~= own then
			listed[member] = true
			note(member, peer)
		end
	end
	for member in pairs(gone) do
		gone[member] = listed[member]
	end
	local late <const> = time.monotonic() >= forgiving_until
	for member in pairs(by_member) do
		if not listed[member] and late then
			left(member, "lost")
		end
	end
end

--- The store was away: who is missing now may only not have come back yet.
-- @param seconds
function peers.forgive(seconds)
	forgiving_until = time.monotonic() + seconds
end

--- @return list of peers, sorted by server_id, each with `seen`: seconds since it was listed
function peers.list()
	local list <const> = {}
	local now <const> = time.monotonic()
	for _, peer in pairs(by_member) do
		list[#list + 1] = { server_id = peer.server_id, state = peer.state, host = peer.host,
			pid = peer.pid, generation = peer.generation, sessions = peer.sessions,
			in_flight = peer.in_flight, seen = now - peer.seen }
	end
	table.sort(list, function (a, b) return a.server_id < b.server_id end)
	return list
end

return peers
