--- What has become of the newest config that came to this worker, for whoever asked for it.
--
-- The keeper sends the bundle, then the answer to who asked for the reload: when that one hears it,
-- the newest config that has come is the one that it asked for, in force already or not yet.
--
-- An outcome is a table: `changed` and `deferred` (as in the event config-reloaded) and `errors`
-- (list of texts: handlers, modules and ports that failed) of a config that is in force; else
-- `faults` (list), or `refused`, a text.

local async <const> = require "util.async"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local config_outcome <const> = {}

local count, newest = 0, nil

--- A config has come and is about to be applied.
-- @return function (outcome), to be called once: it is over
function config_outcome.begin()
	local mine <const> = { since = time.monotonic(), waiting = {}, failures = {} }
	count, newest = count + 1, mine
	return function (outcome)
		if outcome.errors then
			table.move(mine.failures, 1, #mine.failures, #outcome.errors + 1, outcome.errors)
		end
		mine.outcome = outcome
		local waiting <const> = mine.waiting
		mine.waiting = {}
		for _, done in ipairs(waiting) do
			done()
		end
	end
end

--- Something has failed: if a config is being applied, that belongs to its outcome.
-- @param text what, and why
function config_outcome.note(text)
	local failures <const> = newest and not newest.outcome and newest.failures
	local line <const> = text:match("^[^\n]*")
	if failures and not failures[line] then -- a port is tried by its module, then by the config
		failures[line] = true
		failures[#failures + 1] = line
	end
end

--- How many configs have come since the start: whoever asks for one compares before and after.
function config_outcome.count()
	return count
end

--- Waits for the end of the newest config; in a coroutine of util.async.
-- @param seconds longest wait
-- @return its outcome; nil and a text if it is not over
function config_outcome.wait(seconds)
	local mine <const> = newest
	if mine and not mine.outcome then
		local over <const>, done <const> = async.waiter(1, true)
		mine.waiting[#mine.waiting + 1] = done
		local late <const> = timer.add_task(seconds, done)
		over()
		timer.stop(late)
	end
	if mine and mine.outcome then
		return mine.outcome
	end
	return nil, mine and ("it is not applied after %.0f s%s"):format(
		time.monotonic() - mine.since, config_outcome.holder()) or "no config has come"
end

--- Where the main thread waits, in which configs are applied one after the other.
-- @return text, "" if it does not wait
function config_outcome.holder()
	local thread <const> = prosody.main_thread.thread
	if prosody.main_thread.state ~= "waiting" or not thread then
		return ""
	end
	local stack <const> = debug.traceback(thread)
	return ": the main thread waits in " .. (stack:match "[^\n%s]*mod_[%w_]+[./][^\n]*"
		or stack:match "\n%s*([^\n]*)$")
end

return config_outcome
