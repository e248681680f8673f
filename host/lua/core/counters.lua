--- Counters that go on from generation to generation: what the older one has counted until it
-- yielded, in all its workers as far as anybody has been told, is added to what is shown. So is
-- what a worker of this generation had counted that has died, as long as the one lives that asked.
-- Taking back in a rollback adds what the newer one has counted of its own.

local goodbye <const> = require "core.goodbye"
local peers <const> = require "core.peers"
local statsmanager <const> = require "core.statsmanager"
local whole <const> = require "core.whole"

local counters <const> = {}

local former <const> = { services = {}, limits = {}, goodbyes = {}, metrics = {} }

-- Adds numbers, table within table; a `last` is a time, of which the later one counts.
local function add(to, from, sign)
	for key, value in pairs(from) do
		if type(value) == "table" then
			to[key] = to[key] or {}
			add(to[key], value, sign)
		elseif key == "last" then
			to[key] = math.max(to[key] or 0, value)
		elseif type(value) == "number" then
			to[key] = (to[key] or 0) + sign * value
		end
	end
	return to
end

-- Of core.status.counts(): what counts up.
local function rising(counts)
	local services <const> = {}
	for name, service in pairs(counts.services or {}) do
		services[name] = { accepted = service.accepted, refused = service.refused }
	end
	return { services = services, limits = counts.limits or {}, goodbyes = counts.goodbyes or {} }
end

--- The counts of workers, with those of former generations.
-- @param others { number → core.status.counts() }, or nil
-- @return the same with one more entry, under 0
function counters.with_former(others)
	local list <const> = { [0] = former }
	for number, counts in pairs(others or {}) do
		list[number] = counts
	end
	return list
end

-- What a worker has counted that has died goes on here, as far as this one was told: who reads the
-- sums sees none of them fall.
local function keep_lost(number)
	local counts <const> = whole.last_seen()[number]
	if counts then
		add(former, rising(counts), 1)
		whole.forget(number)
	end
end

--- Follows the other workers from here on.
function counters.init()
	peers.on_change(keep_lost)
end

--- What passes to the other generation: plain tables.
function counters.save()
	local lifecycle <const> = require "core.lifecycle"
	local total <const> = add({ services = {}, limits = {}, goodbyes = {} },
		rising(require "core.status".counts()), 1)
	for _, counts in pairs(whole.last_seen()) do
		add(total, rising(counts), 1)
	end
	add(total, { services = former.services, limits = former.limits, goodbyes = former.goodbyes }, 1)
	total.metrics = statsmanager.save()
	return { generation = prosody.generation, uptime = lifecycle.uptime(), total = total,
		former = former }
end

--- Goes on from there. Only worker 1 does: the counts are those of the whole generation.
function counters.restore(saved)
	if (prosody.worker or 1) ~= 1 then
		return
	end
	local more <const> = add({}, saved.total, 1)
	if saved.generation > prosody.generation then -- it had ours
		add(more, saved.former, -1)
	else
		require "core.lifecycle".went_on(saved.uptime)
	end
	statsmanager.add(more.metrics or {})
	add(former, more, 1)
end

--- What stops and drains of this and of former generations have ended, by service.
function counters.goodbyes()
	return add(add({}, goodbye.totals(), 1), former.goodbyes, 1)
end

return counters
