-- mod_sessions_redis: what becomes of hosts when their Redis fails.
local daemon <const> = require "spec.support.daemon"
local redis <const> = require "spec.support.redis"
local registry <const> = require "spec.support.registry"
local wait <const> = require "spec.support.wait"

local ask <const>, finds <const> = registry.ask, registry.finds
local heard <const>, host <const> = registry.heard, registry.host

describe("a host whose Redis", function ()
	if not redis.available() then
		pending("needs redis-server")
		return
	end
	after_each(registry.finish_all)

	it("is killed and started again serves on, and registers everything anew", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path)
		local id_a <const>, id_b <const> = a:status().server_id, b:status().server_id
		heard(a, "peer%-joined")
		heard(b, "peer%-joined")
		ask(a, "reg fill 1 500")
		r:kill()
		heard(a, "store%-down")
		heard(b, "store%-down")
		assert.is_true(registry.echoes(a))
		local peers <const>, whole <const> = registry.peers(a)
		assert.equal("down", whole.store)
		assert.is_truthy(whole.error)
		assert.equal("serving", peers[id_b].state)
		assert.equal(5, (a:run("status")))
		ask(a, "reg set while down")
		ask(a, "reg remove id1")
		assert.matches("^none ", ask(b, "reg find while"))
		r:run()
		finds(b, "while", id_a .. " down")
		finds(b, "id500", id_a .. " text 500")
		finds(b, "id1", "none nil")
		for _, d in ipairs { a, b } do
			assert.same({}, d:log_lines("heard peer%-left"))
			assert.equal(1, #d:log_lines("heard store%-down"))
		end
		assert.equal(0, (a:run("status")))
		a:stop()
	end)

	it("is away neither finishes early nor stops late for it: a store error is not idle", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path)
		heard(a, "store%-up")
		local c <close> = a:connect("echo")
		assert(c:send("x\n"))
		assert.equal("x", c:line())
		r:kill()
		heard(a, "store%-down")
		assert.equal(0, (a:run("finish", "--no-wait")))
		assert.equal("finishing", a:status().state)
		wait.sleep(0.5) -- that nothing happens is the subject
		assert.equal("finishing", a:status().state)
		assert.equal(1, a:status().in_flight.total)
		c:close()
		assert.equal(0, a:wait_exit())
		a:wait_log("the store was not told")
	end)

	it("is stopped by SIGSTOP times out, serves on, and is back with SIGCONT", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path)
		heard(a, "store%-up")
		r:signal("STOP")
		heard(a, "store%-down timeout")
		assert.is_true(registry.echoes(a))
		assert.equal("true", ask(a, "reg set one first"))
		r:signal("CONT")
		wait.until_true(function () return #a:log_lines("heard store%-up") == 2 end, 20, "the store")
		finds(a, "one", a:status().server_id .. " first")
	end)

	it("loses its data or its scripts is told everything again", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path)
		local id <const> = a:status().server_id
		ask(a, "reg fill 1 300")
		finds(b, "id300", id .. " text 300")
		assert.equal("OK", r:command("SCRIPT", "FLUSH"))
		ask(a, "reg set one first")
		finds(b, "one", id .. " first")
		assert.equal("OK", r:command("FLUSHALL"))
		finds(b, "id300", id .. " text 300")
		finds(b, "one", id .. " first")
		assert.equal(1, r:command("DEL", "gadwall:entries:" .. id .. ":reg"))
		finds(b, "id7", id .. " text 7")
	end)

	it("wants a password gets it from a file; a wrong one is named and harms nothing", function ()
		local r <const> = redis.start("--requirepass", "open sesame")
		local process <const> = require "spec.support.process"
		local file <const> = r.dir .. "/password"
		process.write_file(file, "open sesame\n")
		local with <const> = ("redis = { path = %q, password_file = %q }"):format(r.path, file)
		local a <const> = host(r.path, with)
		heard(a, "store%-up")
		a:wait_log "redis%.password_file .*/password: others may use it %(mode 644; chmod o= it%)"
		process.write_file(file, "guess\n")
		require "posix.sys.stat".chmod(file, 384) -- 0600
		local b <const> = host(r.path, with)
		heard(b, "store%-down WRONGPASS")
		assert.is_true(registry.echoes(b))
		assert.equal(5, (b:run("status")))
		b:wait_log("the store does not answer: WRONGPASS")
		assert.is_nil(b:log():find("others may use it", 1, true))
	end)

	it("is never there starts, serves and stops as if there were none", function ()
		local a <const> = host("/tmp/no such redis")
		heard(a, "store%-down")
		assert.is_true(registry.echoes(a))
		assert.equal("true", ask(a, "reg set one first"))
		assert.equal(a:status().server_id .. " first", ask(a, "reg find one"))
		assert.matches("^none ", ask(a, "reg find two"))
		assert.same({}, (registry.peers(a)))
	end)

	it("has read-only replicas or no memory is a store that is down", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path, "session_lease = 3")
		heard(a, "store%-up")
		assert.equal("OK", r:command("CONFIG", "SET", "maxmemory", "1"))
		heard(a, "store%-down OOM")
		assert.is_true(registry.echoes(a))
		assert.equal("OK", r:command("CONFIG", "SET", "maxmemory", "0"))
		wait.until_true(function () return #a:log_lines("heard store%-up") == 2 end, 20, "the store")
	end)
end)

describe("a host whose Redis is no Redis but", function ()
	after_each(registry.finish_all)

	-- Plays the server on a Unix socket: answers every command with what `answer` (Lua) says.
	local evil <const> = [[
		local n = 0
		local answers <const> = { %s }
		module:provides("net", { name = "evil", listener = { onincoming = function (conn, data)
			for _ in data:gmatch("%%*%%d+\r\n") do
				n = n + 1
				local answer <const> = data:find("PING") and n < 5 and "+PONG\r\n"
					or answers[n %% #answers + 1]
				if answer then conn:write(answer) end
			end
		end } })
	]]

	local function against(answers)
		local e = daemon.start { modules = { evil = evil:format(answers) }, config = [[
			modules_enabled = { "evil", "admin_socket", "admin_shell" }; evil_ports = { 0 }
			evil_interface = "127.0.0.1" ]] }
		return registry.host("", ([[ redis = { host = "127.0.0.1", port = %d } ]]):format(e:port("evil")))
	end

	local cases <const> = {
		["silence"] = "false",
		["garbage"] = [["HTTP/1.1 200 OK\r\n\r\n", ("\0"):rep(5000), "*-7\r\n"]],
		["lists of the wrong shape"] = [["*3\r\n:1\r\n*1\r\n*0\r\n*2\r\n:1\r\n*1\r\n+x\r\n", "*0\r\n",
			"+PONG\r\n", ":7\r\n", "*3\r\n:0\r\n*0\r\n*0\r\n", "*3\r\n$-1\r\n*-1\r\n*0\r\n",
			"*3\r\n:1\r\n*2\r\n*3\r\n:5\r\n*0\r\n$-1\r\n" .. "*5\r\n$1\r\nm\r\n$9\r\nserver_id\r\n"
				.. "*0\r\n$5\r\nstate\r\n:1\r\n*0\r\n"]],
		["endless claims"] = [["$999999999\r\n", "*999999999\r\n"]],
	}
	for what, answers in pairs(cases) do
		it(what .. " serves on, with a loop that waits for nobody", function ()
			local a <const> = against(answers)
			assert.equal("true", ask(a, "reg set one first"))
			local deadline <const> = wait.now() + 2.5
			while wait.now() < deadline do
				assert.is_true(registry.echoes(a))
				assert.equal(a:status().server_id .. " first", ask(a, "reg find one"))
			end
			assert.equal("0", a:state().restarts)
			assert.same({}, a:log_lines("adopted"))
			assert.same({}, a:log_lines("rror in"))
			assert.same({}, a:log_lines("A callback took"))
			assert.equal(0, (a:run("stop")))
		end)
	end
end)
