-- "Who answers a path was remembered for 10,000 paths, however long: 5,000 requests for paths of
-- 8,000 bytes that nobody serves left 80 MB in the worker, for good."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"

local app <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/", route = {
		["GET /heap"] = function ()
			collectgarbage()
			return ("%.0f"):format(collectgarbage "count")
		end,
	} })
]]

local config <const> = [[
	modules_enabled = { "app" }; http_ports = { 0 }; https_ports = {}
	http_interfaces = { "127.0.0.1" }; http_max_pipeline = 1000
]]

describe("regress: paths that nobody serves", function ()
	after_each(client.close_all)
	after_each(daemon.finish_all)

	it("take no more memory than a fixed room, however long they are", function ()
		local d <const> = daemon.start { modules = { app = app }, config = config }
		local c <const> = assert(client.tcp("127.0.0.1", d:port "http"))

		local function ask(path)
			c:send(("GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path))
			return http_app.answer(c)
		end

		local _, before <const> = ask "heap"
		for i = 1, 800 do
			assert.equal(404, (ask(i .. ("x"):rep(8000)))) -- 12.8 MB of names of events
		end
		local _, after <const> = ask "heap"
		assert.is_true(tonumber(after) - tonumber(before) < 6000, after .. " KiB")
		d:stop()
	end)
end)
