-- "`OPTIONS *` is answered with 404, a method that the path has no handler for with 404, and one
-- that the parser does not know with 400." RFC 9110 9.3.7, 15.5.6, 15.6.2.

local daemon <const> = require "spec.support.daemon"

local web <const> = [[
	module:depends "http"
	module:provides("http", { default_path = "/web", route = {
		["GET /page"] = "page", ["POST /page"] = function () return "posted" end,
		["PUT /files/*"] = function () return "put" end,
		["GET /lost/*"] = function () return nil end,
	} })
]]

local d

local function ask(line, host, more)
	local client <const> = d:connect(d:port "http")
	client:send(("%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n"):format(line,
		host or "localhost", more or ""))
	local head <const> = client:read_all(10):match("^(.-\r\n)\r\n") or ""
	return tonumber(head:match("^HTTP/1%.1 (%d+)")), head:match("\r\nAllow: ([^\r]*)")
end

describe("regress: an HTTP request with a method that nobody handles", function ()
	setup(function ()
		d = daemon.start { modules = { web = web }, config = [[
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }
			modules_enabled = { "admin_socket", "admin_shell", "http", "web" }
		]] }
	end)
	teardown(daemon.finish_all)

	for line, expected in pairs {
		["GET /web/page"] = { 200 }, ["DELETE /web/page"] = { 405, "GET, HEAD, OPTIONS, POST" },
		["GET /web/files/a"] = { 405, "OPTIONS, PUT" }, ["HEAD /web/files/a"] = { 405, "OPTIONS, PUT" },
		["PROPFIND /web/lost/a"] = { 405, "GET, HEAD, OPTIONS" }, ["GET /web/lost/a"] = { 404 },
		["HEAD /web/lost/a"] = { 404 }, ["DELETE /web/nothing"] = { 404 },
		["OPTIONS *"] = { 200, "GET, HEAD, OPTIONS, POST, PUT" }, ["BREW /web/page"] = { 501 },
		["get /web/page"] = { 501 }, ["GE:T /web/page"] = { 400 },
	} do
		it(("answers %s with %d"):format(line, expected[1]), function ()
			assert.same(expected, { ask(line) })
		end)
	end

	it("answers with 405 when the body has come", function ()
		assert.same({ 405, "GET, HEAD, OPTIONS, POST" },
			{ ask("PATCH /web/page", nil, "Content-Length: 0\r\n") })
	end)

	it("answers OPTIONS * for whatever host", function ()
		assert.same({ 200, "GET, HEAD, OPTIONS, POST, PUT" }, { ask("OPTIONS *", "elsewhere") })
	end)
end)
