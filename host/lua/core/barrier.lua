--- Workers of a generation stop together: a phase is over when the last of them has ended it. One
-- that has nothing to wait for would else close the listeners that all of them share while its
-- neighbours are still in lame-duck.

local log <const> = require "util.logger".init("lifecycle")
local peers <const> = require "core.peers"
local report_sum <const> = require "core.report_sum"
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local barrier <const> = {}

local past <const> = {} -- worker → { phase = { result, seconds } } that it has ended
local verbs <const> = {} -- worker → "finish" or "shutdown": whose list of phases it runs
local waiting           -- { names (list), verb, record, go, timer, due }, while this worker waits

-- The others have begun a message later, and lame-duck's hooks have a time of their own (s).
local slack <const> = 1

-- Who was already in the teardown of a finish when a stop came goes on with that list: it never
-- ends what is in the stop's, nor the other way round.
local function is_past(number, names, verb)
	if verbs[number] and verbs[number] ~= verb then
		return true
	end
	for _, name in ipairs(names) do
		if past[number] and past[number][name] then
			return true
		end
	end
	return false
end

-- Somebody who has not ended the phase, nor a later one; or nil.
local function straggler(names, verb)
	for _, number in ipairs(peers.others()) do
		if not is_past(number, names, verb) then
			return number
		end
	end
end

-- The phase as the host has had it: the worst result of all workers, the longest time.
local function sum(record)
	local result, seconds = record.result, record.seconds
	for _, its in pairs(past) do
		local theirs <const> = its[record.phase]
		if theirs then
			result = report_sum.worse(result, theirs.result)
			seconds = math.max(seconds, theirs.seconds)
		end
	end
	return result, seconds
end

local function go_on(mine, cut)
	waiting = nil
	if mine.timer then
		timer.stop(mine.timer)
	end
	local result, seconds = sum(mine.record)
	if mine.died then
		result = report_sum.worse(result, "failed")
	end
	mine.go(cut or result, seconds)
end

--- Whoever waits goes on: a repeated stop, or its time is over.
function barrier.release()
	if waiting then
		go_on(waiting, straggler(waiting.names, waiting.verb) and "expired")
	end
end

local function look()
	if waiting and not straggler(waiting.names, waiting.verb) then
		go_on(waiting)
	end
end

--- Says that this worker has ended a phase, and goes on when all others have.
-- @param names list: the phase, and those that follow it in this worker: who has ended one of them
--   is past it
-- @param verb that the list of phases is for: "finish" or "shutdown"
-- @param record of the phase here: `phase`, `result`, `seconds`
-- @param seconds that the phase still had here
-- @param go called once, at once if nobody is waited for: go(result, seconds) of the host's phase
function barrier.wait(names, verb, record, seconds, go)
	peers.tell("phase-ended", ("%s %s %s %.6f"):format(names[1], verb, record.result,
		record.seconds))
	local number <const> = straggler(names, verb)
	if not number then
		return go(sum(record))
	end
	log("debug", "%s is over here; worker %d goes on with it", names[1], number)
	waiting = { names = names, verb = verb, record = record, go = go,
		due = time.monotonic() + math.max(0, seconds) + slack }
	if seconds < math.huge then
		waiting.timer = timer.add_task(waiting.due - time.monotonic(), barrier.release)
	end
end

--- More time for the phase that is waited for.
function barrier.extend(seconds)
	if waiting and waiting.timer then
		waiting.due = waiting.due + seconds
		timer.reschedule(waiting.timer, waiting.due - time.monotonic())
	end
end

--- A stop was taken back: what was ended has not been.
function barrier.reset()
	for number in pairs(past) do
		past[number], verbs[number] = nil, nil
	end
	if waiting then
		go_on(waiting, "aborted")
	end
end

--- Hears the other workers from here on.
function barrier.init()
	peers.on("phase-ended", function (from, text)
		local name <const>, verb <const>, result <const>, seconds <const> =
			text:match("^(.*) (%S+) (%S+) (%S+)$")
		past[from] = past[from] or {}
		verbs[from] = verb
		past[from][name] = { result = result, seconds = tonumber(seconds) }
		look()
	end)
	peers.on_change(function (number, here)
		if waiting and not here and not is_past(number, waiting.names, waiting.verb) then
			waiting.died = true
		end
		past[number], verbs[number] = nil, nil
		look()
	end)
end

return barrier
