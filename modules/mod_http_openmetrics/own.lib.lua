-- What the host knows of itself, as metrics: filled in when somebody asks. Words of states and
-- phases are those of `status`, with - turned to _.

local checks <const> = require "core.health_checks"
local counters <const> = require "core.counters"
local health <const> = require "core.health"
local json <const> = require "util.json"
local lifecycle <const> = require "core.lifecycle"
local states <const> = require "core.lifecycle_states"
local status <const> = require "core.status"
local upgrades <const> = require "core.upgrades"
local time <const> = require "util.time"
local whole <const> = require "core.whole"

local own <const> = {}

local function word(text)
	return (text:gsub("%-", "_"))
end

local function number(value)
	return type(value) == "number" and value or 0
end

local fill <const> = {}

function fill.state(m)
	local now <const> = lifecycle.state()
	for _, name in ipairs(states.names) do
		m.state:with_labels(name):set(name == now and 1 or 0)
	end
	m.ready:with_labels():set((health.ready()) and 1 or 0)
	m.generation:with_labels():set(prosody.generation or 1)
end

-- Counts of a stop that was taken back go to 0; its phases keep their names.
function fill.stop(m)
	local stop <const> = lifecycle.stop_status()
	m.phase:clear()
	m.phase_seconds:clear()
	for _, phase in ipairs(stop and stop.phases or {}) do
		local name <const> = word(phase.phase)
		m.phase:with_labels(name):set(phase.state == "running" and 1 or 0)
		m.phase_seconds:with_labels(name):set(number(phase.seconds))
	end
	local left <const> = lifecycle.left()
	local ends <const> = stop and left < math.huge
	m.deadline:with_labels():set(ends and math.floor((time.now() + left) * 1000) / 1000 or 0)
end

-- Connections that were told goodbye, by service, in all workers and former generations.
local function goodbyes(others)
	local sum <const> = {}
	local function add(totals)
		for name, counts in pairs(totals or {}) do
			sum[name] = sum[name] or { drained = 0, forced = 0 }
			whole.add(sum[name], counts)
		end
	end
	add(counters.goodbyes())
	for _, counts in pairs(others) do
		add(counts.goodbyes)
	end
	return sum
end

-- Summed over the workers; what is not, is this worker's own.
function fill.connections(m, others)
	for _, service in ipairs(status.services(others)) do
		local name <const> = service.service
		m.connections:with_labels(name):set(service.connections)
		m.connections_total:with_labels(name, "accepted"):set(service.accepted)
		m.connections_total:with_labels(name, "refused"):set(service.refused)
	end
	for name, counts in pairs(goodbyes(others)) do
		m.connections_total:with_labels(name, "drained"):set(counts.drained)
		m.connections_total:with_labels(name, "forced"):set(counts.forced)
	end
	m.in_flight:clear()
	for module_name, count in pairs((status.in_flight(others)).by_module) do
		m.in_flight:with_labels(module_name):set(count)
	end
end

function fill.workers(m, others)
	for _, generation in ipairs(status.generations(lifecycle.state())) do
		for _, worker in ipairs(generation.workers) do
			m.restarts:with_labels(worker.worker):set(worker.restarts)
		end
	end
	for _, limit in ipairs(status.limits(others)) do
		m.limit_hits:with_labels(limit.limit):set(limit.hits)
	end
end

-- The keeper counts them, so the numbers go on from generation to generation.
function fill.upgrades(m)
	local counts <const> = upgrades.counts()
	m.upgrades:with_labels("committed"):set(counts.committed)
	m.upgrades:with_labels("failed"):set(counts.failed)
	m.upgrades:with_labels("rolled-back"):set(counts.rolled_back)
	local last <const> = upgrades.status().last
	m.upgrade_pause:with_labels():set(type(last) == "table" and last.pause or 0)
end

function fill.loop(m)
	local lag <const> = m.lag:with_labels()
	if lag.set then
		lag:set(status.lag(own.lag_limits))
	end
	local memory <const> = status.memory()
	m.lua_bytes:with_labels():set(memory.lua_bytes)
	m.timers:with_labels():set(status.timers())
	m.resident:with_labels():set(memory.rss_bytes ~= json.null and memory.rss_bytes or 0)
	m.cpu:with_labels():set(os.clock())
	m.started:with_labels():set(prosody.start_time or 0)
end

function fill.checks(m)
	for _, result in ipairs(checks.results()) do
		m.checks:with_labels(result.name):set(result.status == "pass" and 1 or 0)
	end
end

--- Limits of the histogram of the loop's turns (seconds): powers of two of microseconds, which is
-- how they are counted.
own.lag_limits = { 0.000256, 0.001024, 0.004096, 0.016384, 0.065536, 0.262144, 1.048576,
	4.194304 }

--- Of this worker's own numbers those that are summed over the workers, in the form of
-- core.statsmanager's save().
function own.save()
	local counts <const>, count <const>, sum <const> = status.lag(own.lag_limits)
	local lag <const> = table.move(counts, 1, #counts, 1, { count = count, sum = sum })
	lag[#own.lag_limits + 1] = count -- +Inf
	return { gadwall_loop_lag_seconds = { [""] = lag },
		process_cpu_seconds = { [""] = { value = os.clock() } } }
end

--- Takes what comes from own.save() out of what a worker has saved, and adds it to sums of such.
function own.move(saved, sums)
	for name in pairs(own.save()) do
		local sum <const> = sums[name] or { [""] = {} }
		whole.add(sum[""], (saved[name] or {})[""])
		sums[name], saved[name] = sum, nil
	end
end

--- Enters the families.
-- @param metric core.statsmanager's
-- @return function(others) that brings their values up to date; others: of core.whole, or nil
function own.new(metric)
	local function gauge(name, unit, text, labels)
		return metric("gauge", name, unit, text, labels or {})
	end
	local m <const> = {
		state = gauge("gadwall_state", "", "1 for the state of the host", { "state" }),
		ready = gauge("gadwall_ready", "", "1 if balancers may send work"),
		generation = gauge("gadwall_generation", "", "Number of this worker's generation"),
		phase = gauge("gadwall_shutdown_phase", "", "1 for the phase of a stop that runs",
			{ "phase" }),
		phase_seconds = gauge("gadwall_shutdown_phase", "seconds",
			"Time that a phase of the stop has taken", { "phase" }),
		deadline = gauge("gadwall_shutdown_deadline_timestamp", "seconds",
			"When the stop is over at the latest; 0 without one"),
		connections = gauge("gadwall_connections", "", "Open connections", { "service" }),
		connections_total = metric("counter", "gadwall_connections_handled", "",
			"Connections by what became of them: accepted, refused at a limit, drained (told "
			.. "goodbye), forced (cut at a deadline)", { "service", "result" }),
		in_flight = gauge("gadwall_inflight", "", "Connections and jobs of a module", { "module" }),
		restarts = metric("counter", "gadwall_worker_restarts", "", "Restarts of a worker",
			{ "worker" }),
		upgrades = metric("counter", "gadwall_upgrades", "", "Upgrades by their outcome",
			{ "outcome" }),
		upgrade_pause = gauge("gadwall_upgrade_pause", "seconds",
			"So long nobody accepted in the last upgrade"),
		limit_hits = metric("counter", "gadwall_limit_hits", "", "Newcomers turned away",
			{ "limit" }),
		lag = metric("histogram", "gadwall_loop_lag", "seconds",
			"How long a turn of the loop took: as long an event may have waited", {},
			{ buckets = own.lag_limits }),
		lua_bytes = gauge("gadwall_lua_memory", "bytes", "Memory of the Lua state"),
		timers = gauge("gadwall_timers", "", "Timers that wait"),
		checks = gauge("gadwall_health_check", "", "1 for a check that passes", { "check" }),
		resident = gauge("process_resident_memory", "bytes", "Resident memory of the worker"),
		cpu = metric("counter", "process_cpu", "seconds", "CPU time of the workers", {}),
		started = gauge("process_start_time", "seconds", "When the worker was started"),
	}
	metric("gauge", "gadwall_build_info", "", "The version that runs", { "version", "lua" })
		:with_labels(prosody.version, _VERSION):set(1)
	return function (others)
		for _, part in pairs(fill) do
			part(m, others or {})
		end
	end
end

return own
