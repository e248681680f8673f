-- mod_sessions_redis: hosts that share a real Redis.
local process <const> = require "spec.support.process"
local redis <const> = require "spec.support.redis"
local registry <const> = require "spec.support.registry"
local wait <const> = require "spec.support.wait"

local ask <const>, finds <const> = registry.ask, registry.finds
local heard <const>, host <const> = registry.heard, registry.host

describe("mod_sessions_redis", function ()
	if not redis.available() then
		pending("needs redis-server")
		return
	end
	after_each(registry.finish_all)

	it("shows each server its peers, with what they are and how many sessions they have", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path, nil, { "--passive" })
		local id_a <const>, id_b <const> = a:status().server_id, b:status().server_id
		heard(a, "peer%-joined " .. id_b:gsub("%-", "%%-") .. " passive")
		heard(b, "peer%-joined " .. id_a:gsub("%-", "%%-") .. " serving")
		local _ <close> = a:connect("echo")
		wait.until_true(function () return (registry.peers(b)[id_a] or {}).sessions == 1 end, 20,
			"the session in the list")
		local peers <const>, whole <const> = registry.peers(a)
		assert.equal("up", whole.store)
		assert.is_nil(peers[id_a])
		assert.equal(b:worker_pid(), peers[id_b].pid)
		assert.equal(0, b:status().in_flight.total)
	end)

	it("finds the entries of peers, changed and removed ones too", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path)
		local id <const> = a:status().server_id
		assert.equal("true", ask(a, "reg set one first"))
		finds(b, "one", id .. " first")
		assert.equal("true", ask(a, "reg set one second"))
		finds(b, "one", id .. " second")
		assert.equal("true", ask(a, "reg remove one"))
		finds(b, "one", "none nil")
		assert.equal("0", ask(b, "reg count"))
	end)

	it("lets a host that was killed expire, with its entries", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path, "session_lease = 2")
		local b <const> = host(r.path, "session_lease = 2")
		local id <const> = a:status().server_id
		ask(a, "reg set one first")
		finds(b, "one", id .. " first")
		-- Stopped first: a worker that has lost its keeper finishes, and would say so.
		process.kill(a:worker_pid(), "STOP")
		a:destroy()
		heard(b, "peer%-left " .. id:gsub("%-", "%%-") .. " lost")
		finds(b, "one", "none nil")
		wait.until_true(function () return #r:command("KEYS", "*" .. id .. "*") == 0 end, 20, "no trace")
	end)

	it("tells the peers that a host has stopped, and leaves nothing of it", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path)
		local id <const> = a:status().server_id
		ask(a, "reg set one first")
		finds(b, "one", id .. " first")
		a:stop()
		heard(b, "peer%-left " .. id:gsub("%-", "%%-") .. " stopped")
		assert.same({}, b:log_lines("adopted"))
		assert.same({}, r:command("KEYS", "*entries:" .. id .. "*"))
		assert.same({}, r:command("KEYS", "*left*"))
	end)

	it("hands what a finished host leaves to one of two successors, all and once", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path)
		local b <const>, c <const> = host(r.path), host(r.path)
		ask(a, "reg fill 1 1500")
		finds(b, "id1500", a:status().server_id .. " text 1500")
		assert.equal(0, (a:run("finish")))
		local heir, other
		wait.until_true(function ()
			heir, other = b, c
			if ask(b, "reg count") == "0" then heir, other = c, b end
			return ask(heir, "reg count") == "1500"
		end, 30, "the adoption")
		assert.equal("0", ask(other, "reg count"))
		assert.equal(1500, #heir:log_lines("adopted id"))
		finds(other, "id77", heir:status().server_id .. " text 77")
		wait.until_true(function () return #r:command("KEYS", "*left*") == 0 end, 20, "nothing left")
		assert.same({}, r:command("KEYS", "*claim*"))
	end)

	it("lets nobody adopt while they are passive or draining", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path, nil, { "--passive" })
		local id <const> = a:status().server_id
		ask(a, "reg set one first")
		finds(b, "one", id .. " first")
		assert.equal(0, (a:run("finish")))
		heard(b, "peer%-left " .. id:gsub("%-", "%%-") .. " finished")
		assert.equal("0", ask(b, "reg count"))
		assert.equal(0, (b:run("activate")))
		b:wait_log("adopted one first from " .. id:gsub("%-", "%%-"), 20)
		finds(b, "one", b:status().server_id .. " first")
	end)

	it("has 10,000 entries, rewrites them for an hour's worth, and stays flat", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path)
		heard(a, "store%-up")
		local key <const> = "gadwall:entries:" .. a:status().server_id .. ":reg"
		local function filled()
			ask(a, "reg fill 1 10000")
			wait.until_true(function () return r:command("HLEN", key) == 10000 end, 30, "10,000 entries")
		end
		local function lua_bytes()
			ask(a, "> collectgarbage() collectgarbage()")
			return a:status().generations[1].workers[1].lua_bytes
		end
		filled()
		local before <const> = lua_bytes()
		for _ = 1, 10 do filled() end
		-- What waits to be written is less and less.
		wait.until_true(function () return lua_bytes() < before * 1.15 + 200000 end, 30,
			"memory as before")
		assert.equal('{"text":"text 10000"}', r:command("HGET", key, "id10000"))
	end)

	it("tells of a peer with several workers once, and sums their sessions", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = host(r.path), host(r.path, "workers = 3")
		local id <const>, count = b:status().server_id, 0
		heard(a, "peer%-joined " .. id:gsub("%-", "%%-") .. " serving")
		wait.until_true(function () return #r:command("ZRANGE", "gadwall:servers", "0", "-1") == 4 end,
			20, "all workers")
		local connections <close> = setmetatable({}, { __close = function (list)
			for _, c in ipairs(list) do c:close() end
		end })
		for i = 1, 9 do
			connections[i] = b:connect("echo")
		end
		wait.until_true(function ()
			local peers <const>, whole <const> = registry.peers(a)
			count = #whole.servers
			return (peers[id] or {}).sessions == 9
		end, 20, "the sessions of all workers")
		assert.equal(1, count)
		-- A worker that dies is no peer that leaves.
		process.kill(b:status().generations[1].workers[2].pid, "KILL")
		b:wait_log("worker g1%.2 ended", 20)
		for _, c in ipairs(connections) do c:close() end
		b:stop()
		heard(a, "peer%-left " .. id:gsub("%-", "%%-") .. " stopped")
		assert.equal(1, #a:log_lines("heard peer%-joined"))
		assert.equal(1, #a:log_lines("heard peer%-left"))
	end)

	it("keeps a fixed server_id of two hosts apart", function ()
		local r <const> = redis.start()
		local a <const> = host(r.path, 'server_id = "twin"')
		local b <const> = host(r.path, 'server_id = "single"')
		heard(b, "peer%-joined twin serving")
		assert.equal("twin", a:status().server_id)
		ask(a, "reg set one first")
		finds(b, "one", "twin first")
	end)
end)
