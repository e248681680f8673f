-- Metrics of the host and of all modules at GET /metrics, as OpenMetrics 1.0 text: on admin_http,
-- and on the client listeners with openmetrics_on_http. Options and default path are Prosody's.

module:set_global()
module:depends("admin_http")

local ip <const> = require "util.ip"
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

-- No address: a Unix socket, whose file says who may.
local function permitted(address)
	local parsed <const> = address and ip.new_ip(address)
	return not parsed or allowed_ips:contains(address)
		or network ~= nil and ip.match(parsed, network, bits)
end

-- Set while an answer is made: counts of the other workers.
local others

local fill <const> = own.new(statsmanager.metric)
local function update()
	fill(others)
end
module:hook("stats-update", update)

local function render()
	local collect <const> = statsmanager.collect or update -- with an interval, only ours is new
	collect()
	local registry <const> = statsmanager.get_metric_registry()
	return registry and registry:render()
end

local function get_metrics(event)
	local headers <const> = event.response.headers
	headers.cache_control = "no-store"
	headers.content_type = "text/plain; charset=utf-8"
	if not permitted(event.request.ip) then
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
	return whole.ask():next(function (counts)
		others = counts
		local ok, text = pcall(render)
		others = nil
		return ok and text or error(text, 0)
	end)
end

module:provides("admin-http", { name = "openmetrics", route = { ["GET /metrics"] = get_metrics } })

if on_http then
	module:depends("http")
	module:provides("http", { default_path = "metrics", route = { GET = get_metrics } })
end
