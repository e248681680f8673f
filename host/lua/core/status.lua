--- The object that `status --json` prints, and numbers for console commands.
-- Unknown is null, never absent; seconds are numbers, times are RFC 3339.

local array <const> = require "util.array"
local datetime <const> = require "util.datetime"
local info <const> = require "host.info"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local sys <const> = require "host.sys"
local whole <const> = require "core.whole"

local status <const> = { schema = 1 }

local null <const> = json.null

local function optional(name)
	local ok, found = pcall(require, name)
	return ok and type(found) == "table" and found or nil
end

-- false is a value; only nil is unknown.
local function known(value)
	if value == nil then
		return null
	end
	return value
end

local function stamp(seconds)
	return seconds and datetime.datetime(seconds) or null
end

local function keeper()
	return optional "host.keeper"
end

-- Whatever one part of the host cannot say must not cost the rest of the answer.
local function part(fn, ...)
	local ok, value = pcall(fn, ...)
	if not ok then
		require "util.logger".init("status")("error", "%s", tostring(value))
		return null
	end
	return known(value)
end

--- Bytes of the process and of Lua. @return { rss_bytes, lua_bytes }
function status.memory()
	return { rss_bytes = known(sys.rss()), lua_bytes = sys.lua_bytes() }
end

--- Live connections and listeners as handles of net.server.
function status.handles()
	local net <const> = optional "host.net"
	return net and net.handles() or {}
end

--- How many timers wait.
function status.timers()
	local timer <const> = optional "host.timer"
	return timer and timer.pending() or 0
end

--- Counters of the network layer.
function status.network()
	local net <const> = optional "host.net"
	return net and net.stats() or {}
end

local function hello()
	local k <const> = keeper()
	return k and k.hello or {}
end

local function own_pid()
	return (sys.ids())
end

-- What only a worker itself knows of its process.
local function process_counts()
	local loop <const> = optional "host.loop" or {}
	return { lua_bytes = sys.lua_bytes(), rss_bytes = sys.rss(), lag = loop.lag and loop.lag() }
end

local function worker_entry(w, others)
	local its = w.pid == own_pid() and process_counts() or {}
	if w.generation == prosody.generation and others[w.worker] then
		its = others[w.worker].process or {}
	end
	return {
		worker = ("%d.%d"):format(w.generation, w.worker), pid = known(w.pid ~= 0 and w.pid or nil),
		state = known(w.state), restarts = w.restarts or 0,
		heartbeat_age = known(w.heartbeat_age),
		lua_bytes = known(its.lua_bytes), rss_bytes = known(its.rss_bytes),
		loop_lag_p99 = known(its.lag),
	}
end

-- What the keeper last said; this worker alone where it has not spoken yet.
local function all_workers(state)
	local k <const> = keeper()
	local list <const> = k and k.workers() or {}
	if #list > 0 then
		return list
	end
	local me <const> = hello()
	return { { generation = me.generation or 1, worker = me.worker or 1, pid = own_pid(),
		state = state, restarts = me.restarts or 0, started = prosody.start_time } }
end

local function generations(state, others)
	local list <const>, by_number <const> = array {}, {}
	for _, w in ipairs(all_workers(state)) do
		local entry, own = by_number[w.generation], w.generation == prosody.generation
		if not entry then
			-- Of which program another one is, its workers do not tell.
			entry = { generation = w.generation, state = known(w.state),
				binary = known(own and info.binary or nil), version = known(own and info.version or nil),
				started = stamp(w.started), workers = array {} }
			by_number[w.generation] = entry
			list:push(entry)
		end
		entry.workers:push(worker_entry(w, others or {}))
	end
	return list
end

status.generations = generations

--- How many turns of the loop took at most each of the limits; of all; their seconds, since the
-- start.
function status.lag(limits)
	return require "host.loop".lag_histogram(limits)
end

local function service_state(service, lifecycle, host_state)
	local open = false
	for _, listener in ipairs(service.listeners) do
		open = open or listener.open
	end
	if not open then
		return "closed"
	elseif service.class == "admin" then
		return "serving" -- to the last phase
	elseif host_state == "serving" and lifecycle.draining and lifecycle.draining(service.service) then
		return "draining"
	end
	return host_state
end

-- Not required at the top: it asks this file.
local function with_former(others)
	return require "core.counters".with_former(others)
end

local service_counts <const> = { "connections", "accepted", "refused" }

-- A service's counts in all workers.
local function counted(service, others)
	local sum <const> = {}
	for _, key in ipairs(service_counts) do
		sum[key] = service[key]
		for _, counts in pairs(others) do
			local its <const> = (counts.services or {})[service.service] or {}
			sum[key] = sum[key] + (tonumber(its[key]) or 0)
		end
	end
	return sum
end

--- Every service with its addresses, and its counts in all workers and former generations.
-- @param others of core.whole
-- @return list as of core.portmanager
function status.services(others)
	local list <const>, all <const> = require "core.portmanager".list(), with_former(others)
	for _, service in ipairs(list) do
		for key, count in pairs(counted(service, all)) do
			service[key] = count
		end
	end
	return list
end

local function services(lifecycle, host_state, others)
	local list <const> = array {}
	for _, service in ipairs(status.services(others)) do
		local listeners <const> = array {}
		for _, listener in ipairs(service.listeners) do
			listeners:push { address = listener.address, port = listener.port, type = listener.type,
				encryption = known(listener.encryption), open = listener.open }
		end
		list:push { service = service.service, module = known(service.module),
			class = service.class, state = service_state(service, lifecycle, host_state),
			connections = service.connections, accepted = service.accepted,
			refused = service.refused, listeners = listeners }
	end
	return list
end

local function modules()
	local list <const> = array {}
	for _, module in ipairs(require "core.modulemanager".list()) do
		list:push { module = module.module, host = module.host, status = module.status,
			message = known(module.message), path = known(module.path) }
	end
	return list
end

--- The limits that newcomers were turned away at, in all workers and former generations.
-- @param others of core.whole
-- @return list of { limit, hits, last (real time or nil) }
function status.limits(others)
	local list <const> = {}
	for i, limit in ipairs(status.network().limits or {}) do
		local entry <const> = { limit = limit.limit, hits = limit.hits or 0, last = limit.last }
		for _, counts in pairs(with_former(others)) do
			local its <const> = (counts.limits or {})[limit.limit] or {}
			entry.hits = entry.hits + (tonumber(its.hits) or 0)
			entry.last = its.last and math.max(its.last, entry.last or 0) or entry.last
		end
		list[i] = entry
	end
	return list
end

local function limits(others)
	local list <const> = array {}
	for _, limit in ipairs(status.limits(others)) do
		if limit.hits > 0 then
			list:push { limit = limit.limit, hits = limit.hits, last = stamp(limit.last) }
		end
	end
	return list
end

local loaded_at

--- Told when a config has come into force. @param at real-time seconds
function status.config_loaded(at)
	loaded_at = at
end

local function config()
	local configmanager <const> = require "core.configmanager"
	local state <const> = configmanager.state()
	return { file = known(prosody.config_file or hello().config_file),
		loaded = stamp(loaded_at or prosody.start_time),
		faults = state and state.faults and #state.faults or 0 }
end

--- What is in flight, in all workers.
-- @param others of core.whole
-- @return { total, by_module = { name = count } }; and by service { name = count }
function status.in_flight(others)
	local snapshot <const>, by_service <const> = require "core.sessions".snapshot()
	local total = snapshot.total
	for _, counts in pairs(others) do
		local its <const> = counts.in_flight or {}
		total = total + (tonumber(its.total) or 0)
		whole.add(snapshot.by_module, its.by_module)
		whole.add(by_service, its.by_service)
	end
	return { total = total, by_module = snapshot.by_module }, by_service
end

--- What this worker tells another one that answers for the host.
-- @return table that JSON can hold
function status.counts()
	local of_services <const>, limit_hits <const> = {}, {}
	for _, service in ipairs(require "core.portmanager".list()) do
		of_services[service.service] = { connections = service.connections, accepted = service.accepted,
			refused = service.refused }
	end
	for _, limit in ipairs(status.network().limits or {}) do
		if (limit.hits or 0) > 0 then
			limit_hits[limit.limit] = { hits = limit.hits, last = limit.last }
		end
	end
	local flight <const>, by_service <const> = status.in_flight {}
	return { process = process_counts(), services = of_services, limits = limit_hits,
		holders = require "core.stop_status".holders(),
		goodbyes = require "core.goodbye".totals(),
		in_flight = { total = flight.total, by_module = flight.by_module, by_service = by_service } }
end

-- What the shared registry knows of other servers; null without one.
local function peers()
	local found <const> = require "core.registry".peers()
	if not found then
		return nil
	end
	local servers <const> = array {}
	for _, peer in ipairs(found.servers) do
		servers:push { server_id = peer.server_id, state = peer.state, host = known(peer.host),
			pid = known(peer.pid), generation = known(peer.generation),
			sessions = known(peer.sessions), in_flight = known(peer.in_flight), seen = peer.seen }
	end
	return { store = found.store, error = known(found.error), since = stamp(found.since),
		servers = servers }
end

local function probes()
	local seen <const> = require "core.lifecycle".probes()
	return seen and { last = stamp(seen.at), interval = known(seen.interval) } or nil
end

-- Why the state is what it is. A keeper that has died comes before that: somebody has to act.
local function reason(why)
	local verbs <const> = require "core.verbs"
	if verbs.channel() and not verbs.keeper() then
		return "the keeper has died, `gadwall run` takes over"
	end
	return known(why)
end

--- The whole object.
-- @param others nil (this worker alone), or what core.whole knows of the others
function status.build(others)
	others = others or {}
	local lifecycle <const> = require "core.lifecycle"
	local state <const> = lifecycle.state()
	local since, why = lifecycle.since()
	local me <const> = hello()
	return json_fields.order({
		schema = status.schema, name = "gadwall", version = info.version,
		pid = me.keeper_pid or own_pid(), state = state, phase = known(lifecycle.phase()),
		since = stamp(since), ready = (require "core.health".ready()), live = true,
		reason = reason(why), uptime = lifecycle.uptime(),
		generation = prosody.generation or me.generation or 1,
		server_id = known(prosody.server_id), generations = part(generations, state, others),
		stop = part(lifecycle.stop_status, others),
		upgrade = part(require "core.upgrades".status),
		services = part(services, lifecycle, state, others),
		in_flight = part(status.in_flight, others), peers = part(peers),
		modules = part(modules), limits = part(limits, others), probes = part(probes),
		config = part(config),
	}, "status")
end

--- Whether the object describes a host in full health (exit status 0 of `gadwall status`).
-- @return true; or false and the reason in words
function status.healthy(object)
	if object.state ~= "serving" then
		return false, object.state
	end
	for _, module in ipairs(object.modules ~= null and object.modules or {}) do
		if module.status == "error" or module.status == "warn" then
			return false, ("module %s: %s"):format(module.module, tostring(module.message))
		end
	end
	return true
end

return status
