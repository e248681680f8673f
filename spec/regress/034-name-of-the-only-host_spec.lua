-- "A module made by `gadwall new module --http` answered at http://localhost:5280/ alone: who knew
-- the server by its address or by any other name got 404, Unknown host."

local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"

local app <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/", route = {
		["GET /"] = function () return module.host end,
	} })
]]

local config <const> = [[
	modules_enabled = { "app", "admin_socket", "admin_shell" }; http_ports = { 0 }; https_ports = {}
	http_interfaces = { "127.0.0.1" }
]]

describe("regress: the host of a config that names none", function ()
	local d

	-- Status and body for a Host header; nil: none, by HTTP/1.0.
	local function ask(host)
		local c <const> = assert(client.tcp("127.0.0.1", d:port "http"))
		c:send(host and ("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"):format(host)
			or "GET / HTTP/1.0\r\n\r\n")
		local status <const>, body <const> = http_app.answer(c)
		c:close()
		return status, body
	end

	after_each(daemon.finish_all)

	it("answers to any name, until the config names one", function ()
		d = daemon.start { modules = { app = app }, config = config }
		for _, name in ipairs { "localhost", "127.0.0.1:5280", "[::1]", "www.example", false } do
			assert.same({ 200, "localhost" }, { ask(name) }, tostring(name))
		end
		d:write_config(config .. 'VirtualHost "www.example"\n')
		assert.equal(0, (d:run "reload"))
		assert.same({ 200, "www.example" }, { ask "www.example" })
		assert.equal(404, (ask "127.0.0.1"))
		d:write_config(config)
		assert.equal(0, (d:run "reload"))
		assert.same({ 200, "localhost" }, { ask "elsewhere.example" })
		d:stop()
	end)

	it("answers to any name where http_host names it", function ()
		d = daemon.start { modules = { app = app }, config = config .. '; http_host = "Chat.example"' }
		assert.same({ 200, "localhost" }, { ask "127.0.0.1" })
		assert.same({ 200, "localhost" }, { ask "chat.example" })
		d:stop()
	end)
end)
