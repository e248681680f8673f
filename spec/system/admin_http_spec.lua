-- mod_admin_http: who may change something, what is answered, and that it is always there.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local json <const> = require "dkjson"
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"
local wait <const> = require "spec.support.wait"

local ask <const>, post <const>, start <const> =
	admin_http.ask, admin_http.post, admin_http.start

local function two(status, body)
	return { status, body }
end

describe("control over HTTP", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("drains and undrains the host and a service, in text and in JSON", function ()
		local d = start()
		assert.same({ 200, "draining\n" }, two(post(d, "/drain?reason=maintenance")))
		d:wait_log "serving %-> draining %(maintenance%)"
		assert.same({ 200, "draining\n" }, two(post(d, "/drain")))
		assert.same({ 200, "serving\n" }, two(post(d, "/undrain")))
		assert.same({ 200, "echo is draining\n" }, two(post(d, "/drain?service=echo")))
		assert.equal(503, (ask(d, "GET /readyz?service=echo")))
		local code, body = post(d, "/undrain?service=echo", { Accept = "application/json" })
		assert.equal(200, code)
		assert.equal('{"ok":true,"verb":"undrain","service":"echo","state":"serving","error":null}\n',
			body)
		d:stop()
	end)

	it("refuses with 409 and the reason, in the words of the console", function ()
		local d = start()
		assert.same({ 409, "cannot drain: no service or module 'nothing' "
			.. "('port list' shows the services)\n" }, two(post(d, "/drain?service=nothing")))
		local code, body = post(d, "/activate", { Accept = "application/json" })
		local object = json.decode(body)
		assert.same({ 409, false, "activate" }, { code, object.ok, object.verb })
		assert.matches("^cannot activate: ", object.error)
		code, body = post(d, "/upgrade?binary=x&service=echo")
		assert.equal(400, code)
		assert.matches("^cannot upgrade: it is for the whole host", body)
		d:stop()
	end)

	it("finishes: 202, and the host ends by itself", function ()
		local d = start()
		local echo = d:connect "echo"
		echo:send "x\n"
		echo:line()
		assert.same({ 202, "finishing\n" }, two(post(d, "/finish")))
		assert.same({ 503, "finishing\n" }, two(ask(d, "GET /readyz")))
		assert.same({ 202, "finishing\n" }, two(post(d, "/finish")))
		echo:close()
		assert.equal(0, d:wait_exit(15))
	end)

	it("needs the token, which is read anew each time", function ()
		local d = start { allow = { "refused" } }
		local function with(value)
			local code, body, headers = ask(d, "POST /drain", { Authorization = value })
			return code, headers["www-authenticate"], body
		end
		for _, value in ipairs { false, "Bearer", "Bearer ", "Bearer wrong", "Basic " ..
			admin_http.token, "Bearer " .. admin_http.token .. "x", "Bearer " ..
			admin_http.token:sub(1, -2) } do
			local code, scheme = with(value)
			assert.same({ 401, 'Bearer realm="gadwall"' }, { code, scheme }, value)
		end
		assert.equal("serving\n", (select(2, ask(d, "GET /readyz"))))
		assert.equal(200, (with("bearer " .. admin_http.token)))
		process.write_file(d.dir .. "/token", "another\n")
		assert.equal(401, (with("Bearer " .. admin_http.token)))
		assert.equal(200, (with "Bearer another"))
		d:stop()
	end)

	it("does not take a token that others can read, or none", function ()
		local d = start { token = tonumber("644", 8), allow = { "admin_http_token_file", "refused" } }
		d:wait_log "admin_http_token_file .*/token: others may use it %(mode 644; chmod o= it%)"
		assert.equal(403, (post(d, "/drain")))
		assert.equal(5, (d:run "status"))
		stat.chmod(d.dir .. "/token", 416) -- 0640
		assert.equal(200, (post(d, "/drain")))
		process.write_file(d.dir .. "/token", " \n")
		assert.equal(403, (post(d, "/undrain")))
		os.remove(d.dir .. "/token")
		assert.equal(403, (post(d, "/undrain")))
		d:stop()
	end)

	it("is off without a token file, except on a Unix socket", function ()
		local path = process.temp_dir() .. "/admin"
		local d = start { token = false, config = "admin_http_token_file = nil\n"
			.. ('admin_http_interfaces = { "127.0.0.1", %q }'):format(path), allow = { "refused" } }
		local code, body = post(d, "/drain")
		assert.equal(403, code)
		assert.matches("admin_http_token_file is not set", body)
		assert.equal(tonumber("600", 8), stat.stat(path).st_mode & 511)
		local c = d:connect(path)
		assert.same({ 200, "draining\n" }, two(admin_http.send(c, "POST /drain")))
		assert.same({ 200, "serving\n" }, two(admin_http.send(c, "POST /undrain")))
		c:close()
		d:stop()
	end)

	it("takes no request that a web page may have made", function ()
		local d = start { allow = { "refused" } }
		for _, host in ipairs { "evil.example", "evil.example:5290", "localhost.evil.example",
			"127.0.0.1.evil.example", "evil.example#localhost", "localhost@evil.example", "" } do
			local code = post(d, "/drain", { Host = host })
			assert.is_true(code == 403 or code == 400, host .. ": " .. tostring(code))
		end
		assert.equal(400, (post(d, "/drain", { Host = false })))
		assert.equal(403, (post(d, "/drain", { Origin = "http://localhost" })))
		assert.equal(403, (post(d, "/drain", { Origin = "null" })))
		assert.equal("serving\n", (select(2, ask(d, "GET /readyz"))))
		for _, host in ipairs { "localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:5290" } do
			assert.equal(200, (post(d, "/undrain", { Host = host })), host)
		end
		d:stop()
	end)

	it("answers 405 with what is allowed, and 404", function ()
		local d = start()
		local code, _, headers = ask(d, "GET /drain")
		assert.same({ 405, "OPTIONS, POST" }, { code, headers.allow })
		code, _, headers = ask(d, "DELETE /readyz")
		assert.same({ 405, "GET, HEAD, OPTIONS" }, { code, headers.allow })
		code, _, headers = ask(d, "OPTIONS /readyz")
		assert.same({ 204, "GET, HEAD, OPTIONS" }, { code, headers.allow })
		assert.equal(404, (ask(d, "GET /nothing")))
		assert.equal(404, (post(d, "/nothing")))
		local _, body = ask(d, "GET /")
		assert.matches("\nPOST  /drain\n", body)
		d:stop()
	end)

	it("outlives hostile requests", function ()
		local d = start { allow = { "refused" } }
		local long = ("x"):rep(60000)
		for _, text in ipairs {
			"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /%00readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /readyz%2f.. HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
				.. "Content-Length: 3\r\n\r\n0\r\n\r\n",
			"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
			"GET /" .. long .. " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX: " .. long .. "\r\n\r\n",
			"GET /readyz?service=" .. ("%ff"):rep(100) .. " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"\0\1\2\3\r\n\r\n", "DRAIN / HTTP/9.9\r\n\r\n",
		} do
			local c = assert(client.tcp("127.0.0.1", d.admin))
			c:send(text)
			local line = c:line(10)
			assert.is_true(line == nil or line:find("^HTTP/1%.1 [45]%d%d ") ~= nil,
				("%s: %s"):format(text:sub(1, 60), tostring(line)))
			c:close()
		end
		assert.same({ 200, "serving\n" }, two(ask(d, "GET /readyz")))
		d:stop()
	end)

	it("lets modules add paths, once each, and takes them away with the module", function ()
		local d = start { enable = { "duck", "drake" }, modules = {
			duck = [[
				module:depends("admin_http")
				module:provides("admin-http", { route = {
					["GET /ducks"] = function (event) return "ducks of " .. event.query.pond .. "\n" end,
					["POST /feed"] = function () return "fed\n" end,
					["nonsense"] = 5,
				} })
			]],
			drake = [[
				module:set_global()
				module:depends("admin_http")
				module:provides("admin-http", { route = { ["GET /readyz"] = function () return "mine" end } })
			]] }, allow = { "is no route", "is taken by", "refused" } }
		assert.same({ 200, "ducks of north pond\n" }, two(ask(d, "GET /ducks?pond=north+pond")))
		assert.same({ 401, 200 }, { (ask(d, "POST /feed")), (post(d, "/feed")) })
		assert.same({ 200, "serving\n" }, two(ask(d, "GET /readyz")))
		d:wait_log "'GET /readyz' is taken by mod_health"
		d:run("shell", "module", "unload", "duck")
		assert.equal(404, (ask(d, "GET /ducks")))
		d:stop()
	end)
end)

describe("admin_http", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("answers when max_connections is reached", function ()
		local d = start { config = "max_connections = 10", allow = { "max_connections reached" } }
		local held = {}
		for i = 1, 10 do
			held[i] = d:connect "echo"
			held[i]:send "x\n"
			assert.equal("x", held[i]:line())
		end
		local late = d:connect "echo"
		assert.is_true(late:closed())
		for _ = 1, 20 do
			assert.equal(200, (ask(d, "GET /readyz")))
		end
		assert.equal(200, (post(d, "/drain")))
		assert.is_true(d:status().limits[1].hits >= 1)
		d:stop()
	end)

	it("makes room for a newcomer by closing who has been silent for longest", function ()
		local d = start()
		local held = {}
		for i = 1, 70 do
			held[i] = assert(client.tcp("127.0.0.1", d.admin))
			assert.equal(200, (admin_http.send(held[i], "GET /livez")))
		end
		assert.is_true(held[1]:closed())
		assert.equal(200, (admin_http.send(held[70], "GET /livez")))
		assert.equal(200, (ask(d, "GET /readyz")))
		d:stop()
	end)

	it("comes back with its routes when it is loaded anew", function ()
		local d = start()
		local c = assert(client.tcp("127.0.0.1", d.admin))
		assert.equal(200, (admin_http.send(c, "GET /readyz")))
		assert.equal(0, (d:run("reload", "admin_http")))
		assert.equal(200, (ask(d, "GET /readyz")))
		assert.equal(200, (admin_http.send(c, "GET /readyz")))
		assert.equal(0, (d:run("reload", "health")))
		wait(function () return ask(d, "GET /readyz") == 200 end, 5, "the routes")
		assert.equal(200, (ask(d, "GET /metrics")))
		d:stop()
	end)
end)
