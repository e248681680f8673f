--- Metric families, metrics and their registry, rendered as OpenMetrics text.

local time <const> = require "util.time"

local openmetrics <const> = {}

local family_mt <const>, proxy_mt <const>, registry_mt <const> = {}, {}, {}
family_mt.__index, proxy_mt.__index, registry_mt.__index = family_mt, proxy_mt, registry_mt

-- Separates label values in a key; no label value that a program makes contains it.
local separator <const> = "\0"

--- A family with its first labels fixed.
function openmetrics.new_metric_proxy(family, with_labels)
	return setmetatable({ _family = family, _with_labels = with_labels }, proxy_mt)
end

function proxy_mt:with_labels(...)
	return self._with_labels(self._family, ...)
end

function proxy_mt:with_partial_label(label)
	local inner = self._with_labels
	return openmetrics.new_metric_proxy(self._family, function (family, ...)
		return inner(family, label, ...)
	end)
end

--- The metric of one set of label values.
function family_mt:with_labels(...)
	local count = select("#", ...)
	if count ~= #self.label_keys then
		error(("%s has %d labels, %d values were given"):format(self.family_name, #self.label_keys,
			count), 2)
	end
	local values = { ... }
	for i = 1, count do
		values[i] = tostring(values[i])
	end
	local key = table.concat(values, separator)
	local entry = self._metrics[key]
	if not entry then
		entry = { labels = values, metric = self._make(self.family_name, values, self.extra) }
		self._metrics[key] = entry
		self._order[#self._order + 1] = key
	end
	return entry.metric
end

function family_mt:with_partial_label(label)
	return openmetrics.new_metric_proxy(self, function (family, ...)
		return family:with_labels(label, ...)
	end)
end

--- Sets all metrics back.
function family_mt:clear()
	for _, entry in pairs(self._metrics) do
		entry.metric:reset()
	end
end

--- Iterates label values, metric, in the order in which they came.
function family_mt:iter_metrics()
	local i = 0
	return function ()
		i = i + 1
		local entry = self._metrics[self._order[i]]
		if entry then
			return entry.labels, entry.metric
		end
	end
end

local function new_family(backend, kind, name, unit, description, label_keys, extra)
	local make = assert(backend[kind], "the statistics backend has no " .. kind)
	if kind == "histogram" then
		local buckets = assert(extra and extra.buckets, "a histogram needs buckets")
		local limits = table.move(buckets, 1, #buckets, 1, {})
		limits[#limits + 1] = math.huge
		local with_buckets = make
		make = function (...) return with_buckets(limits, ...) end
	end
	local family = setmetatable({
		family_name = name, type_ = kind, unit = unit, description = description, extra = extra,
		label_keys = label_keys or {}, user_labels = #(label_keys or {}), _make = make,
		_metrics = {}, _order = {},
	}, family_mt)
	if #family.label_keys == 0 then
		family.data = family:with_labels()
	end
	return family
end

local function is_same(a, b)
	if a.type_ ~= b.type_ or #a.label_keys ~= #b.label_keys then
		return false
	end
	for i, key in ipairs(a.label_keys) do
		if key ~= b.label_keys[i] then
			return false
		end
	end
	return true
end

--- A registry over a backend { gauge =, counter =, histogram =, summary = }.
function openmetrics.new_metric_registry(backend)
	return setmetatable({ families = {}, backend = backend }, registry_mt)
end

--- Enters a family. One of the same name, type and labels stays (a module was reloaded); another
-- is replaced.
function registry_mt:register_metric_family(name, family)
	local existing = self.families[name]
	if existing and is_same(existing, family) then
		return existing
	end
	self.families[name] = family
	return family
end

for _, kind in ipairs { "gauge", "counter", "histogram", "summary" } do
	registry_mt[kind] = function (self, name, unit, description, label_keys, extra)
		unit = unit or ""
		if unit ~= "" then
			name = name .. "_" .. unit
		end
		return self:register_metric_family(name, new_family(self.backend, kind, name, unit,
			description or "", label_keys, extra))
	end
end

--- All families by name.
function registry_mt:get_metric_families()
	return self.families
end

local function escape_name(name)
	return (name:gsub("/", "__"):gsub("[^%w_]", "_"):gsub("^%d", "_%0"))
end

local function escape_value(value)
	return (tostring(value):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function render_labels(keys, values, extra)
	local parts = {}
	for i, key in ipairs(keys) do
		parts[i] = ('%s="%s"'):format(escape_name(key), escape_value(values[i]))
	end
	for key, value in pairs(extra or {}) do
		parts[#parts + 1] = ('%s="%s"'):format(escape_name(key), escape_value(value))
	end
	return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

local function render_number(value)
	if value == math.huge then
		return "+Inf"
	elseif value == -math.huge then
		return "-Inf"
	elseif value ~= value then
		return "NaN"
	end
	return math.tointeger(value) and ("%d"):format(value) or ("%.17g"):format(value)
end

local function render_family(name, family, out, others)
	local shown = escape_name(name)
	out[#out + 1] = ("# HELP %s %s\n"):format(shown,
		(family.description:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })))
	if family.unit ~= "" then
		out[#out + 1] = ("# UNIT %s %s\n"):format(shown, escape_name(family.unit))
	end
	out[#out + 1] = ("# TYPE %s %s\n"):format(shown, family.type_)
	for labels, metric in family:iter_metrics() do
		metric = others[metric] and metric:plus(others[metric]) or metric
		for suffix, extra, value in metric:iter_samples() do
			out[#out + 1] = shown .. suffix .. render_labels(family.label_keys, labels, extra) .. " "
				.. render_number(value) .. "\n"
		end
	end
end

--- The whole registry as OpenMetrics text, families in alphabetical order.
-- @param others optional: { metric → list of what its save() gave elsewhere }, which is added
function registry_mt:render(others)
	local names, out = {}, {}
	for name in pairs(self.families) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		render_family(name, self.families[name], out, others or {})
	end
	out[#out + 1] = "# EOF\n"
	return table.concat(out)
end

--- The text of a histogram's limit.
function openmetrics.render_histogram_le(limit)
	return limit == math.huge and "+Inf" or ("%.14g"):format(limit)
end

--- Measures from now to the call of the returned function.
function openmetrics.timed(metric)
	local started = time.now()
	local submit = assert(metric.sample or metric.set, "this kind of metric cannot be timed")
	return function ()
		submit(metric, time.now() - started)
	end
end

return openmetrics
