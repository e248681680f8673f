-- Shares the session registry (core/registry.lua) between servers through Redis.
--
--	modules_enabled = { "sessions_redis", … }
--	redis = { host = "10.0.0.5" }          -- or { path = "/run/redis/redis.sock" }
--	session_lease = 15                     -- a server that is not heard of for so long is gone
--
-- What this server has is here; Redis has a copy with a lease. So a store that is slow, dead or
-- wrong costs nothing but the copy: counts stay our own, the peers are the last ones known, nobody
-- is told that a peer has left, and at the next connect everything is written anew.
--
-- A beat, every third of the lease, renews the copy, says what we are, and brings the peers. A
-- server that finishes leaves its entries; the first that serves and wants them takes them, once.
-- Each worker of each generation is a member of its own.

module:set_global()

local lifecycle <const> = require "core.lifecycle"
local redis <const> = require "net.redis"
local registry <const> = require "core.registry"
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local unistd <const> = require "posix.unistd"

local entries <const> = module:require "entries"
local peers <const> = module:require "peers"
local scripts <const> = module:require "scripts"
local settings <const> = module:require "settings"

local prefix <const> = module:get_option_string("redis_prefix", "gadwall:")
local lease <const> = module:get_option_period("session_lease", 15)
local lease_ms <const> = math.ceil(math.min(lease, 86400) * 1000)
-- What a finished server leaves waits so long for its successor.
local keep_ms <const> = math.max(3600000, 10 * lease_ms)
-- How often a stop looks whether all is written (s).
local look <const> = 0.01

local options, client                            -- of net.redis
local store <const> = { since = time.now() }     -- up: true, false, or nil before the first try
local leaving = false                            -- we say no more, but for the last word
local beat_timer

-- Runs a script with the arguments that all of them begin with.
local function run(script, callback, ...)
	client:eval(script, {}, { prefix, prosody.server_member, lease_ms, ... }, callback)
end

local function down(why)
	entries.lost()
	local was_up <const> = store.up
	store.error = why
	if was_up == false or leaving then
		return
	end
	store.up, store.since = false, time.now()
	module:log_status("warn", "the store does not answer: %s", why)
	module:fire_event("store-down", { error = why })
end

local function up()
	if store.up then
		return
	end
	store.up, store.since, store.error = true, time.now(), nil
	-- Who was there before the outage gets time to come back.
	peers.forgive(lease + options.backoff[2])
	module:set_status("core", "Loaded")
	module:log("info", "the store answers")
	module:fire_event("store-up", {})
end

-- Beats -------------------------------------------------------------------------------------------

-- Only who is in charge takes over what others left.
local function may_adopt()
	return not leaving and lifecycle.state() == "serving" and prosody.worker == 1
end

local function append(list, more)
	list[#list + 1] = #more
	return table.move(more, 1, #more, #list + 1, list)
end

-- The stores of which Redis has something; all that have entries if `all`.
local function stores_of_ours(all)
	local names <const> = {}
	for name, each in pairs(registry.stores()) do
		if each.count > 0 and (all or not entries.behind(name)) then
			names[#names + 1] = name
		end
	end
	return names
end

local function stores_to_adopt()
	local names <const> = {}
	for name, each in pairs(registry.stores()) do
		if each.onadopt and may_adopt() then
			names[#names + 1] = name
		end
	end
	return names
end

local function what_we_are()
	return "server_id", prosody.server_id, "state", lifecycle.state(), "host", prosody.hostname,
		"pid", unistd.getpid(), "generation", prosody.generation,
		"sessions", sessions.connections(), "in_flight", sessions.total()
end

local beat

local function beaten(reply, why, fresh)
	local list <const> = type(reply) == "table" and reply or {}
	if why or type(list[2]) ~= "table" or type(list[3]) ~= "table" then
		return down(why or "an answer that makes no sense")
	end
	up()
	if fresh then
		entries.write_all()
	elseif list[1] == 0 then
		entries.lost()
		return beat()
	end
	peers.update(list[2], prosody.server_id)
	entries.adopt(list[3], may_adopt)
end

function beat()
	if not client.up or leaving then
		return
	end
	local fresh <const> = not entries.registered
	local args <const> = { fresh and "1" or "0" }
	append(args, stores_of_ours(fresh))
	append(args, stores_to_adopt())
	for _, field in ipairs { what_we_are() } do
		args[#args + 1] = field
	end
	run(scripts.beat, function (reply, why)
		beaten(reply, why, fresh)
	end, table.unpack(args))
end

-- Not all servers at once, and never later than a third of the lease.
local function pause()
	return lease / 3 * (0.75 + math.random() / 4)
end

local function beat_soon()
	if beat_timer then
		beat_timer:reschedule(0)
	end
end

-- The registry's side -----------------------------------------------------------------------------

local backend <const> = { changed = entries.changed, opened = beat_soon }

function backend.find(of, id, done)
	run(scripts.find, function (found, why)
		local list <const> = type(found) == "table" and found or {}
		if why then
			done(nil, nil, why)
		elseif type(list[1]) == "string" and type(list[2]) == "string" then
			done(list[1], list[2])
		else
			done()
		end
	end, of.name, id)
end

function backend.peers()
	return { store = store.up and "up" or "down", error = store.error, since = store.since,
		servers = peers.list() }
end

-- Coming and going --------------------------------------------------------------------------------

module:hook("lifecycle-changed", function (event)
	beat_soon()
	-- In an upgrade the keeper says when, and the predecessor has given up what it had.
	if event.from ~= "passive" or event.to ~= "serving" or event.origin == "keeper" then
		return
	end
	for _, peer in ipairs(peers.list()) do
		if peer.state == "serving" then
			module:log("warn", "activated while %s still serves: drain or finish that one, or the "
				.. "singletons of both run", peer.server_id)
		end
	end
end)

-- Entries that wait to be written go first, unless they are to go anyway; then the last word.
local function leave(evict, done)
	local function say()
		run(scripts.leave, function (_, why) done(why) end, evict and "evict" or "leave", keep_ms,
			table.unpack(stores_of_ours(true)))
	end
	leaving = true
	if not entries.registered then
		return done(store.error or "not connected")
	elseif evict or not entries.behind() then
		return say()
	end
	module:add_timer(look, function ()
		if entries.registered and entries.behind() then
			return look
		end
		say()
	end)
end

-- After everybody else's handlers: they may still change their entries.
module:hook("server-stopping", function (event)
	if leaving then
		return
	end
	local release <const> = event:hold("leave the session registry", 2 * options.timeout)
	local leaves <const> = event.evict == false and #stores_of_ours(true) > 0
	leave(event.evict ~= false, function (why)
		registry.set_backend(nil)
		if why then
			module:log(leaves and "warn" or "info", "the store was not told that we leave (%s): our lease "
				.. "ends in %g s%s", why, lease,
				leaves and ", and a successor may get none of our entries" or "")
		end
		release()
	end)
end, -1000)

function module.load()
	if not lease or lease < 1 or lease == math.huge then
		error("session_lease must be at least 1 (seconds)", 0)
	end
	options = settings()
	options.name, options.on_up = prosody.server_member, function () beat() end
	options.on_down = function (_, why) down(why) end
	client = redis.new(options)
	entries.init(run, function (why)
		entries.lost()
		if why then
			down(why)
		end
		beat_soon()
	end)
	registry.set_backend(backend)
	-- When all modules have loaded: a failure may come at once, and its event has listeners then.
	module:add_timer(0, function () client:start() end)
	beat_timer = module:add_timer(pause(), function ()
		beat()
		return pause()
	end)
end

function module.unload()
	registry.set_backend(nil)
	if not client then
		return
	end
	if entries.registered and not leaving and not module.reloading then
		leave(true, function () end)
	end
	leaving = true
	client:stop()
end
