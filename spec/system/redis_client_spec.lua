-- net.redis against a real server, and against servers that lie, hang, flood and vanish.
local host_loop <const> = require "host.loop"
local net_redis <const> = require "net.redis"
local process <const> = require "spec.support.process"
local redis <const> = require "spec.support.redis"
local server <const> = require "net.server"
local tls <const> = require "spec.support.tls"
local turns <const> = require "spec.support.turns"

local clients = {}

-- A client that notes what it hears: `ups`, `downs` (reasons).
local function client_of(options)
	local heard <const> = { ups = 0, downs = {} }
	options.on_up = function () heard.ups = heard.ups + 1 end
	options.on_down = function (_, why) heard.downs[#heard.downs + 1] = why end
	options.backoff = options.backoff or { 0.02, 0.1 }
	local client <const> = net_redis.new(options)
	clients[#clients + 1] = client
	client:start()
	return client, heard
end

local function connected(options)
	local client <const>, heard <const> = client_of(options)
	turns.run_until(function () return client.up end, 10, "a connection to Redis")
	return client, heard
end

-- The answer of one command: reply, why.
local function ask(client, ...)
	local answer
	client:call({ ... }, function (reply, why) answer = { reply, why } end)
	turns.run_until(function () return answer end, 10, "an answer")
	return answer[1], answer[2]
end

local function finish()
	for _, client in ipairs(clients) do client:stop() end
	clients = {}
	turns.close_all()
	redis.finish_all()
end

describe("net.redis with a real server", function ()
	if not redis.available() then
		pending("needs redis-server")
		return
	end
	after_each(finish)

	it("asks and answers, in order, many at a time", function ()
		local client <const> = connected { path = redis.start().path }
		assert.equal("OK", ask(client, "SET", "a\r\nb", "x\0y"))
		assert.equal("x\0y", ask(client, "GET", "a\r\nb"))
		assert.equal(false, ask(client, "GET", "nothing"))
		local sum, count = {}, 0
		for _ = 1, 1000 do
			client:call({ "INCR", "n" }, function (n) count = count + 1; sum[count] = n end)
		end
		assert.equal(0, count)
		turns.run_until(function () return count == 1000 end, 10, "1000 answers")
		for i = 1, 1000 do assert.equal(i, sum[i]) end
		assert.same({ "OK", 1, false, { "deep", { 2 } } }, (ask(client, "EVAL",
			"return { redis.status_reply('OK'), 1, false, { 'deep', { 2 } } }", 0)))
		assert.equal(0, client:unanswered())
	end)

	it("gives an error of the server to its command only", function ()
		local client <const>, heard <const> = connected { path = redis.start().path }
		local reply, why = ask(client, "LLEN")
		assert.is_nil(reply)
		assert.matches("^ERR wrong number", why)
		assert.equal("PONG", ask(client, "PING"))
		assert.same({ "OK", { err = "ERR x" } }, (ask(client, "EVAL", "return "
			.. "{ redis.status_reply('OK'), redis.error_reply('ERR x') }", 0)))
		assert.same({}, heard.downs)
	end)

	it("authenticates by name and password, and selects its database", function ()
		local r <const> = redis.start("--requirepass", "secret")
		local client <const> = connected { path = r.path, password = "secret", database = 3 }
		assert.equal("OK", ask(client, "SET", "in", "three"))
		assert.equal("OK", ask(client, "ACL", "SETUSER", "duck", "on", ">pond", "+@all", "~*"))
		assert.equal("three", ask(connected { path = r.path, username = "duck", password = "pond",
			database = 3 }, "GET", "in"))
		assert.equal(false, ask(connected { path = r.path, password = "secret" }, "GET", "in"))
	end)

	it("speaks TLS to who has the right certificate, and to nobody else", function ()
		local dir <const> = process.temp_dir()
		tls.make(dir, "redis.test")
		tls.make(dir, "other.test")
		local port <const> = require "spec.support.client".free_port()
		redis.start("--tls-port", tostring(port), "--tls-cert-file", dir .. "/redis.test.crt",
			"--tls-key-file", dir .. "/redis.test.key", "--tls-ca-cert-file", dir .. "/redis.test.crt",
			"--tls-auth-clients", "no")
		local function options(ca, name)
			return { host = "127.0.0.1", port = port, verify = name, sslctx = tls.context("client",
				{ verify = "peer", cafile = dir .. "/" .. ca .. ".crt" }) }
		end
		assert.equal("PONG", ask(connected(options("redis.test", "redis.test")), "PING"))
		local _, wrong_name <const> = client_of(options("redis.test", "other.test"))
		local _, wrong_ca <const> = client_of(options("other.test", "redis.test"))
		turns.run_until(function () return #wrong_name.downs > 0 and #wrong_ca.downs > 0 end, 10,
			"the refusals")
		assert.equal("certificate-verify-failed", wrong_name.downs[1])
		assert.matches("certificate", wrong_ca.downs[1])
		process.remove_tree(dir)
	end)

	it("says why it is not let in, once, and goes on trying", function ()
		local r <const> = redis.start("--requirepass", "secret")
		local wrong <const>, heard <const> = client_of { path = r.path, password = "guess" }
		local none <const>, silent <const> = client_of { path = r.path }
		turns.run_until(function () return wrong.failures > 2 and none.failures > 2 end, 10, "tries")
		assert.equal(1, #heard.downs)
		assert.matches("^WRONGPASS", heard.downs[1])
		assert.matches("^NOAUTH", silent.downs[1])
		assert.same({ nil, "not-connected" }, { ask(wrong, "PING") })
	end)

	it("runs a script that the server has forgotten", function ()
		local client <const> = connected { path = redis.start().path }
		local script <const> = net_redis.script "return { KEYS[1], ARGV[1], ARGV[2] }"
		for _ = 1, 2 do
			local got
			client:eval(script, { "k" }, { "a", 7 }, function (reply) got = reply end)
			turns.run_until(function () return got end)
			assert.same({ "k", "a", "7" }, got)
			assert.equal("OK", ask(client, "SCRIPT", "FLUSH"))
		end
	end)

	it("comes back when the server is killed and started again", function ()
		local r <const> = redis.start()
		local client <const>, heard <const> = connected { path = r.path }
		local why
		r:signal("STOP")
		client:call({ "PING" }, function (_, reason) why = reason end)
		r:kill()
		turns.run_until(function () return why end, 10, "the failure")
		turns.run_until(function () return client.failures > 2 end, 10, "tries")
		r:run()
		turns.run_until(function () return client.up end, 10, "a new connection")
		assert.equal(2, heard.ups)
		assert.equal(1, #heard.downs)
	end)

	it("notices a server that has stopped answering although nobody asks", function ()
		local r <const> = redis.start()
		local client <const>, heard <const> = connected { path = r.path, timeout = 0.2 }
		r:signal("STOP")
		turns.run_until(function () return #heard.downs > 0 end, 10, "the timeout")
		assert.same({ "timeout" }, heard.downs)
		turns.run_until(function () return client.failures > 2 end, 10, "tries that fail")
		r:signal("CONT")
		turns.run_until(function () return client.up end, 10, "a new connection")
	end)

	it("refuses more than it may keep, and keeps what it has", function ()
		local r <const> = redis.start()
		local client <const> = connected { path = r.path, queue_bytes = 100000 }
		local good, refused, inside = 0, 0, true
		for _ = 1, 300 do
			client:call({ "ECHO", ("x"):rep(1000) }, function (_, why)
				assert.is_false(inside)
				good, refused = good + (why and 0 or 1), refused + (why == "overloaded" and 1 or 0)
			end)
		end
		inside = false
		turns.run_until(function () return good + refused == 300 end, 10, "all answers")
		assert.is_true(good >= 95 and good < 110)
	end)

	it("leaves after what it has written when it is stopped", function ()
		local r <const> = redis.start()
		local client <const> = connected { path = r.path }
		local why
		client:call({ "SET", "last", "word" }, function (_, reason) why = reason end)
		client:stop()
		assert.equal("closed", why)
		turns.run_until(function () return r:command("GET", "last") == "word" end, 5, "the write")
	end)
end)

describe("net.redis with a server that", function ()
	local dir, path, mode, accepted

	-- Answers the greeting well, then as the mode says.
	local function serve(conn, data)
		conn.asked = (conn.asked or 0) + select(2, data:gsub("%*%d+\r\n", ""))
		local behave <const> = mode
		if type(behave) == "function" then
			return behave(conn, data)
		elseif not conn.greeted then
			conn.greeted = true
			return conn:write("+PONG\r\n")
		end
		conn:write(behave)
	end

	before_each(function ()
		dir, accepted = process.temp_dir(), 0
		path = dir .. "/evil"
		assert(server.listen(path, nil, { onconnect = function () accepted = accepted + 1 end,
			onincoming = serve, ondisconnect = function () end }, { type = "unix" }))
	end)
	after_each(function ()
		finish()
		process.remove_tree(dir)
	end)

	local hostile <const> = {
		["speaks another language"] = { "HTTP/1.1 400 Bad Request\r\n\r\n", "protocol error" },
		["claims a string of 2^63 bytes"] = { "$9223372036854775807\r\nabc", "timeout" },
		["claims a string of a negative length"] = { "$-7\r\n", "protocol error" },
		["claims a list of 2^31 values"] = { "*2147483647\r\n", "protocol error" },
		["claims a list of 2^64 values"] = { "*18446744073709551616\r\n", "protocol error" },
		["nests a million lists"] = { ("*1\r\n"):rep(1000000), "protocol error" },
		["sends a line without an end"] = { "+" .. ("x"):rep(3000000), "protocol error" },
		["sends a string that is too long"] = { "$3000000\r\n" .. ("x"):rep(3000000),
			"protocol error" },
		["sends a million small values"] = { "*16000\r\n" .. ("*100\r\n" .. (":1\r\n"):rep(100)):rep(
			1000), "protocol error" },
		["answers what nobody asked"] = { "+PONG\r\n+PONG\r\n+PONG\r\n", "an answer to no question" },
		["speaks RESP3"] = { "%1\r\n+a\r\n,1.5\r\n", "protocol error" },
		["sends zeros"] = { ("\0"):rep(100000), "protocol error" },
	}
	for what, case in pairs(hostile) do
		it(what .. " loses its connection, and nothing else happens", function ()
			mode = case[1]
			collectgarbage()
			local before <const> = collectgarbage("count")
			local client <const>, heard <const> = client_of { path = path, timeout = 0.3 }
			turns.run_until(function () return client.up end, 10, "a connection")
			client:call({ "PING" })
			turns.run_until(function () return #heard.downs > 0 end, 10, "the end")
			assert.matches(case[2], heard.downs[1], 1, true)
			turns.run_until(function () return accepted > 1 end, 10, "the next try")
			client:stop()
			collectgarbage()
			assert.is_true(collectgarbage("count") - before < 8000)
		end)
	end

	it("answers with a byte a moment times out, whatever it dribbles", function ()
		local dribbles = 0
		function mode(conn)
			local function drop()
				dribbles = dribbles + 1
				conn:write(dribbles == 1 and "$" or "1")
				return conn:getfd() >= 0 and dribbles < 1000 and 0.02 or nil
			end
			require "util.timer".add_task(0, drop)
		end
		local _, heard <const> = client_of { path = path, timeout = 0.3 }
		turns.run_until(function () return #heard.downs > 0 end, 10, "the end")
		assert.equal("timeout", heard.downs[1])
		assert.is_true(dribbles > 2)
	end)

	it("accepts and stays silent times out and never blocks the loop", function ()
		function mode() end
		local _, heard <const> = client_of { path = path, timeout = 0.3 }
		local longest, last = 0, host_loop.monotonic()
		turns.run_until(function ()
			local now <const> = host_loop.monotonic()
			longest, last = math.max(longest, now - last), now
			return accepted > 2
		end, 20, "three tries")
		assert.equal("timeout", heard.downs[1])
		assert.is_true(longest < 2)
	end)

	it("closes at once is asked again with growing pauses", function ()
		function mode(conn) conn:close() end
		local client <const> = client_of { path = path, backoff = { 0.01, 0.2 } }
		turns.run_until(function () return client.failures >= 8 end, 20, "eight tries")
		local begin <const> = host_loop.monotonic()
		turns.run_until(function () return client.failures >= 11 end, 20, "three more")
		assert.is_true(host_loop.monotonic() - begin > 0.25)
	end)

	it("is not there: the reason is the system's", function ()
		local _, heard <const> = client_of { path = dir .. "/none" }
		turns.run_until(function () return #heard.downs > 0 end)
		assert.matches("no such file", heard.downs[1]:lower())
		local port <const> = require "spec.support.client".free_port()
		local _, closed <const> = client_of { host = "127.0.0.1", port = port }
		turns.run_until(function () return #closed.downs > 0 end)
		assert.matches("refused", closed.downs[1]:lower())
	end)

	it("gets its answers handled although a callback raises", function ()
		function mode(conn, data)
			for _ in data:gmatch("%*%d+\r\n") do conn:write("+PONG\r\n") end
		end
		local client <const> = connected { path = path }
		client:call({ "ONE" }, function () error("a spec's own error") end)
		assert.equal("PONG", ask(client, "PING"))
	end)
end)
