-- The other servers, as the last beat showed them, and the events of their coming and going.
--
-- Redis lists members, one for each worker of each generation; a peer is what has one server_id. It
-- joins with its first member and leaves with its last.

local time <const> = require "util.time"

local peers <const> = {}

local by_member <const> = {}  -- member → { server_id, state, …, seen }
local servers = {}            -- server_id → list of members as told, the one that speaks first
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

-- Who speaks for a server: the youngest generation's lowest worker.
local function speaks_before(one, other)
	local a <const>, b <const> = by_member[one].generation or 0, by_member[other].generation or 0
	if a ~= b then
		return a > b
	elseif #one ~= #other then
		return #one < #other -- "NAME" and "NAME#2", "NAME#9" and "NAME#10"
	end
	return one < other
end

local function by_server()
	local found <const> = {}
	for member, peer in pairs(by_member) do
		local members <const> = found[peer.server_id] or {}
		found[peer.server_id] = members
		members[#members + 1] = member
	end
	for _, members in pairs(found) do
		table.sort(members, speaks_before)
		members.state = by_member[members[1]].state
	end
	return found
end

local function left(id, state)
	module:log("info", "peer %s has left (%s)", id, state)
	module:fire_event("peer-left", { server_id = id, state = state })
end

local function lives(members)
	for _, member in ipairs(members) do
		if by_member[member] then
			return true
		end
	end
	return false
end

-- @param words server_id → the last word of those of its members that have just gone
local function tell(words)
	local old <const> = servers
	servers = by_server()
	for id, members in pairs(old) do
		if not lives(members) then
			old[id] = nil
			left(id, words[id] or "lost")
		end
	end
	for id, members in pairs(servers) do
		local state <const> = members.state
		if not old[id] then
			module:log("info", "peer %s has joined (%s)", id, state)
			module:fire_event("peer-joined", { server_id = id, state = state })
		elseif old[id].state ~= state then
			module:log("info", "peer %s: %s -> %s", id, old[id].state, state)
		end
	end
end

-- Of members that go together, one that leaves its entries to a successor counts first.
local function note(member, peer, words)
	if not last_words[peer.state] then
		by_member[member] = peer
	elseif by_member[member] then
		by_member[member] = nil
		words[peer.server_id] = words[peer.server_id] == "finished" and "finished" or peer.state
	end
end

--- Takes what a beat has brought.
-- @param list of { member, field, value, … }; what is no such list is passed over
-- @param own server_id of this process: other workers of it are no peers
function peers.update(list, own)
	local listed <const>, words <const> = {}, {}
	for i = 1, math.min(#list, most) do
		local info <const> = type(list[i]) == "table" and list[i] or {}
		local member <const>, peer <const> = info[1], read(info)
		if type(member) == "string" and peer.server_id and peer.state and peer.server_id ~= own then
			listed[member] = true
			note(member, peer, words)
		end
	end
	if time.monotonic() >= forgiving_until then
		for member in pairs(by_member) do
			by_member[member] = listed[member] and by_member[member]
		end
	end
	tell(words)
end

--- The store was away: who is missing now may only not have come back yet.
-- @param seconds
function peers.forgive(seconds)
	forgiving_until = time.monotonic() + seconds
end

local function sum(members, field)
	local total = nil
	for _, member in ipairs(members) do
		local peer <const> = by_member[member]
		total = peer[field] and (total or 0) + peer[field] or total
	end
	return total
end

local function last_seen(members)
	local seen = 0
	for _, member in ipairs(members) do
		seen = math.max(seen, by_member[member].seen)
	end
	return seen
end

--- @return list of peers, sorted by server_id, each with `seen`: seconds since it was listed;
-- `sessions` and `in_flight` are those of all its workers, the rest is of the one that speaks
function peers.list()
	local list <const> = {}
	local now <const> = time.monotonic()
	for id, members in pairs(servers) do
		local peer <const> = by_member[members[1]]
		list[#list + 1] = { server_id = id, state = peer.state, host = peer.host,
			pid = peer.pid, generation = peer.generation, sessions = sum(members, "sessions"),
			in_flight = sum(members, "in_flight"), seen = now - last_seen(members) }
	end
	table.sort(list, function (a, b) return a.server_id < b.server_id end)
	return list
end

return peers
