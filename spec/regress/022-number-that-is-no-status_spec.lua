-- "A handler whose promise was resolved with the time of a timer made an answer that began with
-- `HTTP/1.1 1795709686.2537 Unassigned`."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"

local app <const> = [[
	module:depends "http"
	local promise = require "util.promise"
	module:provides("http", { name = "app", default_path = "/", route = {
		["GET /big"] = function () return 1795709686.2537 end,
		["GET /small"] = function () return 0 end,
		["GET /promised"] = function () return promise.resolve(99) end,
		["GET /set"] = function (event) event.response.status_code = 1000 return "text" end,
		["GET /whole"] = function () return 202.0 end,
	} })
]]

describe("regress: a number that is no status of HTTP", function ()
	after_each(daemon.finish_all)

	it("is an error of the handler that gave it", function ()
		local d <const> = daemon.start { modules = { app = app }, allow = { "is no status" },
			config = [[
				modules_enabled = { "http", "app" }; http_ports = { 0 }; https_ports = {}
				http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
			]] }
		local expected <const> = { ["/big"] = "500", ["/small"] = "500", ["/promised"] = "500",
			["/set"] = "500", ["/whole"] = "202" }
		for path, status in pairs(expected) do
			local c <const> = assert(client.tcp("127.0.0.1", d:port "http"))
			c:send(http_app.get(path))
			assert.equal(status, tostring((http_app.answer(c))), path)
			c:close()
		end
		d:wait_log("99 is no status of HTTP")
		d:stop()
	end)
end)
