-- An upgrade never closes an idle connection before its time; sessions
-- of other services get their goodbye, and not before the time of the old generation is over.
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local keepalive <const> = 5 -- s

local function get(c)
	c:send "GET /?1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
	local head = ""
	local line
	repeat
		line = c:line()
		head = head .. (line or ""):lower() .. "\n"
	until not line or line == ""
	local length <const> = tonumber(head:match "content%-length: (%d+)")
	return length and c:read(length), head:match "connection: (%a+)"
end

-- Says goodbye in its own words and lets the host close.
local farewell <const> = [[
	module:set_global()
	module:provides("net", { name = "farewell", default_port = 0, default_interface = "127.0.0.1",
		listener = { default_mode = "*l",
			onincoming = function (conn, line) conn:write(line .. "\n") end,
			ongoodbye = function (conn, event) conn:write("bye " .. event.reason .. "\n") end } })
]]

describe("over an upgrade", function ()
	after_each(upgrade.finish)

	it("idle connections are answered when they speak at the last moment", function ()
		local d <const> = upgrade.start {
			config = ("http_keepalive_timeout = %d"):format(keepalive) }
		local list <const> = {}
		for i = 1, 40 do
			local c <const> = d:connect(d.http)
			assert.equal("1 1", (get(c)))
			list[i] = { c = c, since = wait.now() }
		end
		upgrade.up(d)
		local answered, late = 0, 0
		for i, entry in ipairs(list) do
			-- from one second to a tenth before the end
			wait.sleep(math.max(0, entry.since + keepalive - 1 + 0.9 * i / #list - wait.now()))
			local text <const>, said <const> = get(entry.c)
			if wait.now() - entry.since >= keepalive - 0.02 then
				late = late + 1 -- this machine was too slow: it may have ended
			else
				assert.same({ "1 1", "close" }, { text, said })
				assert.is_true(entry.c:closed(5))
				answered = answered + 1
			end
			entry.c:close()
		end
		assert.is_true(answered > 0, late .. " asked too late")
		d:wait_log("generation 1 has ended", 20)
		upgrade.stop(d)
	end)

	it("connections that stay silent end at their own timeout, not before", function ()
		local d <const> = upgrade.start { config = "http_keepalive_timeout = 3" }
		local c <const> = d:connect(d.http)
		local since <const> = wait.now() -- the timeout counts from the answer, which is later
		assert.equal("1 1", (get(c)))
		upgrade.up(d)
		upgrade.up(d)
		assert.is_true(c:closed(20))
		assert.is_true(wait.now() - since >= 3, "closed after " .. wait.now() - since)
		d:wait_log("generation 1 has ended", 20)
		upgrade.stop(d)
	end)

	it("other sessions get their goodbye when the old generation's time is over", function ()
		local d <const> = upgrade.start { modules = { farewell = farewell },
			enable = { "farewell", "graceful_shutdown" }, config = "finish_idle_wait = 2" }
		local c <const> = d:connect(d:port "farewell")
		c:send "one\n"
		assert.equal("one", (c:line()))
		local since <const> = wait.now()
		upgrade.up(d)
		c:send "two\n"
		assert.equal("two", (c:line()))
		assert.matches("^bye ", (c:line()))
		assert.is_true(wait.now() - since >= 2, "told after " .. wait.now() - since)
		assert.is_true(c:closed(20))
		d:wait_log("generation 1 has ended", 20)
		assert.equal(2, (upgrade.generation(d)))
		upgrade.stop(d)
	end)
end)
