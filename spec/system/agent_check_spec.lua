-- HAProxy's agent-check: one line on a port of class admin, in the words that HAProxy knows.

local admin_http <const> = require "spec.support.admin_http"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local start <const> = admin_http.start

local config <const> = [[
	agent_check_ports = { 0 }; agent_check_interfaces = { "127.0.0.1" }
]]

-- What the agent answers; `before`: what HAProxy sends first (agent-send).
local function agent(d, before)
	local c = d:connect "agent_check"
	if before then c:send(before) end
	local line = c:line()
	assert.is_true(c:closed(), "it stays open")
	c:close()
	return line
end

describe("the agent-check", function ()
	after_each(function ()
		client.close_all()
		daemon.finish_all()
	end)

	it("says ready, drain, ready and down, and counts as a probe", function ()
		local d = start { enable = { "keeper_of_time" }, exit = false, config = config,
			modules = { keeper_of_time = [[
				module:hook_global("server-stopping", function (event) event:hold("a while", 1.5) end)
			]] } }
		assert.is_nil(d:status().probes)
		assert.equal("ready up 100%", agent(d))
		assert.equal("ready up 100%", agent(d, "web1\n"))
		assert.is_truthy(d:status().probes)
		d:run "drain"
		assert.equal("drain", agent(d))
		d:run "undrain"
		assert.equal("ready up 100%", agent(d))
		d:signal "TERM"
		d:wait_log("serving %-> stopping", 10)
		assert.equal("down #stopping", agent(d))
		d:wait_exit(20)
	end)

	it("names the check that takes readiness away", function ()
		local d = start { enable = { "checker" }, config = config, allow = { "check" }, modules = {
			checker = [[module:add_item("health-check", { name = "db 1\n", interval = 0.1,
				check = function () return nil, "gone" end })]] } }
		assert.equal("down #check db_1_", agent(d))
		d:stop()
	end)

	it("is not there without agent_check_ports", function ()
		local d = start()
		assert.equal(0, #d:log_lines "agent_check")
		d:stop()
	end)
end)
