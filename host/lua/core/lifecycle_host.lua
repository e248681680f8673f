-- What the machine does to the world around it: the keeper, the table `prosody`, managers, the
-- loop. The parts of the machine get this table as `life`; core/lifecycle.lua adds state, enter,
-- phase, ready.

local configmanager <const> = require "core.configmanager"
local foreign <const> = require "core.foreign"
local holds <const> = require "core.holds"
local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local probation <const> = require "core.probation"
local sessions <const> = require "core.sessions"
local stop <const> = require "core.stop"
local timer <const> = require "util.timer"
local verbs <const> = require "core.verbs"

local life <const> = {}

local reload

-- How often the numbers of the next beat are looked at; the beats themselves are sent by C.
local beat_every <const> = 1
-- The connections of class admin get this long to take their last bytes (s).
local admin_flush <const> = 1

local function keeper()
	return verbs.keeper()
end

-- The keeper --------------------------------------------------------------------------------------

--- Numbers for the next beats.
function life.beat()
	if keeper() then
		keeper().beat {
			ready = life.ready(), sessions = sessions.connections(), in_flight = sessions.total(),
			failing = probation.failing(),
		}
	end
end

--- Tells the keeper a new state. Also while there is none: the next one hears the newest.
function life.tell_state(state, phase, reason)
	local channel = verbs.channel()
	if channel and not life.starts_drained then
		local left = state == "finishing" and life.idle_left or state == "stopping" and stop.left()
		channel.state(state, phase or "", reason or "", left and left < math.huge and left or 0)
	end
end

--- Tells the keeper the phase that has begun.
function life.tell_keeper(phase, left)
	local channel = verbs.channel()
	if channel then
		channel.state(life.state(), phase, phase, left < math.huge and left or 0)
	end
end

--- The word before an orderly exit.
function life.leaving(code, text)
	local channel = verbs.channel()
	if channel then
		channel.leaving(code, text)
	end
end

--- Ends the host without a word to anybody.
function life.fall()
	if keeper() and keeper().request("hammer", "") then
		return true
	end
	log("error", "hammer: ends now")
	life.real_exit(75)
end

-- The table `prosody`, config, managers -----------------------------------------------------------

--- Sets a field that modules read.
function life.set_word(name, value)
	rawset(prosody, name, value)
end

--- prosody.shutdown_reason and shutdown_code.
function life.set_reason(reason, code)
	rawset(prosody, "shutdown_reason", reason)
	rawset(prosody, "shutdown_code", code)
end

--- Items of a kind that modules have added, the global ones first.
function life.items(kind)
	local modulemanager <const> = require "core.modulemanager"
	local list = {}
	for _, host in ipairs { "*", table.unpack(configmanager.hosts()) } do
		for _, item in ipairs(modulemanager.get_items(kind, host) or {}) do
			list[#list + 1] = item
		end
	end
	return list
end

--- Whether `drain NAME` means something: a service, else a module.
function life.has_service(name)
	local modulemanager <const> = require "core.modulemanager"
	local portmanager <const> = require "core.portmanager"
	if portmanager.get_service(name) then
		return true
	end
	for _, entry in ipairs(modulemanager.names()) do
		if entry.name == name then
			return true
		end
	end
	return false
end

--- The file of `shutdown_report`, or nil.
function life.report_path()
	local path = options.get("shutdown_report")
	if type(path) ~= "string" then
		return nil
	end
	local data = prosody.paths and prosody.paths.data or "."
	return configmanager.resolve_relative_path(data, path)
end

--- Who reloads the config when the verb comes: fn(args).
function life.set_reload(fn)
	reload = fn
end

--- Reloads.
function life.reload(args)
	if reload then
		return reload(args)
	end
	return prosody.reload_config and prosody.reload_config() or true
end

--- Closes the listeners of class client and tells their connections goodbye (finish; the stop has
-- mod_graceful_shutdown).
function life.close_clients(event, phase)
	local goodbye <const> = require "core.goodbye"
	local async <const> = require "util.async"
	async.wait_for(goodbye.close_listeners("client"))
	return goodbye.close("client", event, phase, { on_error = stop.note_error })
end

-- The end -----------------------------------------------------------------------------------------

-- Class admin goes last, so that who watches the stop sees its end.
local function leave_loop()
	local portmanager <const> = require "core.portmanager"
	local server <const> = require "net.server"
	portmanager.close_class()
	server.closeall()
	local looks = 0
	timer.add_task(0, function ()
		looks = looks + 0.01
		if looks < admin_flush and #server.handles() + #server.servers() > 0 then
			return 0.01
		end
		require "host.loop".quit()
	end)
end

--- The stop has been reported: the state is stopped and the loop ends.
function life.stopped(report)
	if life.state() ~= "stopped" then
		life.enter("stopped", ("%s, exit status %d"):format(report.result, report.exit))
	end
	sessions.shut()
	if not life.left then
		leave_loop()
	end
end

--- The loop has ended, or os.exit was called.
-- @param code the status that was asked for, or nil
-- @return exit status
function life.leave(code)
	life.left = true
	if life.state() ~= "stopping" and life.state() ~= "stopped" and life.state() ~= "finishing" then
		life.enter("stopping", "the loop was left", "lua")
	end
	local report = stop.leave(prosody.shutdown_reason, code)
	return report.exit
end

--- Joins this file to the keeper and to what it watches.
function life.init()
	life.real_exit = os.exit
	os.exit = function (code, close) -- luacheck: ignore 122
		code = code == nil and 0 or code == true and 0 or code == false and 1 or code
		-- A second exit, from a handler of the first, is final.
		life.real_exit(life.left and code or life.leave(code), close)
	end
	-- Modules of a host, too: their events are the host's own.
	require "core.modulemanager".on_unload(holds.release_module)
	require "core.children".init()
	prosody.events.add_handler("module-loaded", verbs.tell_hooked_signals)
	prosody.events.add_handler("listener-closed", function ()
		local current = stop.current()
		if current and life.state() == "stopping" then
			current.listener_closed = true
		end
	end)
	timer.add_task(beat_every, function ()
		life.beat()
		return beat_every
	end)
	require "core.refuse".start(prosody.events)
	require "core.singletons".follow(prosody.events, function () return life.state() end,
		require "core.active_worker".has_right)
	foreign.complete(prosody.events, function ()
		local current = stop.current()
		return current and current.deadline
	end)
end

return life
