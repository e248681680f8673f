-- The verbs as console, HTTP and modules call them: what the state does not allow is refused here,
-- in one line; what it allows goes to the keeper and comes back to core/actions.lua in each worker.

local idle <const> = require "core.idle"
local start <const> = require "core.start"
local states <const> = require "core.lifecycle_states"
local stop <const> = require "core.stop"
local verbs <const> = require "core.verbs"

local requests <const> = {}
local by_name <const> = {}
--- The functions that core.lifecycle shows as its own.
requests.by_name = by_name

local life -- core/lifecycle_host.lua, given by init

--- Joins this file to the machine.
function requests.init(machine)
	life = machine
end

-- Refusals ----------------------------------------------------------------------------------------

-- nil, reason, detail; the detail has `line`, the refusal as a person reads it.
local function refuse(verb, reason, text)
	local detail = { phase = life.phase(), left = stop.left(), state = life.state(), text = text }
	local words = reason
	if reason == "stopping" and not stop.can_abort() then
		words = "stopping-aborted"
	end
	detail.left = detail.left < math.huge and detail.left or nil
	detail.line = states.refusal(verb, words, detail)
	return nil, reason, detail
end

-- What to do with a verb in this state; "run" with the name of the verb, or the answer at once.
function requests.allowed(verb)
	local what = states.verbs[verb][life.state()]
	if what == "run" or what == "noop" or what == "later" or what == "hurry" or what == "stop" then
		return what
	end
	return refuse(verb == "shutdown" and "stop" or verb, what)
end

-- Verbs that people and modules call --------------------------------------------------------------

--- Drains the whole host or one service; reversible.
-- @param service name, or nil for the host
-- @param reason optional string
-- @param origin "console", "http", "lua" (default)
-- @return true, also if it drains already; or nil, "kebab-reason", detail (detail.line: for people)
function by_name.drain(service, reason, origin)
	local what, err, detail = requests.allowed("drain")
	if not what then
		return nil, err, detail
	elseif service and not life.has_service(service) then
		return refuse("drain", "unknown-service", ("no service or module '%s'"):format(service))
	elseif what ~= "noop" or service then -- a service stays drained when the host is brought back
		verbs.ask("drain", { service = service, reason = reason, origin = origin or "lua" }, true)
	end
	return true
end

--- Brings the host or a service back; also out of the idle wait of finish.
-- @return as drain()
function by_name.undrain(service, reason, origin)
	local what, err, detail = requests.allowed("undrain")
	if not what then
		return nil, err, detail
	elseif life.state() == "finishing" and idle.teardown_begun() then
		return refuse("undrain", "teardown-begun")
	elseif service and not life.has_service(service) then
		return refuse("undrain", "unknown-service", ("no service or module '%s'"):format(service))
	elseif what ~= "noop" or service then
		verbs.ask("undrain", { service = service, reason = reason, origin = origin or "lua" }, true)
	end
	return true
end

--- Drains, waits for the own sessions, ends without evicting.
-- @param reason optional string
-- @param origin as in drain()
-- @param idle_wait seconds, or nil: finish_idle_wait
-- @return as drain()
function by_name.finish(reason, origin, idle_wait)
	local what, err, detail = requests.allowed("finish")
	if not what then
		return nil, err, detail
	elseif what == "stop" and life.state() == "starting" then
		return by_name.stop(reason, nil, { origin = origin })
	elseif what ~= "noop" then
		verbs.ask("finish",
			{ reason = reason, origin = origin or "lua", idle_wait = idle_wait }, true)
	end
	return true
end

--- Stops the host in phases. A stop that is under way is hurried.
-- @param reason optional string
-- @param code optional exit status
-- @param opts optional table: `origin` ("lua"), `now` true: every budget is 0, goodbyes are still
--   written
-- @return true; the end is told by lifecycle.when_ended
function by_name.stop(reason, code, opts)
	opts = opts or {}
	if life.state() ~= "stopped" then
		verbs.ask("shutdown", {
			reason = reason, code = code, origin = opts.origin or "lua", now = opts.now,
		})
	end
	return true
end

--- A passive host takes charge: its singletons start.
-- @return true; or nil, reason, detail ("active" if it is in charge already)
function by_name.activate(reason, origin)
	local what, err, detail = requests.allowed("activate")
	if not what then
		return nil, err, detail
	end
	verbs.ask("activate", { reason = reason, origin = origin or "lua" }, true)
	return true
end

--- Takes a stop back to serving, until the first listener is closed.
-- @return true; or nil, reason, detail
function by_name.abort(reason, origin)
	local what, err, detail = requests.allowed("abort")
	if not what then
		return nil, err, detail
	end
	local can, because = stop.can_abort()
	if not can then
		return refuse("abort", because)
	elseif not start.is_started() then
		return refuse("abort", "starting")
	end
	verbs.ask("abort", { reason = reason or "aborted", origin = origin or "lua" }, true)
	return true
end

--- Gives the stop, its phase and the hammer more time.
-- @param seconds number above 0
-- @return true; or nil, reason, detail
function by_name.extend(seconds)
	local what, err, detail = requests.allowed("extend")
	if not what then
		return nil, err, detail
	elseif type(seconds) ~= "number" or not (seconds > 0 and seconds < math.huge) then
		return refuse("extend", "bad-seconds")
	end
	verbs.ask("extend", { seconds = seconds }, true)
	return true
end

--- Ends everything now, without a word to anybody; only for the third request and for an operator.
function by_name.hammer()
	return life.fall()
end

--- The next step of a repeated stop request.
-- @param origin who asks
function by_name.hurry(origin)
	if life.state() ~= "stopping" then
		return refuse("hurry", "not-stopping")
	end
	verbs.ask("shutdown", { origin = origin or "lua" })
	return true
end

-- From the request to the outcome: the reader, spawn to ready, commit, probation, and some.
local function longest()
	local options <const> = require "core.lifecycle_options"
	return 60 + options.period("upgrade_timeout", 60) + options.period("upgrade_probation", 10)
end

-- `-c` of the command line names the instance too: the file that runs anyhow is no other config.
local function other_config(path)
	local stat <const> = require "posix.sys.stat".stat
	local asked, mine = stat(path), stat(prosody.config_file or "")
	if asked and mine and asked.st_dev == mine.st_dev and asked.st_ino == mine.st_ino then
		return nil
	end
	return path
end

-- What the keeper says of a refusal stands at once in its answer; it is put in our form.
local function outcome(verb, answer)
	if answer.ok then
		return { ok = true, text = answer.text }
	end
	local ended <const> = answer.text:match("^failed in ") or answer.text:match("^rolled%-back in ")
	return { ok = false, text = answer.text, faults = answer.faults, refused = not ended,
		line = not ended and states.refusal(verb, "refused", { text = answer.text }) or nil }
end

local function ask_keeper(verb, text)
	local what, err, detail = requests.allowed(verb)
	if not what then
		return nil, err, detail
	end
	local keeper_call <const> = require "core.console.keeper_call"
	local promised <const> = keeper_call.start()
		and keeper_call.request(verb, text, longest()) or nil
	if not promised then
		return refuse(verb, "no-keeper")
	end
	return promised:next(function (answer) return outcome(verb, answer) end)
end

--- Another binary and config take over, with nothing lost.
-- @param opts optional table: `check` true (ends before the commit), `binary` and `config`
--   (absolute paths; only where the keeper is not root)
-- @return promise of { ok, text, line (if it was refused), faults (of the config) }, settled at the
--   outcome, after probation; or nil, reason, detail
function by_name.upgrade(opts)
	opts = opts or {}
	local lines <const> = {}
	lines[#lines + 1] = opts.check and "check" or nil
	lines[#lines + 1] = opts.binary and "binary=" .. opts.binary or nil
	local config <const> = opts.config and other_config(opts.config)
	lines[#lines + 1] = config and "config=" .. config or nil
	return ask_keeper("upgrade", table.concat(lines, "\n") .. "\n")
end

--- The previous generation takes back; after its end its binary and config run anew.
-- @return as upgrade()
function by_name.rollback()
	return ask_keeper("rollback", "")
end

return requests
