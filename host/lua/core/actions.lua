-- What a verb does in this worker, once it is its turn: each is called with the arguments of the
-- request and answers true (or a word), or nil and the kebab-case reason why it does not apply.

local idle <const> = require "core.idle"
local other_generations <const> = require "core.other_generations"
local start <const> = require "core.start"
local stop <const> = require "core.stop"

local actions <const> = {}
local by_verb <const> = {}
--- verb → function(args)
actions.by_verb = by_verb

local life -- core/lifecycle_host.lua, given by init

--- Joins this file to the machine.
function actions.init(machine)
	life = machine
end

-- What is kept until the host is ready: one of the host, one of each service.
local function kept_name(args)
	return args.service and "drain " .. args.service or "drain"
end

function by_verb.drain(args)
	local what, err = life.allowed("drain")
	if what == "later" then
		start.later(kept_name(args), function () by_verb.drain(args) end)
	elseif what and args.service then
		idle.drain_service(args.service, args.reason, args.origin)
		life.beat()
	elseif what == "run" and life.state() == "passive" then
		return nil, "passive"
	elseif what == "run" then
		idle.drain(args.reason, args.origin)
	end
	return what, err
end

function by_verb.undrain(args)
	local what, err = life.allowed("undrain")
	if what == "later" then
		start.later(kept_name(args), nil)
	elseif what and args.service then
		idle.undrain_service(args.service, args.reason, args.origin)
	elseif what == "run" and not idle.teardown_begun() then
		idle.undrain(args.reason, args.origin)
		-- Who waits for the end of a finish waits for nothing now.
		stop.release_waiters("undrained")
	end
	return what, err
end

function by_verb.finish(args)
	local what, err = life.allowed("finish")
	if what == "stop" then
		-- A host that never was in charge has nothing to evict.
		args.verb, args.evict = "finish", false
		return by_verb.shutdown(args)
	elseif what == "run" then
		if life.state() == "serving" then
			idle.drain(args.reason, args.origin)
		end
		idle.finish(args.reason, args.origin, args.idle_wait)
	end
	return what, err
end

function by_verb.shutdown(args)
	if life.state() == "stopping" then
		-- The keeper says which one is a repetition: a first stop may come from both sides at once.
		if args.forced or args.now then
			stop.hurry(args.origin, args.now)
		end
		return true
	elseif life.state() == "stopped" then
		return true
	end
	local in_teardown = idle.teardown_begun()
	args.host_started, args.drained = start.is_started(), idle.drained_for()
	idle.forget()
	life.enter("stopping", args.reason, args.origin)
	if in_teardown then
		stop.overtake_finish(args)
	else
		stop.begin(args)
	end
	return true
end

function by_verb.activate(args)
	local what, err = life.allowed("activate")
	if what == "run" then
		start.become_active()
		life.enter("serving", args.reason or "activated", args.origin)
		prosody.events.fire_event("generation-activated", { generation = prosody.generation })
	end
	return what, err
end

function by_verb.abort(args)
	local what, err = life.allowed("abort")
	if what and stop.can_abort() and start.is_started() then
		stop.abort()
		life.enter("serving", args.reason, args.origin)
		prosody.events.fire_event("shutdown-aborted", { reason = args.reason, origin = args.origin })
		require "core.generation".resume_end()
	end
	return what, err
end

function by_verb.extend(args)
	local what, err = life.allowed("extend")
	if what and args.seconds then
		stop.extend(args.seconds)
	end
	return what, err
end

function by_verb.reload(args)
	local what, err = life.allowed("reload")
	if what == "run" then
		return life.reload(args)
	elseif what == "later" then
		start.later("reload", function () life.reload(args) end)
	end
	return what, err
end

-- From the keeper only: what another generation says at the end of its part of a stop.
function by_verb.report(args)
	other_generations.heard(args)
	return true
end

by_verb["reopen-logs"] = function ()
	if prosody.reopen_logfiles then
		prosody.reopen_logfiles()
	end
	return true
end

return actions
