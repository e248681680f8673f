-- The agent-check, asked by a real HAProxy, which sends clients where the agent says.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local haproxy <const> = require "spec.support.haproxy"
local wait <const> = require "spec.support.wait"

local function new_host()
	return admin_http.start { exit = false, enable = { "who" }, config = [[
		agent_check_ports = { 0 }; agent_check_interfaces = { "127.0.0.1" }
		who_ports = { 0 }; who_interfaces = { "127.0.0.1" }; lameduck_period = 3
	]], modules = { who = [[
		module:provides("net", { name = "who", default_port = 0, default_mode = "*l", listener = {
			default_mode = "*l",
			onincoming = function (conn) conn:write(require "posix.unistd".getpid() .. "\n") end,
		} })
	]] } }
end

describe("HAProxy with agent-check", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
		haproxy.finish_all()
	end)

	it("drains, brings back and takes down a host as the host says", function ()
		if not haproxy.available() then return pending "needs haproxy" end
		local a <const>, b <const> = new_host(), new_host()
		local front <const> = client.free_port()
		local proxy <const> = haproxy.start([[
listen who
	bind 127.0.0.1:%d
	balance roundrobin
	server a 127.0.0.1:%d check inter 200ms agent-check agent-inter 100ms agent-port %d
	server b 127.0.0.1:%d check inter 200ms agent-check agent-inter 100ms agent-port %d
]], { front, a:port "who", a:port "agent_check", b:port "who", b:port "agent_check" })
		local function becomes(server, pattern)
			wait.until_true(function ()
				return (proxy:server("who", server) or ""):find(pattern)
			end, 20, server .. " to be " .. pattern)
		end
		local function ask(c)
			c:send "who\n"
			return math.tointeger(tonumber(assert(c:line())))
		end
		-- Who answers 20 new clients: set of pids.
		local function answers()
			local seen <const> = {}
			for _ = 1, 20 do
				local c <const> = assert(client.tcp("127.0.0.1", front, 10))
				seen[ask(c)] = true
				c:close()
			end
			return seen
		end
		local in_a <const>, in_b <const> = a:worker_pid(), b:worker_pid()
		becomes("a", "^UP")
		becomes("b", "^UP")
		assert.same({ [in_a] = true, [in_b] = true }, answers())

		local held
		repeat
			if held then held:close() end
			held = assert(client.tcp("127.0.0.1", front, 10))
		until ask(held) == in_a
		assert.equal(0, (a:run "drain"))
		becomes("a", "^DRAIN")
		assert.same({ [in_b] = true }, answers())
		assert.equal(in_a, ask(held)) -- who is there stays

		assert.equal(0, (a:run "undrain"))
		becomes("a", "^UP")
		assert.same({ [in_a] = true, [in_b] = true }, answers())

		a:signal "TERM"
		becomes("a", "^DOWN") -- still in lame-duck: the agent says so before a listener closes
		assert.equal(in_a, ask(held))
		assert.same({ [in_b] = true }, answers())
		assert.is_number(a:wait_exit(30))
	end)
end)
