-- Between the keeper and the machine: signals with their hooks, verbs to all workers and their
-- echo.
--
-- A verb goes to the keeper, which counts it, starts its clocks and sends it to every worker,
-- this one too. drain, undrain, finish, abort and extend act here at once and are recognised when
-- they come back, so that who asked sees the new state. A stop comes back first: only the keeper
-- knows whether it is a repetition. Without a keeper the worker does everything itself.

local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local log <const> = require "util.logger".init("lifecycle")
local options <const> = require "core.lifecycle_options"
local orphan <const> = require "core.orphan"
local signal <const> = require "util.signal"
local signals_map <const> = require "core.signals_map"
local states <const> = require "core.lifecycle_states"
local time <const> = require "util.time"

local verbs <const> = {}

-- A storm of stop requests is one request; with a keeper it counts them itself.
local storm <const> = 1

local life              -- core/lifecycle.lua, given by init
local channel           -- host.keeper, or nil
local keeper            -- the same while somebody is at its other end
local actions           -- verb → function(args)
-- Requests that have acted here already: numbered, and the highest that has come back. The keeper
-- keeps their order, so one that it had to drop is known by the next.
local number, returned = 0, 0
local last_stop = -math.huge
local after = {}        -- signal → its event signal-after, while its verb is on its way
local told_way = {}     -- signals for which the log has said that a module has them

-- Requests ----------------------------------------------------------------------------------------

local function encode(verb, args, mark)
	if verb == "extend" then
		return ("%g #%s"):format(args.seconds, mark)
	end
	local text = json.encode {
		reason = args.reason and json_fields.cut(args.reason, 400), code = args.code,
		origin = args.origin,
		service = args.service, idle_wait = args.idle_wait, mark = mark,
	}
	-- First, where the keeper looks for it (proc/signals.c): it is no repetition of another stop.
	return args.now and '{"now":true,' .. text:sub(2) or text
end

local function decode_text(text)
	local seconds, mark = text:match("^([%d.e+-]+) #(%S+)$")
	if seconds then
		return { seconds = tonumber(seconds), mark = mark }
	end
	local args = text:sub(1, 1) == "{" and json.decode(text) or nil
	if type(args) == "table" then
		return args
	end
	return { reason = text ~= "" and text or nil }
end

-- What the keeper sends back: our own text, a plain reason, or nothing (a signal).
local function decode(message)
	local args = decode_text(message.text or "")
	local name = message.origin and message.origin:match("^SIG%u+%d*$")
	if name then
		args.origin, args.signal = "signal " .. name, name
	end
	args.origin = args.origin or "keeper"
	args.reason = args.reason or name or args.origin
	args.forced = message.forced and message.forced ~= 0
	return args
end

-- Without a reason, who asks is one: in the worker that was asked as in those that hear the keeper.
local function run(verb, args)
	local action = actions[verb]
	args.reason = args.reason or args.origin
	if not action then
		log("warn", "cannot %s: not available in this version", verb)
		return "not-applicable", "not available"
	end
	local ok, done, reason = pcall(action, args)
	if not ok then
		log("error", "verb %s: %s", verb, tostring(done))
		return "not-applicable", tostring(done)
	elseif done == nil and reason then
		log("info", "cannot %s: %s", verb, reason)
		return "not-applicable", reason
	end
	return "done"
end

local function run_alone(verb, args)
	if verb == "shutdown" and life.state() == "stopping" and not args.now then
		local now = time.monotonic()
		if now - last_stop < storm then
			return
		end
		last_stop, args.forced = now, true
	elseif verb == "shutdown" then
		last_stop = time.monotonic()
	end
	run(verb, args)
end

--- Whether a keeper hears us.
function verbs.has_keeper()
	return keeper ~= nil
end

--- Has a verb carried out in every worker of the host. The caller has checked that it is allowed.
-- @param verb its name
-- @param args table: reason, code, origin, now, service, seconds, idle_wait
-- @param here true: act in this worker now, and do not act again when the verb comes back
function verbs.ask(verb, args, here)
	if not keeper then
		return run_alone(verb, args)
	elseif verb == "shutdown" and life.joins() then
		log("warn", "this generation is not in charge: it ends, and the upgrade fails")
		return run_alone(verb, args)
	end
	local mark
	if here then
		number = number + 1
		mark = ("%d.%d"):format(keeper.hello.worker or 1, number)
		run(verb, args)
	end
	local ok, err = keeper.request(verb, encode(verb, args, mark))
	if not ok then
		log("error", "the keeper did not take the verb %s: %s", verb, tostring(err))
		if not here then
			run_alone(verb, args)
		end
	end
end

-- Signals -----------------------------------------------------------------------------------------

local function name_of(signo)
	if type(signo) == "string" then
		return signals_map.canonical(signo)
	end
	for name, value in pairs(signal) do
		if value == signo and type(name) == "string" and name:match("^SIG%u") then
			return name
		end
	end
	return "SIG" .. tostring(signo)
end

local function map()
	return (signals_map.build(options.get("signals"), options.get("lameduck_signals")))
end

local function is_hooked(name)
	return #(prosody.events.get_handlers("signal/" .. name) or {}) > 0
end

--- Tells the log which default signals a module has taken; called when modules have been loaded.
function verbs.tell_hooked_signals()
	local current = map()
	for name in pairs(signals_map.defaults) do
		if not told_way[name] and signals_map.gives_way(current, name) and is_hooked(name) then
			told_way[name] = true
			log("info", "%s belongs to a module that hooks it; its default verb gives way "
				.. "(set signals.%s in the config to have it back)", name, name)
		end
	end
end

local function fire_after(event, result, reason)
	after[event.signal] = nil
	event.result, event.reason = result, reason
	prosody.events.fire_event("signal-after/" .. event.signal, event)
end

-- Nothing holds back a second stop or the hammer.
local function is_free(event)
	return event.state == "stopping" and (event.verb == "shutdown" or event.verb == "hammer")
end

-- What the hooks and handlers say about a signal: "go", "veto" or "handled", and why.
local function judge(name, signo, event)
	local free = is_free(event)
	local verdict = prosody.events.fire_event("signal-before/" .. name, event)
	if not free and (verdict == false or type(verdict) == "string") then
		return "veto", verdict or "a module has vetoed it"
	end
	local handler = signal.handler and signal.handler(signo)
	if handler then
		handler(signo)
		return "handled"
	end
	local hooked = is_hooked(name)
	local result = prosody.events.fire_event("signal/" .. name, event)
	if (result == true or hooked and signals_map.gives_way(map(), name)) and not free then
		return "handled"
	end
	return "go"
end

-- What follows a signal later: its verb is sent to the workers, or a reload has its outcome.
local comes_back <const> = {
	shutdown = true, finish = true, drain = true, undrain = true, ["reopen-logs"] = true,
	reload = true,
}

-- A reload that the state does not allow is refused by the keeper, which says so in the log only.
local function refused_here(verb, state)
	local what = verb == "reload" and states.verbs.reload[state]
	return what and what ~= "run" and what ~= "later"
end

-- What is known of a signal's outcome already, or is waited for.
local function follow(event)
	if not event.verb then
		log("info", "%s does nothing while %s", event.signal, event.state)
		fire_after(event, "not-applicable", event.state)
	elseif refused_here(event.verb, event.state) then
		fire_after(event, "not-applicable", event.state)
	elseif comes_back[event.verb] then
		after[event.signal] = event
	else
		fire_after(event, "done")
	end
end

local function on_signal(message)
	local name = name_of(message.signal)
	local verb = message.verb ~= "" and message.verb ~= "none" and message.verb or nil
	local event = { signal = name, verb = verb, state = life.state() }
	local ok, result, text = pcall(judge, name, message.signal, event)
	if not ok then
		log("error", "%s: %s", name, tostring(result))
		result, text = "go", nil
	end
	if result == "veto" then
		log("warn", "%s vetoed: %s", name, text)
	end
	keeper.answer(message.id, result, text or "")
	if result ~= "go" then
		return fire_after(event, result == "veto" and "vetoed" or result, text)
	end
	follow(event)
end

--- A verb that does not come back as one has had its outcome: the signal's last event follows.
-- @param verb its name
-- @param result "done" or "not-applicable"
-- @param reason optional string
function verbs.signal_done(verb, result, reason)
	for _, event in pairs(after) do
		if event.verb == verb then
			return fire_after(event, result, reason)
		end
	end
end

-- Whether a request of this worker has come back.
local function is_own(mark)
	local worker, count = (mark or ""):match("^(%d+)%.(%d+)$")
	count = tonumber(count)
	if not count or tonumber(worker) ~= (keeper.hello.worker or 1) or count <= returned
		or count > number then
		return false
	end
	returned = count
	return true
end

local function on_verb(message)
	local args = decode(message)
	local result, reason
	if is_own(args.mark) then
		return
	end
	result, reason = run(message.verb, args)
	if args.signal and after[args.signal] then
		fire_after(after[args.signal], result, reason)
	end
end

local function on_lost()
	keeper = nil
	prosody.events.fire_event("keeper-lost", {})
	orphan.begin(channel, function (idle_wait)
		run("finish", { reason = "no keeper", origin = "keeper", idle_wait = idle_wait })
	end)
end

local function on_regained(message)
	keeper = channel
	channel.hello.keeper_pid = message.keeper_pid
	orphan.stop()
	life.tell_state(life.state(), life.phase(), "a new keeper")
	life.beat()
	prosody.events.fire_event("keeper-regained", { pid = message.keeper_pid })
end

local function predecessor_stopped(message)
	local clean = message.exit == 0 and not message.signal
	prosody.events.fire_event("predecessor-stopped", { generation = message.generation,
		exit = message.exit, signal = message.signal, result = clean and "clean"
			or message.exit == 75 and "expired" or "failed" })
end

-- Another worker of the host; "failed" is an end after which it is not soon started again.
local function on_worker(message)
	if message.event == "gone" then
		return predecessor_stopped(message)
	end
	local event = message.event == "started" and "worker-started" or "worker-ended"
	prosody.events.fire_event(event, { generation = message.generation, worker = message.worker,
		exit = message.exit, signal = message.signal, restarts = message.restarts })
end

--- Joins this file to the machine and to the keeper, if there is one.
-- @param machine core.lifecycle's own table
-- @param table_of_actions verb → function(args) → true, or nil and the reason
function verbs.init(machine, table_of_actions)
	life, actions = machine, table_of_actions
	local ok, found = pcall(require, "host.keeper")
	channel = ok and type(found) == "table" and found or nil
	keeper = channel
	if keeper then
		keeper.on("signal", on_signal)
		keeper.on("verb", on_verb)
		keeper.on("lost", on_lost)
		keeper.on("regained", on_regained)
		keeper.on("worker", on_worker)
	end
	return keeper
end

--- The keeper's table, or nil: also while the keeper is lost.
function verbs.keeper()
	return keeper
end

--- host.keeper, or nil: what is said to it while the keeper is lost, the next one hears.
function verbs.channel()
	return channel
end

return verbs
