-- Sections event, timer, stats and debug.

local meter <const> = require "core.console.event_meter"
local status <const> = require "core.status"

local lib <const> = {}

-- All sets of events: the global one and one for each host.
local function event_sets(host)
	local sets <const> = {}
	if not host or host == "*" then
		sets["*"] = prosody.events
	end
	for name, session in pairs(prosody.hosts) do
		if not host or host == name then
			sets[name] = session.events
		end
	end
	return sets
end

local function sorted_names(set)
	local names <const> = {}
	for name in pairs(set) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	return names
end

local function event_names()
	local seen <const> = {}
	for _, events in pairs(event_sets()) do
		for name in pairs(events._event_map) do
			seen[name] = true
		end
	end
	return sorted_names(seen)
end

local function event_list(self, pattern)
	local count = 0
	for _, name in ipairs(event_names()) do
		if not pattern or name:find(pattern, 1, true) then
			local handlers = 0
			for _, events in pairs(event_sets()) do
				handlers = handlers + #(events.get_handlers(name) or {})
			end
			self.session.print(("%-36s %d handler%s"):format(name, handlers,
				handlers == 1 and "" or "s"))
			count = count + 1
		end
	end
	return true, ("%d events"):format(count)
end

local function handler_row(host, events, name, handler)
	local row <const> = meter.describe(handler)
	row.host, row.priority = host, (events._event_map[name] or {})[handler]
	return row
end

local heading <const> = ("%-10s %8s  %-16s %-38s %9s %10s"):format("host", "priority", "module",
	"where", "calls", "seconds")

local function event_show(self, name)
	local rows <const> = {}
	for host, events in pairs(event_sets()) do
		for _, handler in ipairs(events.get_handlers(name) or {}) do
			local row <const> = handler_row(host, events, name, handler)
			if #rows == 0 then
				self.session.print(heading)
			end
			rows[#rows + 1] = row
			self.session.print(("%-10s %8s  %-16s %-38s %9d %10.6f"):format(host,
				tostring(row.priority), row.module or "", row.where, row.calls, row.seconds))
		end
	end
	if #rows == 0 then
		local near <const> = require "util.didyoumean".suggest(name, event_names())
		return nil, ("nobody hooks the event '%s'%s"):format(name,
			near and (" (did you mean '%s'?)"):format(near) or "")
	end
	return true, ("%d handlers"):format(#rows), rows
end

local function timers()
	local count <const> = status.timers()
	return true, count == 1 and "1 timer waits" or ("%d timers wait"):format(count), count
end

-- As in an exposition: key="value", those of the family before the sample's own.
local function label_text(family, values, own)
	local parts <const> = {}
	for i, value in ipairs(values) do
		parts[i] = ("%s=%q"):format((family.label_keys or {})[i] or i, tostring(value))
	end
	for _, key in ipairs(sorted_names(own or {})) do
		parts[#parts + 1] = ("%s=%q"):format(key, tostring(own[key]))
	end
	return #parts > 0 and ("{%s}"):format(table.concat(parts, ",")) or ""
end

local function stats_show(self, pattern)
	local statsmanager <const> = require "core.statsmanager"
	local registry <const> = statsmanager.get_metric_registry()
	if not registry then
		return nil, "statistics are off (statistics = false)"
	end
	statsmanager.refresh()
	local families <const> = registry:get_metric_families()
	local count = 0
	for _, name in ipairs(sorted_names(families)) do
		for values, metric in families[name]:iter_metrics() do
			for suffix, own, value in metric:iter_samples() do
				local shown <const> = name .. (suffix or "") .. label_text(families[name], values, own)
				if not pattern or shown:find(pattern, 1, true) then
					self.session.print(("%s %s"):format(shown, tostring(value)))
					count = count + 1
				end
			end
		end
	end
	return true, ("%d samples"):format(count)
end

-- Prints every event of a host as it is fired, until the session ends or FOR is over.
local function logevents(self, host, flags)
	local sets <const> = event_sets(host or "*")
	if not next(sets) then
		return nil, ("no host '%s'"):format(host)
	end
	local session <const> = self.session
	local function wrapper(handlers, name, data)
		if name ~= "admin-line" then
			session.print(name)
		end
		return handlers(name, data)
	end
	for _, events in pairs(sets) do
		events.add_wrapper(false, wrapper)
	end
	require "core.console.wait".until_closed(session, flags and flags["for"])
	for _, events in pairs(sets) do
		events.remove_wrapper(false, wrapper)
	end
	return true, "no more events are shown"
end

local function async_list(self)
	local runners <const> = require "core.console.wait".count()
	self.session.print(("%d console commands wait"):format(runners))
	return true, "see also: event show, timer list", runners
end

local pattern <const> = { { name = "text", optional = true } }
local event <const> = { { name = "event", type = "event" } }
local rows <const> = {
	{ "event", "list", "events that somebody hooks", pattern, event_list },
	{ "event", "show", "handlers with priority, module, place, calls, time", event, event_show },
	{ "timer", "list", "how many timers wait", {}, timers },
	{ "stats", "show", "metrics; only those whose name has TEXT", pattern, stats_show },
	{ "debug", "events", "as event list and event show",
		{ { name = "event", type = "event", optional = true } }, function (self, name)
			return (name and event_show or event_list)(self, name)
		end },
	{ "debug", "timers", "as timer list", {}, timers },
	{ "debug", "async", "what waits", {}, async_list },
	{ "debug", "logevents", "shows events as they are fired",
		{ { name = "host", type = "host", optional = true } }, logevents,
		{ { name = "for", value = "SECONDS", type = "period", help = "ends after this" } } },
}

local descriptions <const> = { event = "events and who hooks them", timer = "timers",
	stats = "metrics", debug = "events, timers, waiting work" }

--- @return list of commands
function lib.commands()
	local list <const> = {}
	meter.start()
	for i, row in ipairs(rows) do
		list[i] = { section = row[1], section_desc = descriptions[row[1]], name = row[2],
			desc = row[3], args = row[4], handler = row[5], flags = row[6] }
	end
	return list
end

lib.sources = { event = event_names }
lib.unload = meter.stop

return lib
