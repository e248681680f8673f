--- Which worker of the active generation has the lock RUNTIME/active and runs the singletons: the
-- lowest that lives.
--
-- The lock decides, so that never two run them. A worker that has died and is back at once goes on;
-- where it stays away (it waits for its restart, or hangs while it loads) the next one takes over
-- after `grace`, and gives the right back when a lower one is ready. Where workers die with the
-- right again and again (core/right_record.lua) it stays with worker 1: what ends its process must
-- not end them all.

local active_lock <const> = require "core.active_lock"
local log <const> = require "util.logger".init("singletons")
local peers <const> = require "core.peers"
local right_record <const> = require "core.right_record"
local singletons <const> = require "core.singletons"
local timer <const> = require "util.timer"

local active_worker <const> = {}

-- The first restart is at once: a handful of starts fit in (s).
local grace <const> = 2
-- Who has it says so when it lets go; this is for a word that was lost (s).
local retry_every <const> = 1

-- How often it is looked whether workers have ceased to die with it (s).
local danger_every <const> = 30

local leads            -- given by init
local several = false  -- more than one worker: a start of one writes no record
local in_file = false  -- there is a keeper: the lock counts
local broken = false   -- the file cannot be used
local told = false     -- and the log has said it, or who else has the lock
local warned = false   -- the log has said that it is dangerous
local pending          -- timer of the next look

local function is_first()
	return (prosody.worker or 1) == 1
end

--- Whether this worker may run singletons. Where the lock's file cannot be used worker 1 does, as
-- long as it lives.
function active_worker.has_right()
	return not in_file or active_lock.held() or broken and is_first()
end

local look

local function look_after(seconds)
	if not pending then
		pending = timer.add_task(seconds, function ()
			pending = nil
			look()
		end)
	end
end

local function tell(err, holder)
	if holder == prosody.generation then
		return log("debug", "another worker has the lock of the active generation")
	elseif not told then
		told = true
		log("error", "cannot take the lock of the active generation: %s%s", err,
			holder and (" by generation %d; no singleton runs here"):format(holder) or "")
	end
end

--- Takes the lock, if this worker is the one. What fails is tried again while the host serves.
-- @param seconds in a runner (util.async) waits so long for whoever holds it
-- @return whether we have it
function active_worker.take(seconds)
	if active_lock.held() or not peers.is_speaker() then
		return active_lock.held()
	end
	local ok, err, holder = active_lock.take(seconds)
	broken = not ok and err ~= "held"
	if not ok then
		tell(err, holder)
		look_after(retry_every)
		return false
	end
	told = false
	if several then
		right_record.taken()
	end
	return true
end

--- Lets the lock go, if we have it; the singletons have been stopped.
function active_worker.release()
	if active_lock.held() then
		if several then
			right_record.released()
		end
		active_lock.release()
	end
end

-- Whether this worker may take over from one that has gone.
local function may_take_over()
	if is_first() or not right_record.is_dangerous() then
		warned = false
		return true
	elseif not warned then
		warned = true
		log("warn", "workers have died with the singletons again and again: they wait for worker 1")
	end
	look_after(danger_every)
	return false
end

-- Another worker is the lowest now.
local function give_up()
	singletons.cease()
	active_worker.release()
	peers.tell("right-free")
	log("info", "a lower worker is back, and runs the singletons")
end

look = function ()
	if active_lock.held() and not peers.is_speaker() then
		give_up()
	elseif not active_lock.held() and leads() and peers.is_speaker() and may_take_over() then
		if active_worker.take() and not is_first() then
			log("info", "no lower worker is there: the singletons run in this one")
		end
		singletons.begin()
	end
end

--- Follows the other workers and the lifecycle from here on.
-- @param events prosody.events
-- @param fn function that tells whether this generation is the service, and this worker serves or
--   drains
-- @param workers of the generation
function active_worker.init(events, fn, workers)
	leads, in_file, several = fn, true, workers > 1
	peers.on("right-free", look)
	peers.on_speaker(function (speaks)
		if not speaks then
			look()
		else
			look_after(grace)
		end
	end)
	events.add_handler("lifecycle-changed", function (event)
		if (event.to == "serving" or event.to == "draining") and not active_lock.held() then
			look_after(is_first() and 0 or grace)
		end
	end, 90)
end

return active_worker
