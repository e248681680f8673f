-- One owner of the metrics at any time, and counters go on over upgrades (tableflip #52: "which
-- process gets to expose its metrics?"). Before, each generation counted from 0.
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local count <const> = [[
	module:set_global()
	local hits = module:metric("counter", "seen", "", "lines seen", { "kind" })
	local sizes = module:metric("histogram", "taken", "seconds", "time taken", {},
		{ buckets = { 1, 10 } })
	module:provides("net", { name = "count", default_port = 0, default_interface = "127.0.0.1",
		listener = { onincoming = function (conn, line)
			hits:with_labels("line"):add(1)
			sizes:with_labels():sample(5)
			conn:write(prosody.generation .. "\n")
		end } })
]]

local function start(more)
	return upgrade.start { modules = { count = count },
		enable = { "count", "admin_http", "http_openmetrics" },
		config = "admin_http_ports = { 0 }; " .. (more or "") }
end

-- The samples of a scrape, by name and labels.
local function scrape(d)
	local c <close> = d:connect("admin_http", 20)
	c:send "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	local samples <const> = {}
	for name, value in (c:read_all() or ""):gmatch("\n([%w_:]+%b{}) (%S+)") do
		samples[name] = tonumber(value)
	end
	return samples
end

local function say(d, times)
	for _ = 1, times do
		local c <close> = d:connect("count", 20)
		c:send "x\n"
		assert.is_truthy(c:line())
	end
end

local function accepted(d)
	for _, service in ipairs(d:status().services) do
		if service.service == "count" then return service.accepted end
	end
end

local function check(d, want)
	assert.equal(want, accepted(d))
	local samples <const> = scrape(d)
	assert.equal(want, samples
		['gadwall_connections_handled_total{service="count",result="accepted"}'])
	local seen
	for name, value in pairs(samples) do
		if name:find "seen_total" then seen = value end
	end
	assert.equal(want, seen)
end

describe("counters", function ()
	after_each(upgrade.finish)

	it("and uptime go on over upgrades", function ()
		local d <const> = start()
		say(d, 3)
		check(d, 3)
		wait.until_true(function () return d:status().uptime > 1.5 end, 20)
		upgrade.up(d)
		assert.is_true(d:status().uptime > 1.5)
		check(d, 3)
		say(d, 2)
		upgrade.up(d)
		say(d, 1)
		check(d, 6)
		upgrade.up(d, "rollback")
		check(d, 6)
		upgrade.stop(d)
	end)

	it("go on in the older generation that takes back, each counted once", function ()
		local d <const> = start "upgrade_probation = 60"
		say(d, 3)
		local outcome <const> = upgrade.begin(d, "upgrade")
		d:wait_log("commit %-> probation", 20)
		upgrade.wait_generation(d, 2)
		say(d, 4)
		check(d, 7)
		assert.is_true((upgrade.ask(d, "rollback")))
		outcome()
		upgrade.wait_generation(d, 1)
		check(d, 7)
		say(d, 1)
		check(d, 8)
		upgrade.stop(d, 0)
	end)

	it("of two workers are summed, and go on in one of two", function ()
		local d <const> = start "workers = 2"
		say(d, 8)
		assert.equal(8, accepted(d))
		upgrade.up(d)
		assert.equal(8, accepted(d))
		say(d, 4)
		assert.equal(12, accepted(d))
		d:rebase_fds()
		d:stop()
	end)
end)
