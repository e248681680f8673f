--- Metrics of the worker (Prosody's core.statsmanager).

local config <const> = require "core.configmanager"
local log <const> = require "util.logger".init("stats")
local timed <const> = require "util.openmetrics".timed

local statsmanager <const> = {}

local default_buckets <const> = {
	times = { 0.001, 0.01, 0.1, 1, 10, 100 },
	sizes = { 1024, 4096, 32768, 131072, 1048576, 4194304, 33554432, 134217728, 1073741824 },
}

-- It is made before there is a log.
local function complain(text, ...)
	text = text:format(...)
	require "util.timer".add_task(0, function () log("error", "%s", text) end)
end

--- Makes the provider that the option `statistics` names.
-- @return an object with metric_registry, or nil when statistics are off
local function make_provider()
	local name = config.get("*", "statistics")
	if name == nil or name == true then
		name = "internal"
	elseif name == false then
		return nil
	end
	name = tostring(name)
	local library = name:sub(1, 1) == ":" and name:sub(2) or
		({ internal = "util.statistics", statsd = "util.statsd" })[name]
	if not library then
		complain("Unrecognized statistics provider '%s', statistics will be disabled", name)
		return nil
	end
	local ok, made, err = pcall(function ()
		return require(library).new(config.get("*", "statistics_config"))
	end)
	if not ok or not made then
		complain("Error loading statistics provider '%s': %s", name, tostring(err or made))
	end
	return ok and made or nil
end

local provider <const> = make_provider()

-- Stands for every metric when statistics are off.
local dummy <const> = setmetatable({}, {
	__index = function (self) return self end,
	__newindex = function () end,
	__call = function (self) return self end,
})

--- A metric family.
-- @param kind gauge, counter, histogram or summary
function statsmanager.metric(kind, name, unit, description, label_keys, extra)
	if not provider then
		return dummy
	end
	local registry = provider.metric_registry
	local make = registry[kind]
	if type(make) ~= "function" then
		error("unknown metric family type: " .. tostring(kind), 2)
	end
	return make(registry, name, unit, description, label_keys, extra)
end

-- Without a description the older interface's own word for it is one.
local legacy_words <const> = { gauge = "amount", counter = "counter", summary = "distribution",
	seconds = "times", bytes = "sizes" }

local function legacy(kind, name, unit, extra, label, value, conf)
	extra = type(extra) == "table" and extra or {}
	local keys = label and { label } or {}
	local family = statsmanager.metric(kind, "prosody_" .. name, extra.unit or unit or "",
		extra.description or name .. " " .. legacy_words[unit or kind], keys, conf or {})
	if label then
		return family:with_labels(value)
	end
	return family:with_labels()
end

local measures <const> = {}

function measures.amount(name, extra, label, value)
	local metric = legacy("gauge", name, nil, extra, label, value)
	local initial = type(extra) == "number" and extra or type(extra) == "table" and extra.initial
	metric:set(initial or 0)
	return function (new) metric:set(new) end
end

function measures.counter(name, extra, label, value)
	local metric = legacy("counter", name, nil, extra, label, value)
	return function (add) metric:add(add) end
end

function measures.rate(name, extra, label, value)
	local metric = legacy("counter", name, nil, extra, label, value)
	return function () metric:add(1) end
end

local function histogram(kind, unit, name, extra, label, value)
	local buckets = type(extra) == "table" and extra.buckets or default_buckets[kind]
	return legacy("histogram", name, unit, extra, label, value, { buckets = buckets })
end

function measures.times(name, extra, label, value)
	local metric = histogram("times", "seconds", name, extra, label, value)
	return function () return timed(metric) end
end

function measures.sizes(name, extra, label, value)
	local metric = histogram("sizes", "bytes", name, extra, label, value)
	return function (size) metric:sample(size) end
end

function measures.distribution(name, extra, label, value)
	if type(extra) == "string" then
		extra = { unit = extra }
	end
	local metric = legacy("summary", name, nil, extra, label, value)
	return function (sample) metric:sample(sample) end
end

--- The older interface: a function to report with. times() returns a function that returns the
-- stopping one.
function statsmanager.measure(kind, name, extra, label, value)
	local make = measures[kind]
	if not make then
		error("unknown legacy metric type " .. tostring(kind), 2)
	elseif not provider then
		return dummy
	end
	return make(name, extra, label, value)
end

function statsmanager.cork()
	if provider and provider.cork then
		return provider:cork()
	end
end

function statsmanager.uncork()
	if provider and provider.uncork then
		return provider:uncork()
	end
end

--- The registry of all metrics, or nil when statistics are off.
function statsmanager.get_metric_registry()
	return provider and provider.metric_registry or nil
end

-- What core.counters and the collection bring up to date themselves.
local function is_own(name)
	return name:find "^gadwall_" ~= nil or name:find "^process_" ~= nil
end

--- The counters, summaries and histograms of modules, for another generation or worker.
-- @return { family → { list of label values, NUL between them → its numbers } }
function statsmanager.save()
	local registry <const>, saved <const> = statsmanager.get_metric_registry(), {}
	for name, family in pairs(registry and registry:get_metric_families() or {}) do
		local of_family <const> = {}
		for labels, metric in family:iter_metrics() do
			of_family[table.concat(labels, "\0")] = metric.save and metric:save() or nil
		end
		saved[name] = not is_own(name) and next(of_family) and of_family or nil
	end
	return saved
end

-- The metric of a family whose label values are in such a key, made if there was none; nil if the
-- family has other labels.
local function metric_of(family, key)
	local labels <const> = {}
	for label in (key .. "\0"):gmatch "([^\0]*)\0" do labels[#labels + 1] = label end
	if #family.label_keys == 0 then labels[1] = nil end
	return #labels == #family.label_keys and family:with_labels(table.unpack(labels)) or nil
end

-- Calls fn(metric, numbers) for what save() gave elsewhere; what is not here is passed over.
local function each_saved(saved, fn)
	local registry <const> = statsmanager.get_metric_registry()
	for name, of_family in pairs(saved) do
		local family <const> = registry and registry:get_metric_families()[name]
		for key, numbers in pairs(family and of_family or {}) do
			local metric <const> = metric_of(family, key)
			if metric then fn(metric, numbers) end
		end
	end
end

--- Adds what save() gave elsewhere; families that are not here are passed over.
function statsmanager.add(saved)
	each_saved(saved, function (metric, numbers)
		if metric.go_on then metric:go_on(numbers) end
	end)
end

--- All metrics as OpenMetrics text.
-- @param others list of what save() gave in other workers: it is added to what is shown
-- @return text; nil when statistics are off
function statsmanager.render(others)
	local more <const> = {}
	for _, saved in pairs(others) do
		each_saved(saved, function (metric, numbers)
			more[metric] = more[metric] or {}
			table.insert(more[metric], metric.plus and numbers or nil)
		end)
	end
	local registry <const> = statsmanager.get_metric_registry()
	return registry and registry:render(more)
end

local interval <const> = tonumber(config.get("*", "statistics_interval"))

--- One collection: producers set their values, then openmetrics-updated.
-- @return seconds to the next one (nil: manual), the registry
local function collect()
	local fire <const> = prosody.events.fire_event
	fire("stats-update")
	statsmanager.uncork()
	local registry = statsmanager.get_metric_registry()
	if registry then
		fire("openmetrics-updated", { metric_registry = registry })
	end
	return interval, registry
end

--- Sets every metric to what holds now; for who shows them between two collections.
function statsmanager.refresh()
	if provider then
		collect()
	end
end

local hosted <const> = rawget(_G, "prosody") ~= nil -- not in a script of `gadwall lua`
if provider and interval and hosted then
	require "util.timer".add_task(interval, collect)
	prosody.events.add_handler("server-started", function () collect() end, -1)
elseif provider and hosted then
	-- Only in manual mode, as in Prosody: who reads collects.
	statsmanager.collect = collect
end
if provider and hosted then
	prosody.events.add_handler("server-stopped", function () collect() end, -1)
end

return statsmanager
