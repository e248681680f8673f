--- The order in which the documented JSON objects show their fields, as data: a
-- list of names; under a name stands the list for what that field holds.

local json <const> = require "util.json"

local json_fields <const> = {}

local phase <const> = { "phase", "state", "seconds", "budget", "result", "closed", "error" }
local holder <const> = { "phase", "module", "hold", "conn", "since", "seconds", "left" }

--- The object "stop", which `stop --json` also shows by itself.
json_fields.stop = { "deadline", "left", "budget", "evict", "hammer_left", "phases", "holders",
	phases = phase, holders = holder }

json_fields.status = { "schema", "name", "version", "pid", "state", "phase", "since", "ready",
	"live", "reason", "uptime", "generation", "server_id", "generations", "stop", "upgrade",
	"services", "in_flight", "peers", "modules", "limits", "probes", "config",
	generations = { "generation", "state", "binary", "version", "started", "workers",
		workers = { "worker", "pid", "state", "restarts", "heartbeat_age", "lua_bytes", "rss_bytes",
			"loop_lag_p99" } },
	stop = json_fields.stop,
	services = { "service", "module", "class", "state", "connections", "accepted", "refused",
		"listeners", listeners = { "address", "port", "type", "encryption", "open" } },
	in_flight = { "total", "by_module", by_module = {} },
	peers = { "store", "error", "since", "servers", servers = { "server_id", "state", "host", "pid",
		"generation", "sessions", "in_flight", "seen" } },
	modules = { "module", "host", "status", "message", "path" },
	limits = { "limit", "hits", "last" }, probes = { "last", "interval" },
	config = { "file", "loaded", "faults" } }

json_fields.report = { "schema", "result", "exit", "reason", "code", "origin", "verb", "evict",
	"generation", "started", "seconds", "phases", "holders", "errors", "lost", "hurried",
	phases = { "phase", "seconds", "budget", "result", "closed", "error",
		closed = { "idle", "finished", "goodbye", "forced" } },
	holders = holder, errors = { "event", "module", "error" },
	lost = { "connections", "bytes_unsent", "jobs" } }

json_fields.health = { "status", "live", "ready", "mode", "phase", "retry_after", "checks" }

json_fields.faults = { "file", "line", "column", "severity", "code", "message", "suggestion" }

-- A list of objects has the order of its items.
local function apply(value, names)
	if type(value) ~= "table" or value == json.null then
		return
	elseif value[1] ~= nil then
		for _, item in ipairs(value) do
			apply(item, names)
		end
		return
	elseif getmetatable(value) == nil then
		setmetatable(value, { __jsonorder = names })
	end
	for name, below in pairs(names) do
		if type(name) == "string" then
			apply(value[name], below)
		end
	end
end

--- Has an object encoded in the documented order, at every level.
-- @param value table, also one that json.decode has made
-- @param kind "status", "stop", "report", "health" or "faults"; others are left as they are
-- @return the same table
function json_fields.order(value, kind)
	if json_fields[kind] then
		apply(value, json_fields[kind])
	end
	return value
end

--- The begin of a text that has to fit somewhere: no character is cut in two, or what it stands in
-- would be no JSON.
-- @param most bytes
function json_fields.cut(text, most)
	if #text <= most then
		return text
	end
	return text:sub(1, utf8.offset(text, 0, most + 1) - 1)
end

--- The JSON of a value for whoever reads it outside: always UTF-8. An error's text may have any
-- bytes, and may have been cut anywhere; what is no character is shown as U+FFFD.
function json_fields.encode(value)
	local text = json.encode(value)
	local good, bad = utf8.len(text)
	while not good do
		text = text:sub(1, bad - 1) .. "\u{fffd}" .. text:sub(bad + 1)
		good, bad = utf8.len(text, bad)
	end
	return text
end

return json_fields
