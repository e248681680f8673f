--- The "internal" statistics provider: values in memory, read by whoever asks.

local openmetrics <const> = require "util.openmetrics"
local time <const> = require "util.time"

--- A class with the methods given, whose objects iterate over samples(self), a list of { suffix,
-- labels, value }.
local function class(methods, samples)
	methods.__index = methods
	function methods:iter_samples()
		local list, i = samples(self), 0
		return function ()
			i = i + 1
			if list[i] then
				return list[i][1], list[i][2], list[i][3]
			end
		end
	end
	return methods
end

local gauge <const> = class({}, function (self) return { { "", nil, self.value } } end)

function gauge:set(value)
	self.value = value
end

function gauge:add(delta)
	self.value = self.value + delta
end

function gauge:reset()
	self.value = 0
end

local counter <const> = class({}, function (self)
	return { { "_created", nil, self._created }, { "_total", nil, self.value } }
end)

counter.set, counter.add, counter.reset = gauge.set, gauge.add, gauge.reset

-- save(), go_on(saved): a counter of another generation, whose numbers are added to this one's.
-- plus(list of saved): a copy with the numbers of other workers added, to be shown.
function counter:plus(others)
	local copy <const> = setmetatable({ value = self.value, _created = self._created }, counter)
	for _, saved in ipairs(others) do
		copy:go_on(saved)
	end
	return copy
end

function counter:save()
	return { value = self.value }
end

function counter:go_on(saved)
	self.value = self.value + (saved.value or 0)
end

local histogram <const> = class({}, function (self)
	local list = { { "_created", nil, self._created }, { "_sum", nil, self._sum },
		{ "_count", nil, self._count } }
	for _, bucket in ipairs(self) do
		list[#list + 1] = { "_bucket", { le = bucket.threshold_s }, bucket.count }
	end
	return list
end)

function histogram:sample(value)
	for i = #self, 1, -1 do
		local bucket = self[i]
		if value > bucket.threshold then
			break
		end
		bucket.count = bucket.count + 1
	end
	self._sum, self._count = self._sum + value, self._count + 1
end

function histogram:reset()
	self._created, self._sum, self._count = time.now(), 0, 0
	for _, bucket in ipairs(self) do
		bucket.count = 0
	end
end

--- Takes over what somebody else has counted.
-- @param counts of each limit, cumulative; the last limit (infinite) is `count`
function histogram:set(counts, count, sum)
	for i, bucket in ipairs(self) do
		bucket.count = counts[i] or count
	end
	self._sum, self._count = sum, count
end

local function save_sum(self)
	local saved <const> = { sum = self._sum, count = self._count }
	for i, bucket in ipairs(self) do
		saved[i] = bucket.count
	end
	return saved
end

local function add_sum(self, saved)
	self._sum, self._count = self._sum + (saved.sum or 0), self._count + (saved.count or 0)
	for i, bucket in ipairs(self) do
		bucket.count = bucket.count + (saved[i] or 0)
	end
end

local function sum_plus(self, others)
	local copy <const> = setmetatable({ _created = self._created, _sum = self._sum,
		_count = self._count }, getmetatable(self))
	for i, bucket in ipairs(self) do
		copy[i] = { threshold_s = bucket.threshold_s, count = bucket.count }
	end
	for _, saved in ipairs(others) do
		copy:go_on(saved)
	end
	return copy
end

histogram.save, histogram.go_on, histogram.plus = save_sum, add_sum, sum_plus

local summary <const> = class({}, function (self)
	return { { "_created", nil, self._created }, { "_sum", nil, self._sum },
		{ "_count", nil, self._count } }
end)

function summary:sample(value)
	self._sum, self._count = self._sum + value, self._count + 1
end

function summary:reset()
	self._created, self._sum, self._count = time.now(), 0, 0
end

summary.save, summary.go_on, summary.plus = save_sum, add_sum, sum_plus

local backend <const> = {
	gauge = function () return setmetatable({ value = 0 }, gauge) end,
	counter = function () return setmetatable({ value = 0, _created = time.now() }, counter) end,
	summary = function ()
		return setmetatable({ _created = time.now(), _sum = 0, _count = 0 }, summary)
	end,
	histogram = function (limits)
		local metric = { _created = time.now(), _sum = 0, _count = 0 }
		for i, limit in ipairs(limits) do
			metric[i] = { threshold = limit, count = 0,
				threshold_s = openmetrics.render_histogram_le(limit) }
		end
		return setmetatable(metric, histogram)
	end,
}

return {
	new = function () return { metric_registry = openmetrics.new_metric_registry(backend) } end,
}
