-- HTTP connections between two requests hold neither a session nor a parser.
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

local app <const> = [[
	module:depends "http"
	module:provides("http", { name = "app", default_path = "/", route = {
		["GET /"] = function () return "hello" end,
		["POST /"] = function (event) return event.request.body end,
	} })
]]

local function start(more)
	return daemon.start { modules = { app = app }, fds = false, config = [[
		modules_enabled = { "http", "app", "admin_shell" }; http_ports = { 0 }; https_ports = {}
		http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
		max_connections_per_ip = 10000; max_connection_rate_per_ip = 100000
	]] .. (more or "") }
end

-- Status and body of the next answer.
local function answer(c)
	local status <const> = assert(c:line(20)):match "^HTTP/1.1 (%d+)"
	local length
	repeat
		local line <const> = assert(c:line(20)):gsub("\r$", "")
		length = tonumber(line:lower():match "^content%-length: (%d+)") or length
	until line == ""
	return status, assert(c:read(length, 20))
end

local function ask(c, path)
	assert(c:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path)))
	return answer(c)
end

local function sessions(d)
	return tonumber(select(2, d:console('> local n = 0 for _ in pairs(require '
		.. '"net.http.session".sessions) do n = n + 1 end return n')):match "^Result: (%d+)")
end

local function all_rest(d)
	wait.until_true(function () return sessions(d) == 0 end, 20, "all connections to rest")
end

describe("an HTTP connection at rest", function ()
	after_each(daemon.finish_all)

	it("has no session, before its first request and between two", function ()
		local d <const> = start()
		local list <const> = {}
		for i = 1, 50 do list[i] = d:connect "http" end
		assert.equal(0, sessions(d))
		for _ = 1, 3 do
			for _, c in ipairs(list) do assert.equal("200", (ask(c, "/"))) end
			all_rest(d)
		end
		d:stop()
	end)

	it("keeps what has come of a request, and what a client is owed", function ()
		local d <const> = start()
		local c <const> = d:connect "http"
		ask(c, "/")
		all_rest(d)
		c:send "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc"
		wait.sleep(0.3) -- longer than what rests is looked for
		assert.equal(1, sessions(d))
		c:send "def"
		assert.same({ "200", "abcdef" }, { answer(c) })
		all_rest(d)
		c:send "GET / HT"
		wait.sleep(0.3)
		assert.equal(1, sessions(d))
		c:send "TP/1.1\r\nHost: localhost\r\n\r\n"
		assert.same({ "200", "hello" }, { answer(c) })
		d:stop()
	end)

	it("gives its parser to the next one, with the limits of now", function ()
		local d <const> = start "http_max_request_line = 100"
		local a <const>, b <const> = d:connect "http", d:connect "http"
		assert.equal("200", (ask(a, "/")))
		all_rest(d)
		d:console "> require 'net.http.server'.set_option('max_request_line', 40)"
		assert.equal("414", (ask(b, "/" .. ("x"):rep(60))))
		a:send(("GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(("x"):rep(60)))
		assert.equal("414", (answer(a)))
		d:stop()
	end)

	it("ends by its own clock, and is closed at a stop", function ()
		local d <const> = start "http_keepalive_timeout = 1"
		local c <const> = d:connect "http"
		ask(c, "/")
		all_rest(d)
		assert.is_true(c:closed(20))
		local other <const> = d:connect "http"
		ask(other, "/")
		d:stop()
		assert.is_true(other:closed(5))
	end)

	it("takes no memory for what it has asked before", function ()
		local d <const> = start()
		local list <const> = {}
		for i = 1, 600 do list[i] = d:connect "http" end
		for _, c in ipairs(list) do ask(c, "/") end
		all_rest(d)
		d:console "> collectgarbage() collectgarbage()"
		local function bytes()
			return tonumber(select(2, d:console '> collectgarbage() return collectgarbage "count"')
				:match "^Result: ([%d.]+)") * 1024
		end
		local held <const> = bytes()
		for _, c in ipairs(list) do c:close() end
		wait.until_true(function ()
			return select(2, d:console '> return require "host.net".stats().connections'):match " 1$"
		end, 20, "the connections to go")
		-- Handle, registry, time of rest; a session with its parser would be 800 more.
		assert.is_true((held - bytes()) / #list < 420, ("%g bytes a connection"):format(
			(held - bytes()) / #list))
		d:stop()
	end)
end)
