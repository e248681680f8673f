--- A stop is the host's: an older generation that still finishes its sessions (or a newer one that
-- was rolled back) stops at the same time, and may need longer. The active one waits for it before
-- it quits, so that console and health answer to the end, and adds its report to its own.

local async <const> = require "util.async"
local json_fields <const> = require "core.json_fields"
local options <const> = require "core.lifecycle_options"
local report_sum <const> = require "core.report_sum"
local teardown <const> = require "core.teardown"

local other_generations <const> = {}

local keeper             -- function → host.keeper, or nil while there is none
local is_active          -- function of core/generation.lua
local ended = {}         -- "generation.worker" → true: ended, which STATUS may not say yet
local reports = {}       -- generation → its report of the stop under way
local silent = {}        -- list of { generation, exit, signal }: ended in it without a report
local on_end             -- function(key, event) while the phase runs

-- Whose end is no part of the stop: it was never in charge, and is killed when a stop begins. A
-- younger one that was rolled back drains; one that serves is the service, and waits for us.
local function is_outside(w)
	return w.state == "starting" or w.state == "passive"
		or w.state == "serving" and w.generation > prosody.generation
end

local function key_of(entry)
	return ("%d.%d"):format(entry.generation, entry.worker)
end

-- The workers of other generations that live: key → generation.
local function living()
	local set <const> = {}
	for _, w in ipairs(keeper() and keeper().workers() or {}) do
		local key <const> = key_of(w)
		if w.generation ~= prosody.generation and (w.pid or 0) > 0 and not ended[key]
			and not is_outside(w) then
			set[key] = w.generation
		end
	end
	return set
end

-- One hold for each worker; `status` and the report name those that did not end in time.
local function wait_for(phase)
	local done_waiting <const>, done = async.waiter()
	local waiting <const> = living()
	for key in pairs(waiting) do
		waiting[key] = phase.holds:hold("worker " .. key, nil, nil, nil, nil)
	end
	on_end = function (key, event)
		local release <const> = waiting[key]
		if release then
			waiting[key] = nil
			silent[#silent + 1] = event
			release()
		end
		if not next(waiting) and done then
			done()
			done = nil
		end
	end
	phase.on_end = function ()
		on_end = nil
	end
	on_end()
	done_waiting()
end

--- The phase in which this generation waits for the others.
-- @param mine record of the stop: `verb`, `budget`
-- @return phase (core/phases.lua), or nil if there is nobody to wait for. Its budget is more than
--   theirs, and a repeated stop request hurries them: it goes on until they have ended
function other_generations.phase(mine)
	if not is_active() or not next(living()) then
		return nil
	end
	local idle <const> = mine.verb == "finish" and options.period("finish_idle_wait", 300) or 0
	return {
		name = "other-generations", least = idle + mine.budget + teardown.flush_time(), patient = true,
		work = function (_, phase) return wait_for(phase) end,
	}
end

--- The report of another generation (the keeper's verb `report`).
-- @param its table of core/report.lua, perhaps the short one
function other_generations.heard(its)
	if type(its.generation) == "number" and its.generation ~= prosody.generation then
		reports[its.generation] = its
	end
end

-- What the keeper saw of one that did not say how it ended; SIGKILL is a deadline's.
local function judge(event)
	local result = "failed"
	if event.exit == 75 or event.signal == 9 then
		result = "expired"
	elseif event.exit == 0 and not event.signal then
		result = "clean"
	end
	return { result = result }
end

--- Adds what other generations have reported, or left unsaid, to the report of the host.
-- @param built report of this generation, changed
function other_generations.add_to(built)
	for _, event in ipairs(silent) do
		if not reports[event.generation] then
			report_sum.add(built, judge(event))
		end
	end
	for _, its in pairs(reports) do
		report_sum.add(built, its)
	end
	json_fields.order(built, "report")
end

--- A stop was taken back: what was heard is of no use.
function other_generations.reset()
	reports, silent = {}, {}
end

-- Only what STATUS still names has to be remembered.
local function remember(key)
	local old <const> = ended
	ended = { [key] = true }
	for _, w in ipairs(keeper() and keeper().workers() or {}) do
		local named <const> = key_of(w)
		ended[named] = ended[named] or old[named]
	end
end

--- Joins this file to the machine.
-- @param channel function → host.keeper, or nil while there is none
-- @param active function: whether this generation is the active one
function other_generations.init(channel, active)
	keeper, is_active = channel, active
	prosody.events.add_handler("worker-started", function (event)
		ended[key_of(event)] = nil
	end)
	prosody.events.add_handler("worker-ended", function (event)
		remember(key_of(event))
		if on_end then
			on_end(key_of(event), event)
		end
	end)
end

return other_generations
