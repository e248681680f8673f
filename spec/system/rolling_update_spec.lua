-- Two hosts on one machine take turns, from two configs and one Redis, with clients connected.
local redis <const> = require "spec.support.redis"
local registry <const> = require "spec.support.registry"
local wait <const> = require "spec.support.wait"

-- A client of the echo service, which says something and hears it.
local function guest(d)
	local c <const> = d:connect("echo", 10)
	assert(c:send("hello\n"))
	assert.equal("hello", c:line())
	return c
end

local function still_served(c)
	assert(c:send("still\n"))
	assert.equal("still", c:line())
end

local function story_becomes(d, want)
	wait.until_true(function () return registry.story(d) == want end, 10, "the story " .. want)
end

describe("a rolling update of two hosts", function ()
	if not redis.available() then
		pending("needs redis-server")
		return
	end
	after_each(registry.finish_all)

	it("moves from A to B: B passive, A drains, B activates, A ends with its last session", function ()
		local r <const> = redis.start()
		local a <const> = registry.host(r.path)
		story_becomes(a, "+")
		local of_a <const> = guest(a)
		registry.ask(a, "reg set parcel forwarded")

		local b <const> = registry.host(r.path, nil, { "--passive" })
		assert.is_true(b:status().ready)
		local id_a <const>, id_b <const> = a:status().server_id, b:status().server_id
		registry.sees(a, id_b, "passive")
		assert.equal("", registry.story(b))

		assert.equal(0, (a:run("drain")))
		registry.sees(b, id_a, "draining")
		assert.equal("+-", registry.story(a))
		local of_b <const> = guest(b)
		assert.equal(0, (b:run("activate")))
		story_becomes(b, "+")
		assert.same({}, b:log_lines("still serves"))

		assert.equal(0, (a:run("finish", "--no-wait")))
		registry.sees(b, id_a, "finishing")
		still_served(of_a)
		still_served(of_b)
		assert.equal("finishing", a:status().state)
		assert.equal(1, a:status().in_flight.total)
		of_a:close()
		assert.equal(0, a:wait_exit())
		assert.matches('"result":"clean","exit":0,.-"verb":"finish","evict":false',
			a:wait_log("shutdown report"))
		b:wait_log("adopted parcel forwarded from", 20)
		registry.sees(b, id_a, nil)
		still_served(of_b)
		assert.equal("+-", registry.story(a))
	end)

	it("goes back: A is undrained, and B ends without touching what A has", function ()
		local r <const> = redis.start()
		local a <const> = registry.host(r.path)
		local of_a <const> = guest(a)
		registry.ask(a, "reg set parcel mine")
		local b <const> = registry.host(r.path, nil, { "--passive" })
		local id_a <const>, id_b <const> = a:status().server_id, b:status().server_id
		assert.equal(0, (a:run("finish", "--no-wait")))
		registry.sees(b, id_a, "finishing")
		assert.equal(0, (a:run("undrain")))
		story_becomes(a, "+-+")
		registry.sees(b, id_a, "serving")

		local of_b <const> = guest(b)
		registry.ask(b, "reg set other theirs")
		registry.finds(a, "other", id_b .. " theirs")
		assert.equal(0, (b:run("stop")))
		assert.equal(0, b:wait_exit())
		of_b:close()
		registry.sees(a, id_b, nil)
		assert.equal("", registry.story(b))
		assert.same({ "mine" }, { r:command("HGET", "gadwall:entries:" .. id_a .. ":reg", "parcel")
			:match('"text":"(%l+)"') })
		assert.same({}, r:command("KEYS", "*entries:" .. id_b .. "*"))
		registry.finds(a, "other", "none nil")
		still_served(of_a)
		assert.equal("serving", a:status().state)
	end)

	it("goes back after B was activated: B finishes, and A has what B leaves", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = registry.host(r.path),
			registry.host(r.path, nil, { "--passive" })
		local id_b <const> = b:status().server_id
		assert.equal(0, (a:run("drain")))
		registry.sees(b, a:status().server_id, "draining")
		assert.equal(0, (b:run("activate")))
		registry.ask(b, "reg set parcel returned")
		registry.finds(a, "parcel", id_b .. " returned")
		assert.equal(0, (b:run("finish")))
		assert.equal(0, b:wait_exit())
		assert.equal(0, (a:run("undrain")))
		story_becomes(a, "+-+")
		a:wait_log("adopted parcel returned from", 20)
	end)

	it("is what an upgrade does too: the next generation has the entries of the last", function ()
		local r <const> = redis.start()
		local a <const> = registry.host(r.path, "upgrade_probation = 0.2")
		local before <const> = a:status().server_id
		registry.ask(a, "reg set parcel kept")
		wait.until_true(function () return r:command("HLEN", "gadwall:entries:" .. before .. ":reg") == 1
		end, 20, "the entry in Redis")
		assert.equal(0, (a:run("upgrade")))
		a:wait_log("adopted parcel kept from " .. before:gsub("%-", "%%-"), 20)
		assert.not_equal(before, a:status().server_id)
		registry.finds(a, "parcel", a:status().server_id .. " kept")
		assert.same({}, a:log_lines("still serves"))
		a:rebase_fds()
	end)

	it("warns who is activated beside a host that serves", function ()
		local r <const> = redis.start()
		local a <const>, b <const> = registry.host(r.path),
			registry.host(r.path, nil, { "--passive" })
		registry.sees(b, a:status().server_id, "serving")
		assert.equal(0, (b:run("activate")))
		b:wait_log("activated while .- still serves: drain or finish that one")
	end)
end)
