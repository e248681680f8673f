-- The driver of a stop: builds the list of phases and moves through it.
--
--	shutdown_phases = { "lame-duck", { "stop-accepting", budget = 1 }, …, "quit" }
--	                       -- the whole list; or only entries with before = or after =, which are
--	                          put into the default list
--	shutdown_pause = 1     -- most that a phase lingers for stragglers after its work is done
--	close_spread = 1       -- time over which goodbyes are spread
--
-- A module adds a phase with module:provides("shutdown-phase", { name, before or after, budget,
-- work }).

module:set_global()

local async <const> = require "util.async"
local goodbye <const> = require "core.goodbye"
local lifecycle <const> = require "core.lifecycle"
local sessions <const> = require "core.sessions"

local pause <const> = module:get_option_period("shutdown_pause", 1)
local spread <const> = module:get_option_period("close_spread", 1)

local default_list <const> = {
	{ name = "lame-duck" }, { name = "stop-accepting", budget = 1 },
	{ name = "close-clients", budget = 10 }, { name = "stop-services", budget = 6 },
	{ name = "quit", budget = 5 },
}

local function provided()
	local by_name, list = {}, {}
	for _, item in ipairs(lifecycle.items("shutdown-phase-provider")) do
		if by_name[item.name] then
			module:log("warn", "the phase %s is provided twice; the first one is used", item.name)
		else
			by_name[item.name], list[#list + 1] = item, item
		end
	end
	return by_name, list
end

local function entry_of(value)
	if type(value) ~= "table" then
		return { name = tostring(value) }
	end
	return {
		name = value.name or value[1], budget = tonumber(value.budget), before = value.before,
		after = value.after,
	}
end

local function index_of(list, name)
	for i, entry in ipairs(list) do
		if entry.name == name then
			return i
		end
	end
end

-- Puts an entry where its before or after says; without a place it comes before quit.
local function place(list, entry)
	local old = index_of(list, entry.name)
	if old then
		entry.budget = entry.budget or list[old].budget
		table.remove(list, old)
	end
	local at = entry.before and index_of(list, entry.before)
	local after = entry.after and index_of(list, entry.after)
	at = at or after and after + 1 or index_of(list, "quit") or #list + 1
	table.insert(list, at, entry)
end

-- The configured list: whole, or changes to the default one.
-- The second result says whether a phase that is not in the list was left out on purpose.
local function configured()
	local list, patches, budgets = {}, {}, {}
	for _, entry in ipairs(default_list) do
		budgets[entry.name] = entry.budget
	end
	for _, value in ipairs(module:get_option_array("shutdown_phases") or {}) do
		local entry = entry_of(value)
		entry.budget = entry.budget or budgets[entry.name]
		if not entry.name then
			module:log("error", "shutdown_phases: an entry without a name is passed over")
		elseif entry.before or entry.after then
			patches[#patches + 1] = entry
		else
			list[#list + 1] = entry
		end
	end
	local whole = #list > 0
	if not whole then
		for i, entry in ipairs(default_list) do
			list[i] = { name = entry.name, budget = entry.budget }
		end
	end
	for _, entry in ipairs(patches) do
		place(list, entry)
	end
	return list, whole
end

local function quit_last(list)
	local at = index_of(list, "quit")
	if at ~= #list then
		module:log("error", "shutdown_phases: quit must be the last phase; it is put there")
		local entry = at and table.remove(list, at) or { name = "quit", budget = 5 }
		list[#list + 1] = entry
	end
end

-- The work that comes with the host, by phase -------------------------------------------------

local works <const> = {}

works["stop-accepting"] = function ()
	return goodbye.close_listeners("client")
end

works["close-clients"] = function (event, phase, stop)
	return goodbye.close("client", event, phase, {
		spread = stop.now and 0 or spread, on_error = lifecycle.note_error,
	})
end

-- Work that modules have begun holds the phase until it is done.
local function hold_jobs(phase)
	local releases = {}
	local _, jobs = sessions.jobs()
	for name in pairs(jobs) do
		releases[name] = phase.holds:hold("work in flight", nil, nil, nil, name)
	end
	local unhook = sessions.on_fall(function ()
		local _, left = sessions.jobs()
		for name, release in pairs(releases) do
			if not left[name] then
				releases[name] = nil
				release()
			end
		end
	end)
	phase.on_end = unhook
end

works["stop-services"] = function (event, phase, stop)
	hold_jobs(phase)
	local end_jobs = phase.on_end
	stop:fire_stopping(event, phase)
	async.wait_for(goodbye.close_listeners("peer"))
	local said = goodbye.close("peer", event, phase, { on_error = lifecycle.note_error })
	local end_goodbye = phase.on_end
	phase.on_end = function ()
		end_jobs()
		end_goodbye()
	end
	return said
end

local function work_of(entry, item, stop)
	local own = works[entry.name]
	if item and item.work then
		return item.work
	end
	return own and function (event, phase) return own(event, phase, stop) end
end

-- Listeners close in an order that takes some milliseconds: the host's own work gets them even when
-- nothing is left, or when nobody wants to wait.
local least <const> = 0.1

local event_names <const> = { ["stop-services"] = { "server-stopping" } }

-- The names in order, with the phases that modules provide at their place.
local function ordered(items, by_name)
	local list, whole = configured()
	for _, item in ipairs(items) do
		if not whole and not index_of(list, item.name) then
			place(list, { name = item.name, before = item.before, after = item.after })
		end
	end
	-- In the default list, lame-duck is only a place for the module that provides it.
	local at = not whole and not by_name["lame-duck"] and index_of(list, "lame-duck")
	if at then
		table.remove(list, at)
	end
	quit_last(list)
	return list
end

-- Whether this stop has the phase: who provides it may say no, and why.
local function applies(stop, item, name)
	if not stop or not item or not item.applies then
		return true
	end
	local yes, why = item.applies(stop)
	if not yes then
		module:log("info", "no %s: %s", name, why or "does not apply")
	end
	return yes
end

-- The list of this stop; `stop` is the event shutdown-started, or nil for a plan.
local function build(stop)
	local by_name, items = provided()
	local phases = {}
	for _, entry in ipairs(ordered(items, by_name)) do
		local item = by_name[entry.name]
		if entry.name == "quit" then
			phases[#phases + 1] = lifecycle.quit_phase(stop, entry.budget)
		elseif applies(stop, item, entry.name) then
			phases[#phases + 1] = {
				name = entry.name, budget = entry.budget or item and item.budget,
				least = works[entry.name] and least or nil,
				work = work_of(entry, item, stop),
				events = item and item.events or event_names[entry.name],
			}
		end
	end
	return phases
end

local function drive(stop)
	stop:drive(build(stop), {
		linger = pause < math.huge and pause or nil,
		enter = function (phase) stop:fire_phase(phase) end,
	})
end

module:hook("shutdown-started", function (stop)
	if stop.foreign then
		-- Somebody has replaced prosody.shutdown; if he calls the original, it is our turn.
		stop.fallback = drive
		return nil
	end
	drive(stop)
	return true
end, -100)

module:provides("shutdown-driver", { name = "graceful_shutdown", plan = build })
