-- mod_health: the four paths and their bodies, per service, over the whole life of a host.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local wait <const> = require "spec.support.wait"

local ask <const>, start <const> = admin_http.ask, admin_http.start

-- Status and body only.
local function two(status, body)
	return { status, body }
end

local holder <const> = [[
module:set_global()
module:hook("server-starting", function (event)
	local release = event:hold("warm up")
	module:hook("may-start", release)
	local function look()
		if io.open("%s") then return release() end
		return 0.05
	end
	module:add_timer(0.05, look)
end, -100)
]]

describe("mod_health", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("answers with the word of the state, as text and as JSON", function ()
		local d = start()
		for _, path in ipairs { "/livez", "/readyz", "/healthz", "/startupz" } do
			local status, body, headers = ask(d, "GET " .. path)
			assert.same({ 200, "serving\n", "text/plain; charset=utf-8", "no-store" },
				{ status, body, headers["content-type"], headers["cache-control"] })
		end
		local _, body, headers = ask(d, "GET /readyz",
			{ Accept = "text/html, application/json;q=0.9" })
		assert.equal("application/json", headers["content-type"])
		assert.equal('{"status":"serving","live":true,"ready":true,"mode":"active","phase":null,'
			.. '"retry_after":null,"checks":{}}\n', body)
		d:stop()
	end)

	it("answers HEAD without a body", function ()
		local d = start()
		local c = assert(client.tcp("127.0.0.1", d.admin))
		for _ = 1, 2 do
			local status, body, headers = admin_http.send(c, "HEAD /readyz")
			assert.same({ 200, "", "8" }, { status, body, headers["content-length"] })
		end
		assert.same({ 200, "serving\n" }, two(admin_http.send(c, "GET /readyz")))
		d:stop()
	end)

	it("is not ready while drained, and alive all the same", function ()
		local d = start { config = "goodbye = { after = 7 }" }
		d:run("drain")
		local status, body, headers = ask(d, "GET /readyz")
		assert.same({ 503, "draining\n", "7" }, { status, body, headers["retry-after"] })
		assert.equal(503, (ask(d, "GET /healthz")))
		assert.same({ 200, "draining\n" }, two(ask(d, "GET /livez")))
		assert.equal(200, (ask(d, "GET /startupz")))
		local object, code = admin_http.health(d, "/readyz")
		assert.same({ 503, "draining", false, true, 7 },
			{ code, object.status, object.ready, object.live, object.retry_after })
		d:run("undrain")
		assert.equal(200, (ask(d, "GET /readyz")))
		d:stop()
	end)

	it("tells a drained service from the host", function ()
		local d = start()
		d:run("drain", "echo")
		assert.same({ 503, "draining\n" }, two(ask(d, "GET /readyz?service=echo")))
		assert.equal(200, (ask(d, "GET /readyz")))
		assert.equal(200, (ask(d, "GET /readyz?service=admin_http")))
		assert.equal(404, (ask(d, "GET /readyz?service=nothing")))
		d:run("undrain", "echo")
		assert.equal(200, (ask(d, "GET /readyz?service=echo")))
		d:stop()
	end)

	it("lets /healthz follow liveness if healthz says so", function ()
		local d = start { config = 'healthz = "live"' }
		d:run("drain")
		assert.same({ 200, 503 }, { (ask(d, "GET /healthz")), (ask(d, "GET /readyz")) })
		d:stop()
	end)

	it("says starting, and fails /startupz, until the host is ready", function ()
		local process = require "spec.support.process"
		local dir = process.temp_dir()
		local d = start { dir = dir, ready = "starting", fds = false, enable = { "holder" },
			modules = { holder = holder:format(dir .. "/go") } }
		assert.same({ 503, "starting\n" }, two(ask(d, "GET /readyz")))
		assert.same({ 503, "starting\n" }, two(ask(d, "GET /startupz")))
		assert.equal(200, (ask(d, "GET /livez")))
		process.write_file(dir .. "/go", "")
		wait(function () return ask(d, "GET /startupz") == 200 end, 10, "the start")
		assert.equal(200, (ask(d, "GET /readyz")))
		d:stop()
	end)

	it("answers on the client listeners too if asked to, and tells less there", function ()
		local d = start { enable = { "app" }, modules = { app = [[
			module:depends "http"
			module:provides("http", { default_path = "/", route = { ["GET /"] = "app" } })
			module:add_item("health-check", { name = "secret", check = function () return nil, "why" end })
		]] }, config = [[health_on_http = true; http_ports = { 0 }; http_interfaces = { "127.0.0.1" }]],
			allow = { "check secret fails" } }
		local port = d:port "http"
		local status, body = ask(port, "GET /readyz", { Accept = "application/json" })
		assert.equal(503, status)
		assert.is_nil(body:find("secret", 1, true), body)
		assert.equal("serving", json.decode(body).status)
		for _, path in ipairs { "/livez", "/startupz" } do
			assert.equal(200, (ask(port, "GET " .. path)))
		end
		assert.equal(503, (ask(port, "GET /healthz")))
		assert.same({ 503, "serving\ncheck secret: why\n" }, two(ask(d, "GET /readyz")))
		d:stop()
	end)

	it("does not answer on the client listeners otherwise", function ()
		local d = start { enable = { "http" },
			config = [[http_ports = { 0 }; http_interfaces = { "127.0.0.1" }]] }
		assert.equal(404, (ask(d:port "http", "GET /readyz")))
		d:stop()
	end)

	it("shows in status when the last probe was answered and how often they come", function ()
		local d = start()
		assert.is_nil(d:status().probes)
		for _ = 1, 3 do
			ask(d, "GET /readyz")
			wait.sleep(0.05)
		end
		local probes = d:status().probes
		assert.matches("^%d%d%d%d%-%d%d%-%d%dT", probes.last)
		assert.is_true(probes.interval > 0.02 and probes.interval < 5, probes.interval)
		d:stop()
	end)
end)
