-- "A handler of HTTP that called coroutine.yield() itself had its coroutine given to another
-- request, of whoever came next: that one was never answered."

local daemon <const> = require "spec.support.daemon"

local app <const> = [[
module:depends "http"
local function yields()
	coroutine.yield "odd"
	return "yields"
end
local function waits_and_yields()
	require "util.async".sleep(0.01)
	coroutine.yield()
	return "yields"
end
module:provides("http", { default_path = "/", route = {
	["GET /yields"] = yields, ["POST /yields"] = yields,
	["GET /later"] = waits_and_yields, ["POST /later"] = waits_and_yields,
	["POST /ok"] = function (event) return "ok " .. event.request.body end,
} })
]]

describe("regress: a handler that yields by itself", function ()
	after_each(daemon.finish_all)

	it("is an error, and costs nobody else", function ()
		local d <const> = daemon.start {
			config = [[ modules_enabled = { "app" }; https_ports = {}
				http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost" ]],
			modules = { app = app }, allow = { "outside of util.async", "stack traceback" },
		}
		local function ask(line)
			local c <close> = d:connect("http", 10)
			assert(c:send(line .. " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"))
			return assert(c:line())
		end
		for _, line in ipairs { "GET /yields", "POST /yields", "GET /later", "POST /later" } do
			assert.matches("^HTTP/1.1 500 ", ask(line), line)
			assert.matches("^HTTP/1.1 200 ", ask("POST /ok"), line)
		end
		d:stop()
	end)
end)
