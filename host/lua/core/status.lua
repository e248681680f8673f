--- The object that `status --json` prints (INTERFACES.md 5), and numbers for console commands.
-- Unknown is null, never absent; seconds are numbers, times are RFC 3339.

local array <const> = require "util.array"
local datetime <const> = require "util.datetime"
local info <const> = require "host.info"
local json <const> = require "util.json"
local json_fields <const> = require "core.json_fields"
local sys <const> = require "host.sys"

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

local function worker_entry(w)
	local mine <const> = w.pid == own_pid()
	local loop <const> = mine and optional "host.loop" or {}
	local lag <const> = loop.lag and loop.lag() or nil
	return {
		worker = ("%d.%d"):format(w.generation, w.worker), pid = known(w.pid),
		state = known(w.state), restarts = w.restarts or 0,
		heartbeat_age = known(w.heartbeat_age),
		lua_bytes = mine and sys.lua_bytes() or null,
		rss_bytes = mine and known(sys.rss()) or null, loop_lag_p99 = known(lag),
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

local function generations(state)
	local list <const>, by_number <const> = array {}, {}
	for _, w in ipairs(all_workers(state)) do
		local entry = by_number[w.generation]
		if not entry then
			entry = { generation = w.generation, state = known(w.state), binary = info.binary,
				version = info.version, started = stamp(w.started), workers = array {} }
			by_number[w.generation] = entry
			list:push(entry)
		end
		entry.workers:push(worker_entry(w))
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

local function services(lifecycle, host_state)
	local list <const> = array {}
	for _, service in ipairs(require "core.portmanager".list()) do
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

local function limits()
	local list <const> = array {}
	for _, limit in ipairs(status.network().limits or {}) do
		if (limit.hits or 0) > 0 then
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

local function in_flight()
	local snapshot <const> = require "core.sessions".snapshot()
	return { total = snapshot.total, by_module = snapshot.by_module }
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

--- The whole object.
function status.build()
	local lifecycle <const> = require "core.lifecycle"
	local state <const> = lifecycle.state()
	local since, why = lifecycle.since()
	local me <const> = hello()
	return json_fields.order({
		schema = status.schema, name = "gadwall", version = info.version,
		pid = me.keeper_pid or own_pid(), state = state, phase = known(lifecycle.phase()),
		since = stamp(since), ready = (require "core.health".ready()), live = true,
		reason = known(why), uptime = lifecycle.uptime(),
		generation = prosody.generation or me.generation or 1,
		server_id = known(prosody.server_id), generations = part(generations, state),
		stop = part(function () return lifecycle.stop_status() end),
		upgrade = part(require "core.upgrades".status),
		services = part(services, lifecycle, state), in_flight = part(in_flight), peers = part(peers),
		modules = part(modules), limits = part(limits), probes = part(probes),
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
