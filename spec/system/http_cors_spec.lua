-- CORS headers of apps: who may read an answer, and that caches keep answers apart.

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"

local app <const> = [[
	module:depends "http"
	local function hello() return "hello" end
	module:provides("http", { name = "open", default_path = "/open",
		route = { GET = hello, PUT = hello } })
	module:provides("http", { name = "own", default_path = "/own", route = { GET = hello },
		cors = { enabled = true, credentials = true, origins = { "https://a.example" },
			headers = { ["X-Token"] = true } } })
	module:provides("http", { name = "closed", default_path = "/closed", route = { GET = hello },
		cors = { enabled = false } })
]]

describe("CORS", function ()
	local d
	setup(function ()
		d = daemon.start { modules = { app = app }, config = [[ modules_enabled = { "app" }
			http_ports = { 0 }; https_ports = {}; http_interfaces = { "127.0.0.1" } ]] }
	end)
	teardown(daemon.finish_all)
	after_each(client.close_all)

	local function ask(path, origin, method)
		local c <const> = assert(client.tcp("127.0.0.1", d:port "http"))
		c:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n"):format(
			method or "GET", path, origin and ("Origin: %s\r\n"):format(origin) or ""))
		local status <const>, _, headers <const> = http_app.answer(c)
		assert.equal(200, status)
		return headers["access-control-allow-origin"], headers
	end

	it("allows every site unless the app says otherwise, and tells caches so", function ()
		local allowed, headers = ask("/open", "https://b.example")
		assert.same({ "https://b.example", "Origin" }, { allowed, headers.vary })
		assert.is_nil(headers["access-control-allow-credentials"])
		allowed, headers = ask "/open"
		assert.equal("*", allowed)
		assert.is_nil(headers.vary)
		allowed, headers = ask("/open", "https://b.example", "OPTIONS")
		assert.equal("https://b.example", allowed)
		assert.equal("GET, OPTIONS, PUT", headers["access-control-allow-methods"])
	end)

	it("allows those that an app names, with credentials if it says so", function ()
		local allowed, headers = ask("/own", "https://a.example")
		assert.same({ "https://a.example", "true", "Origin", "Content-Type, X-Token" }, { allowed,
			headers["access-control-allow-credentials"], headers.vary,
			headers["access-control-allow-headers"] })
		for _, origin in ipairs { "https://b.example", false } do
			allowed, headers = ask("/own", origin)
			assert.same({ nil, "Origin" }, { allowed, headers.vary })
		end
		assert.is_nil((ask("/closed", "https://a.example")))
	end)
end)
