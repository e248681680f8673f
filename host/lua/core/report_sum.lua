--- One report for a stop of several workers: each tells the speaker its own before it leaves, and
-- the speaker adds what came in time.

local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local log <const> = require "util.logger".init("lifecycle")
local peers <const> = require "core.peers"
local report <const> = require "core.report"
local timer <const> = require "util.timer"
local whole <const> = require "core.whole"

local report_sum <const> = {}

local told <const> = {} -- worker → its report
local died <const> = {} -- workers that went during the stop under way without a report
local under_way = false -- a stop has begun and is not over
local look              -- function while the speaker waits

-- Worse is more.
local rank <const> = { clean = 0, failed = 1, expired = 2 }
local exits <const> = { clean = report.CLEAN, failed = report.FAILED, expired = report.EXPIRED }

--- Of two results the one that counts. @return a or b
function report_sum.worse(a, b)
	return (rank[b] or 0) > (rank[a] or 0) and b or a
end

local worse <const> = report_sum.worse

local function list_of(value)
	return type(value) == "table" and value or {}
end

local function append(to, list)
	for _, item in ipairs(list_of(list)) do
		to[#to + 1] = item
	end
end

local function add_phase(to, from)
	to.seconds = math.max(to.seconds, tonumber(from.seconds) or 0)
	to.result = worse(to.result, from.result)
	to.error = to.error or from.error
	if type(from.closed) == "table" then
		to.closed = to.closed or {}
		whole.add(to.closed, from.closed)
	end
end

--- Adds the report of another worker: connections, holders and errors are summed, of results the
-- worst counts.
-- @param to report, changed
-- @param from report, whole or short
function report_sum.add(to, from)
	whole.add(to.lost, list_of(from.lost))
	append(to.holders, from.holders)
	append(to.errors, from.errors)
	for _, phase in ipairs(list_of(from.phases)) do
		for _, own in ipairs(to.phases) do
			if own.phase == phase.phase then
				add_phase(own, phase)
			end
		end
	end
	local code <const> = math.tointeger(tonumber(to.code)) or 0
	to.result = worse(to.result, from.result)
	to.exit = code ~= 0 and to.exit or exits[to.result] or to.exit
end

local function tell(built)
	local text = json.encode(built)
	if #text > peers.body_max then
		text = report.short(built)
	end
	return peers.tell("report", text) > 0
end

local function straggler()
	for _, number in ipairs(peers.others()) do
		if not told[number] then
			return number
		end
	end
end

-- Its part of the stop was not done, and nobody knows what it cut: the keeper says 70, too.
local function add_dead(built)
	for number in pairs(died) do
		report_sum.add(built, { result = "failed", errors = { {
			event = "worker-ended", module = json.null,
			error = ("worker %d has died during the stop"):format(number),
		} } })
	end
end

local function add_all(built)
	add_dead(built)
	for number, its in pairs(told) do
		report_sum.add(built, its)
		told[number] = nil
	end
	json_fields.order(built, "report")
end

--- A stop has begun: a worker that goes from here on without a report has died.
-- @param begun false: it was taken back
function report_sum.follow(begun)
	under_way = begun
	for number in pairs(died) do
		died[number] = nil
	end
	for number in pairs(begun and {} or told) do
		told[number] = nil
	end
end

--- This worker goes, and its report is made: whoever is still there has not lost it.
function report_sum.leave()
	peers.tell("report", "{}")
end

--- Makes the one report of a stop.
-- @param built this worker's own; the speaker's is changed into the sum
-- @param seconds how long the speaker waits for the others
-- @param done called once: with true if this worker's report is the host's, false if the speaker
--   has been told
-- @return function that ends the waiting
function report_sum.settle(built, seconds, done)
	if not peers.is_speaker() and tell(built) then
		done(false)
		return function () end
	end
	local guard
	local function finish()
		if look then
			look = nil
			timer.stop(guard)
			local number <const> = straggler()
			if number then
				log("info", "worker %d has not reported its stop within %.3g s", number, seconds)
			end
			add_all(built)
			report_sum.leave()
			done(true)
		end
	end
	look = function ()
		if not straggler() then
			finish()
		end
	end
	guard = timer.add_task(seconds, finish)
	look()
	return finish
end

--- Hears the other workers from here on.
function report_sum.init()
	peers.on("report", function (from, text)
		local its <const> = json.decode(text)
		if type(its) == "table" then
			told[from] = its
		end
		if look then
			look()
		end
	end)
	peers.on_change(function (number, here)
		if here then
			told[number] = nil
		elseif under_way and not told[number] then
			died[number] = true
		end
		if look then
			look()
		end
	end)
end

return report_sum
