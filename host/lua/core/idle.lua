-- drain, undrain and finish: the ends that destroy nothing.
--
-- A drained service is no state of the host: its listeners go on and only what it answers
-- changes. The whole host drained is. finish waits, without looking twice, until this process's
-- own count is zero, and that of the other workers of its generation.

local idle_progress <const> = require "core.idle_progress"
local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local peers <const> = require "core.peers"
local sessions <const> = require "core.sessions"
local time <const> = require "util.time"
local timer <const> = require "util.timer"
local whole <const> = require "core.whole"

local idle <const> = {}

local life                     -- core/lifecycle.lua, given by init
local services, drained = {}, nil -- service → since; when the whole host was drained
local waiting                  -- the idle wait of finish, or nil
local quiet                    -- ends the watch for sessions-idle, or nil
local look_around              -- function(wait), below

--- Joins this file to the machine.
function idle.init(machine)
	life = machine
	peers.on("idle", function ()
		if waiting then
			waiting.heard = waiting.asking -- the answers may be older than this
			look_around(waiting)
		end
	end)
end

--- Seconds since the whole host was drained, or nil.
function idle.drained_for()
	return drained and time.monotonic() - drained
end

--- Whether a service is drained, by itself or with the whole host.
-- @param service name, or nil: the whole host
function idle.draining(service)
	return drained ~= nil or service ~= nil and services[service] ~= nil
end

--- The services that are drained by themselves.
-- @return set: name → true
function idle.services()
	local set = {}
	for name in pairs(services) do
		set[name] = true
	end
	return set
end

local function fire_idle(service)
	prosody.events.fire_event("sessions-idle", { service = service })
end

-- While somebody wants to know: tells when a count reaches zero, at once if it is zero now.
local function watch()
	if quiet then
		return
	end
	quiet = sessions.on_fall(function (total, service)
		if service and services[service] and sessions.total(service) == 0 then
			fire_idle(service)
		end
		if total == 0 then
			fire_idle()
		end
	end, true)
end

local function unwatch()
	if quiet and not drained and next(services) == nil and not idle.held then
		quiet()
		quiet = nil
	end
end

--- Has `sessions-idle` fired while `on` is true (lame-duck).
function idle.watch(on)
	idle.held = on or nil
	if on then
		watch()
	else
		unwatch()
	end
end

local function announce(event, service, reason, origin)
	log("info", "%s: %s%s", event, service or "the whole host", reason and " (" .. reason .. ")" or "")
	prosody.events.fire_event(event, { service = service, reason = reason, origin = origin })
end

--- Drains a service, or nothing if it is drained already.
function idle.drain_service(service, reason, origin)
	if not services[service] then
		services[service] = time.monotonic()
		watch()
		announce("drain-started", service, reason, origin)
	end
end

--- Brings a service back.
function idle.undrain_service(service, reason, origin)
	if services[service] then
		services[service] = nil
		unwatch()
		announce("drain-ended", service, reason, origin)
	end
end

--- Drains the whole host; the state allows it.
function idle.drain(reason, origin)
	drained = time.monotonic()
	watch()
	life.enter("draining", reason, origin)
	announce("drain-started", nil, reason, origin)
end

local function end_wait()
	local mine = waiting
	waiting = nil
	if mine then
		mine.unhook()
		if mine.unfollow then
			mine.unfollow()
		end
		if mine.timer then
			timer.stop(mine.timer)
		end
	end
end

--- Brings the whole host back, out of draining or out of the idle wait.
function idle.undrain(reason, origin)
	end_wait()
	if life.state() == "finishing" then
		life.enter("draining", reason, origin)
	end
	drained = nil
	unwatch()
	life.enter("serving", reason, origin)
	announce("drain-ended", nil, reason, origin)
end

--- Forgets the drain without a word: a stop has begun, or was taken back.
function idle.forget()
	end_wait()
	drained, idle.held = nil, nil
	unwatch()
end

local function wait_over(mine, result)
	local left = sessions.total()
	-- Listeners are open: somebody may have come since the count was zero.
	if waiting ~= mine or result == "clean" and left > 0 and mine.budget > 0 then
		return
	end
	end_wait()
	log(result == "clean" and "info" or "warn", "finish: idle wait ended %s, %d in flight", result,
		left)
	prosody.events.fire_event("finish-ended", { result = result, sessions = left })
	life.begin_teardown {
		reason = mine.reason, origin = mine.origin, asked = mine.started, expired = result == "expired",
		waited = mine.unfollow and {
			phase = "idle-wait", seconds = time.monotonic() - mine.started, result = result,
			budget = mine.budget < math.huge and mine.budget or nil,
		},
	}
end

-- A worker that could not say how many it has is asked again after this (s).
local ask_again <const> = 1

-- How many the other workers have in flight; nil when one did not say.
local function others_total(answers)
	local sum = 0
	for _, number in ipairs(peers.others()) do
		local counts <const> = answers[number]
		if not counts or type(counts.in_flight) ~= "table" then
			return nil
		end
		sum = sum + (tonumber(counts.in_flight.total) or 0)
	end
	return sum
end

-- Nothing is in flight here: the wait is over if that is so in every worker of the generation, for
-- the first that tears down closes the listeners of all. Who has some left says when it has none.
look_around = function (mine)
	if waiting ~= mine or mine.asking or sessions.total() > 0 then
		return
	elseif whole.is_alone() or mine.budget <= 0 then
		return wait_over(mine, "clean")
	end
	mine.asking = true
	whole.ask():next(function (answers)
		mine.asking = nil
		local total <const> = others_total(answers)
		if total == 0 then
			wait_over(mine, "clean")
		elseif not total or mine.heard then
			mine.heard = nil
			timer.add_task(total and 0 or ask_again, function () look_around(mine) end)
		end
	end)
end

-- The last one here has gone.
local function is_idle(mine)
	if waiting == mine and sessions.total() == 0 then
		peers.tell("idle")
		look_around(mine)
	end
end

--- The idle wait under way: { started, budget }, for core/idle_progress.lua; or nil.
function idle.wait()
	return waiting
end

--- Whether the idle wait is over and the teardown has begun.
function idle.teardown_begun()
	return life.state() == "finishing" and waiting == nil
end

--- Waits for the last session, then tears down without evicting; the host is draining.
-- @param reason string
-- @param origin who asked
-- @param seconds longest wait, or nil: finish_idle_wait
function idle.finish(reason, origin, seconds)
	seconds = seconds or options.period("finish_idle_wait", 300)
	local mine = { reason = reason, origin = origin, started = time.monotonic(), budget = seconds }
	waiting = mine
	mine.unhook = sessions.on_fall(function (total)
		if total == 0 then
			-- From a timer: the count falls inside a connection's last callback.
			timer.add_task(0, function () is_idle(mine) end)
		end
	end, true)
	life.idle_left = seconds < math.huge and seconds or 1e9
	life.enter("finishing", reason, origin)
	local event = {
		reason = reason, sessions = sessions.total(),
		deadline = seconds < math.huge and time.monotonic() + seconds or nil,
	}
	prosody.events.fire_event("finish-started", event)
	if seconds <= 0 then -- a wait of 0 was not cut: nobody wanted it
		timer.add_task(0, function () wait_over(mine, "clean") end)
		return
	elseif sessions.total() == 0 then
		timer.add_task(0, function () is_idle(mine) end)
		if whole.is_alone() then
			return
		end
	end
	mine.unfollow = idle_progress.follow(mine)
	if seconds < math.huge then
		mine.timer = timer.add_task(seconds, function ()
			mine.timer = nil
			wait_over(mine, "expired")
		end)
	end
end

return idle
