-- Metrics of the host and of all modules at GET /metrics, as OpenMetrics 1.0 text: on admin_http,
-- and on the client listeners with openmetrics_on_http. Options and default path are Prosody's.

module:set_global()
module:depends("admin_http")

local inet <const> = require "util.net"
local ip <const> = require "util.ip"
local peers <const> = require "core.peers"
local promise <const> = require "util.promise"
local serialization <const> = require "util.serialization"
local statsmanager <const> = require "core.statsmanager"
local own <const> = module:require "own"
local whole <const> = require "core.whole"

local allowed_ips <const> = module:get_option_set("openmetrics_allow_ips", { "::1", "127.0.0.1" })
local cidr <const> = module:get_option_string("openmetrics_allow_cidr")
local on_http <const> = module:get_option_boolean("openmetrics_on_http", false)

local network, bits
if cidr then
	network, bits = ip.parse_cidr(cidr)
	if not network then
		error(("openmetrics_allow_cidr: '%s' is no network like 10.0.0.0/8"):format(cidr), 0)
	end
end

-- Over a Unix socket its file says who may. Whom a proxy does not name by an address may not.
local function permitted(request)
	if not inet.pton(request.conn:ip() or "") then
		return true
	end
	local parsed <const> = ip.new_ip(request.ip)
	return allowed_ips:contains(request.ip)
		or parsed and network and ip.match(parsed, network, bits) or false
end

-- Set while an answer is made: counts of the other workers.
local others

-- A worker answers between two callbacks; one that takes longer is not waited for (s).
local limit <const> = 0.3

local serialize <const> = serialization.new { preset = "compact" }
local fill <const> = own.new(statsmanager.metric)
local function update()
	fill(others)
end
module:hook("stats-update", update)

local function collect()
	local fn <const> = statsmanager.collect or update -- with an interval, only ours is new
	fn()
end

local function render(saved)
	collect()
	return statsmanager.render(saved or {})
end

local warned = false

-- The sum is shown of the counters, histograms and summaries of modules, and of what own.save has.
peers.reply("metrics", function ()
	collect()
	local saved <const> = statsmanager.save()
	for name, family in pairs(own.save()) do
		saved[name] = family
	end
	local text <const> = serialize(saved)
	if #text <= peers.body_max then
		return text
	elseif not warned then
		warned = true -- not at each scrape
		module:log("warn", "%d bytes of metrics are too many for the worker that shows them "
			.. "(at most %d): they are left out there", #text, peers.body_max)
	end
	return "{}"
end)

local function ask_others()
	return promise.all { counts = whole.ask(), metrics = peers.ask("metrics", limit) }
end

local newest <const> = {} -- number of another worker → what it has answered last
local gone <const> = {}   -- sums of what own.save() said in workers that have died

-- What a worker has counted that has died goes on here, so that no sum falls.
module:hook_global("worker-ended", function (event)
	local saved <const> = event.generation == prosody.generation and newest[event.worker]
	if saved then
		newest[event.worker] = nil
		own.move(saved, gone)
		statsmanager.add(saved)
	end
end)

-- Of a worker that does not answer in time its last answer stands: a sum that falls and rises again
-- would be counted twice by who reads it.
local function with_others(answers)
	local saved <const> = { gone }
	for number, text in pairs(answers.metrics) do
		newest[number] = serialization.deserialize(text)
	end
	for _, numbers in pairs(newest) do
		saved[#saved + 1] = numbers
	end
	others = whole.last_seen()
	local ok <const>, text <const> = pcall(render, saved)
	others = nil
	return ok and text or error(text, 0)
end

local function get_metrics(event)
	local headers <const> = event.response.headers
	headers.cache_control = "no-store"
	headers.content_type = "text/plain; charset=utf-8"
	if not permitted(event.request) then
		return { status_code = 403, body = "not permitted: openmetrics_allow_ips and "
			.. "openmetrics_allow_cidr say who may read this\n" }
	end
	if not statsmanager.get_metric_registry() then
		return { status_code = 404, body = "statistics are off (statistics = false)\n" }
	end
	headers.content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	if whole.is_alone() then
		return render()
	end
	return ask_others():next(with_others)
end

module:provides("admin-http", { name = "openmetrics", route = { ["GET /metrics"] = get_metrics } })

if on_http then
	module:depends("http")
	module:provides("http", { default_path = "metrics", route = { GET = get_metrics } })
end
