-- "Behind a trusted proxy that writes the port of a client into X-Forwarded-For, or 'unknown',
-- anybody could read /metrics: what was no address was taken for a Unix socket."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"

local app <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/", route = {
		["GET /ip"] = function (event) return event.request.ip end,
	} })
]]

describe("regress: metrics on a client listener", function ()
	local d

	local function ask(path, forwarded)
		local c <const> = assert(client.tcp("127.0.0.1", d:port "http"))
		c:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(path,
			forwarded and ("X-Forwarded-For: %s\r\n"):format(forwarded) or ""))
		local status <const>, body <const> = http_app.answer(c)
		c:close()
		return status, body
	end

	setup(function ()
		d = daemon.start { modules = { app = app }, config = [[
			modules_enabled = { "app", "http_openmetrics" }; openmetrics_on_http = true
			http_ports = { 0 }; https_ports = {}; http_interfaces = { "127.0.0.1" }
			admin_http_ports = { 0 }; admin_http_interfaces = { "127.0.0.1" }
			openmetrics_allow_cidr = "192.0.2.0/24"
		]] }
	end)
	teardown(daemon.finish_all)
	after_each(client.close_all)

	it("are for the addresses that are allowed, and for nobody without one", function ()
		for _, who in ipairs { "203.0.113.5", "203.0.113.5:4711", "unknown", "_hidden",
			"[2001:db8::1]:4711", "127.0.0.1, unknown" } do
			assert.equal(403, (ask("/metrics", who)), who)
		end
		for _, who in ipairs { false, "127.0.0.1", "192.0.2.7", "192.0.2.7:4711" } do
			assert.equal(200, (ask("/metrics", who)), tostring(who))
		end
	end)

	it("see the address of a client without its port", function ()
		assert.same({ 200, "203.0.113.5" }, { ask("/ip", "203.0.113.5:4711") })
		assert.same({ 200, "2001:db8::1" }, { ask("/ip", "10.0.0.1, [2001:db8::1]:4711") })
		assert.same({ 200, "unknown" }, { ask("/ip", "unknown") })
	end)
end)
