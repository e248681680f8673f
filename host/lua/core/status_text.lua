--- The status object as text for people; used by the console and by `gadwall status`.

local json <const> = require "util.json"

local status_text <const> = {}

local null <const> = json.null

local function value(v, otherwise)
	if v == nil or v == null then
		return otherwise
	end
	return v
end

--- Seconds as "1 d 2 h", "3 m 20 s", "4.2 s".
function status_text.seconds(seconds)
	seconds = tonumber(seconds) or 0
	local whole <const> = math.floor(seconds)
	if seconds >= 86400 then
		return ("%.0f d %.0f h"):format(whole // 86400, whole % 86400 // 3600)
	elseif seconds >= 3600 then
		return ("%.0f h %.0f m"):format(whole // 3600, whole % 3600 // 60)
	elseif seconds >= 60 then
		return ("%.0f m %.0f s"):format(whole // 60, whole % 60)
	end
	return ("%.1f s"):format(seconds)
end

--- Bytes as "7.3 MiB".
function status_text.bytes(bytes)
	bytes = tonumber(bytes)
	if not bytes then
		return "?"
	elseif bytes >= 1024 * 1024 then
		return ("%.1f MiB"):format(bytes / 1024 / 1024)
	elseif bytes >= 1024 then
		return ("%.1f KiB"):format(bytes / 1024)
	end
	return ("%.0f B"):format(bytes)
end

local glyphs <const> = { full = "█", empty = "░", cut = "…" }

--- Draws with ASCII, for a terminal that is not UTF-8.
function status_text.plain()
	glyphs.full, glyphs.empty, glyphs.cut = "#", "-", "~"
end

--- A bar of `width` characters. @param done 0 to 1
function status_text.bar(done, width)
	local full <const> = math.floor(math.max(0, math.min(1, done)) * width + 0.5)
	return glyphs.full:rep(full) .. glyphs.empty:rep(width - full)
end

--- A line that takes at most `columns` characters.
function status_text.fit(line, columns)
	local length <const> = utf8.len(line)
	if not length or length <= columns then
		return line
	end
	return line:sub(1, utf8.offset(line, math.max(columns, 1)) - 1) .. glyphs.cut
end

local function head(lines, o)
	local state = o.state
	if value(o.phase) then
		state = ("%s, phase %s"):format(state, o.phase)
	end
	if value(o.reason) then
		state = ("%s (%s)"):format(state, o.reason)
	end
	lines[#lines + 1] = ("gadwall %s   %s"):format(o.version, state)
	lines[#lines + 1] = ("pid %s   generation %s   up %s   %s"):format(value(o.pid, "?"),
		value(o.generation, "?"), status_text.seconds(value(o.uptime, 0)),
		o.ready and "ready" or "not ready")
	local config <const> = value(o.config)
	if config then
		lines[#lines + 1] = ("config %s"):format(value(config.file, "?"))
	end
end

local function workers(lines, o)
	for _, generation in ipairs(value(o.generations, {})) do
		for _, w in ipairs(generation.workers) do
			local memory <const> = value(w.rss_bytes) and ("   %s, Lua %s"):format(
				status_text.bytes(w.rss_bytes), status_text.bytes(w.lua_bytes)) or ""
			lines[#lines + 1] = ("worker %s   pid %s   %s   restarts %d%s"):format(w.worker,
				value(w.pid, "-"), value(w.state, "?"), w.restarts, memory)
		end
	end
end

-- The upgrade under way, and how the last one ended.
local function upgrade(lines, o)
	local known <const> = value(o.upgrade) or {}
	local last <const> = value(known.last)
	if value(known.state) then
		local left <const> = value(known.left)
		lines[#lines + 1] = ("upgrade %d   %s%s%s"):format(known.number, known.state,
			value(known.target) and ("   generation %d"):format(known.target) or "",
			left and "   " .. status_text.seconds(left) .. " left" or "")
	elseif last then
		lines[#lines + 1] = ("upgrade %d   %s   %s"):format(last.number, last.outcome, last.reason)
	end
end

local function address(listener)
	if listener.type == "unix" then
		return listener.address
	end
	local host <const> = listener.address:find(":", 1, true) and "[" .. listener.address .. "]"
		or listener.address
	return ("%s:%d"):format(host, listener.port)
end

local function services(lines, o)
	local list <const> = value(o.services, {})
	if #list > 0 then
		lines[#lines + 1] = ""
		lines[#lines + 1] = ("%-14s %-7s %-10s %6s %9s  %s"):format("service", "class", "state",
			"open", "accepted", "addresses")
	end
	for _, service in ipairs(list) do
		local addresses <const> = {}
		for _, listener in ipairs(service.listeners) do
			addresses[#addresses + 1] = address(listener)
		end
		lines[#lines + 1] = ("%-14s %-7s %-10s %6d %9d  %s"):format(service.service, service.class,
			service.state, value(service.connections, 0), value(service.accepted, 0),
			table.concat(addresses, " "))
	end
end

--- Sessions by module, as one line; nil when nothing is in flight.
-- @param flight the object "in_flight"
function status_text.in_flight(flight)
	flight = value(flight)
	if not flight or flight.total == 0 then
		return nil
	end
	local parts <const> = {}
	for name, count in pairs(flight.by_module) do
		parts[#parts + 1] = ("%s %d"):format(name, count)
	end
	table.sort(parts)
	return ("in flight %d   %s"):format(flight.total, table.concat(parts, "   "))
end

local function peers(lines, o)
	local known <const> = value(o.peers)
	if not known then
		return
	end
	lines[#lines + 1] = ("store %s%s   %d peers"):format(known.store,
		value(known.error) and " (" .. known.error .. ")" or "", #known.servers)
	for _, peer in ipairs(known.servers) do
		lines[#lines + 1] = ("peer %s   %s   sessions %s   seen %.0f s ago"):format(peer.server_id,
			peer.state, value(peer.sessions, "?"), peer.seen)
	end
end

local function troubles(lines, o)
	for _, module in ipairs(value(o.modules, {})) do
		if module.status == "error" or module.status == "warn" then
			lines[#lines + 1] = ("%s: module %s: %s"):format(module.status, module.module,
				value(module.message, ""))
		end
	end
	for _, limit in ipairs(value(o.limits, {})) do
		lines[#lines + 1] = ("limit %s: %d hits, last %s"):format(limit.limit, limit.hits,
			value(limit.last, "?"))
	end
	if value(o.last_exit) then
		lines[#lines + 1] = ("last exit of a worker: %s"):format(o.last_exit)
	end
end

local function progress(phase, seconds, budget)
	if phase.state == "ended" then
		return 1
	elseif phase.state == "waiting" or not budget or budget <= 0 then
		return 0
	end
	return seconds / budget
end

-- A terminal narrower than this gets the short form.
local narrow <const> = 60
local widest_bar <const>, least_bar <const> = 24, 4

local function tail_of(phase, short)
	local budget <const> = value(phase.budget)
	local limited <const> = budget and budget ~= math.huge
	local seconds <const> = ("%.1f"):format(value(phase.seconds, 0))
	local result <const> = value(phase.result) and " " .. phase.result or ""
	if phase.state == "waiting" then
		return limited and (" %s%.3g s"):format(short and "" or "of ", budget) or ""
	elseif not limited then
		return (" %s s%s"):format(seconds, result)
	end
	return short and (" %s/%.3g s%s"):format(seconds, budget, result)
		or (" %s s of %.3g s %s"):format(seconds, budget, result)
end

local function phase_line(phase, columns)
	local short <const> = columns < narrow
	local room <const> = columns - (short and 34 or 44)
	local bar <const> = status_text.bar(progress(phase, value(phase.seconds, 0), value(phase.budget)),
		math.max(least_bar, math.min(widest_bar, room)))
	return (short and "%-15s %s%s" or "  %-16s %s%s"):format(phase.phase, bar, tail_of(phase, short))
end

local function holder_line(holder)
	local left <const> = value(holder.left) and (", at most %.1f s more"):format(holder.left) or ""
	return ("  held by %s: %s%s, for %.1f s%s"):format(value(holder.module, "?"),
		value(holder.hold, "?"), value(holder.conn) and " (" .. holder.conn .. ")" or "",
		value(holder.since, 0), left)
end

--- The phases of a stop with bars, and who holds.
-- @param stop the object "stop"
-- @param columns of the terminal, default 80 @return list of lines
function status_text.stop(stop, columns)
	local lines <const> = {}
	if value(stop.left) then
		lines[1] = ("%s: %.1f s of %.3g s left"):format(value(stop.evict) == false and "finish"
			or "stop", stop.left, value(stop.budget, 0))
	end
	for _, phase in ipairs(value(stop.phases, {})) do
		lines[#lines + 1] = phase_line(phase, columns or 80)
	end
	for _, holder in ipairs(value(stop.holders, {})) do
		lines[#lines + 1] = holder_line(holder)
	end
	return lines
end

--- One line that says how far a host is: state, phase, time left, sessions, who holds.
-- @param o the status object
function status_text.line(o)
	local stop <const> = value(o.stop)
	local parts <const> = { o.state, value(o.phase) }
	if stop and value(stop.left) then
		parts[#parts + 1] = ("%.1f s left"):format(stop.left)
	end
	parts[#parts + 1] = status_text.in_flight(o.in_flight)
	for _, holder in ipairs(stop and value(stop.holders) or {}) do
		parts[#parts + 1] = ("held by %s: %s"):format(value(holder.module, "?"),
			value(holder.hold, "?"))
	end
	return table.concat(parts, "   ")
end

--- @param o the status object
-- @param columns of the terminal, default 80 @return list of lines
function status_text.render(o, columns)
	local lines <const> = {}
	head(lines, o)
	workers(lines, o)
	upgrade(lines, o)
	local stop <const> = value(o.stop)
	for _, line in ipairs(stop and status_text.stop(stop, columns) or {}) do
		lines[#lines + 1] = line
	end
	services(lines, o)
	lines[#lines + 1] = status_text.in_flight(o.in_flight)
	peers(lines, o)
	troubles(lines, o)
	return lines
end

return status_text
