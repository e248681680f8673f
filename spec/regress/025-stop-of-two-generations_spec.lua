-- "`stop` while an older generation still finishes says "ended clean after 0.0 s": the host ended
-- seconds later, with status 75."

local json <const> = require "dkjson"
local upgrade <const> = require "spec.support.upgrade"

-- Says nothing that ends: the connection is closed by its client, or by a deadline.
local stays <const> = [[
	module:provides("net", { name = "stays", default_port = 0, listener = {
		onincoming = function () end,
		ongoodbye = function (conn) conn:write("bye\n") return true end,
	} })
]]

-- A host of two generations, the older one with a connection.
local function two_generations(config, count)
	local d <const> = upgrade.start {
		modules = { stays = stays }, enable = { "stays", "graceful_shutdown" },
		allow = { "the phases need", "was held by", "ended expired" },
		config = 'stays_ports = { 0 }; stays_interfaces = { "127.0.0.1" }\n' .. config, exit = false,
	}
	local held <const> = {}
	for i = 1, count do held[i] = d:connect(d:port "stays") end
	upgrade.up(d)
	d:wait_log "generation 1 retires"
	return d, held
end

local function report_of(d)
	local lines <const> = d:log_lines "shutdown report: "
	assert.equal(1, #lines)
	assert.equal(1, #d:log_lines "generation 1's part of the report: ")
	return json.decode(lines[1]:match "report: (.*)$")
end

local function phase_of(report, name)
	for _, phase in ipairs(report.phases) do
		if phase.phase == name then return phase end
	end
end

describe("regress: a stop of two generations", function ()
	after_each(upgrade.finish)

	it("ends with the older one's result, and after it", function ()
		local d <const>, held <const> = two_generations("shutdown_timeout = 2", 2)
		local code <const>, out <const>, err <const> = d:run "stop"
		assert.equal(1, code, out .. err)
		assert.matches("ended expired with status 75 after %d+%.%d s", out .. err)
		assert.equal(75, d:wait_exit())
		for _, c in ipairs(held) do
			assert.equal("bye", c:line())
			c:close()
		end
		local report <const> = report_of(d)
		assert.equal("expired", report.result)
		assert.equal(75, report.exit)
		assert.is_true(report.seconds > 1.5)
		assert.equal("clean", phase_of(report, "other-generations").result)
		assert.equal(2, phase_of(report, "close-clients").closed.goodbye)
		assert.equal("stays", report.holders[1].module)
	end)

	it("is answered for to its end, and clean when the sessions of both have ended", function ()
		local d <const>, held <const> = two_generations("", 1)
		d:signal "TERM"
		d:wait_log "g2%.1.*stopping: other%-generations"
		assert.equal("bye", held[1]:line())
		local status <const> = d:status()
		assert.equal("other-generations", status.phase)
		assert.equal("worker 1.1", status.stop.holders[1].hold)
		held[1]:close()
		assert.equal(0, d:wait_exit())
		assert.equal("clean", report_of(d).result)
	end)

	it("hears of one that is killed", function ()
		local d <const> = two_generations("", 1)
		d:signal "TERM"
		d:wait_log "g2%.1.*stopping: other%-generations"
		require "spec.support.process".kill(upgrade.worker(d, 1), "SYS")
		assert.equal(70, d:wait_exit())
		assert.matches('"result":"failed","exit":70', d:log_lines("shutdown report: ")[1])
	end)

	it("that finishes waits for the older one's sessions", function ()
		local d <const>, held <const> = two_generations("", 1)
		d:signal "USR1"
		d:wait_log "g2%.1.*stopping: other%-generations"
		held[1]:close()
		assert.equal(0, d:wait_exit())
		local report <const> = d:log_lines('shutdown report: .*"generation":2')[1]
		assert.matches('"verb":"finish"', report)
		assert.matches('"phase":"other%-generations".-"result":"clean"', report)
	end)
end)
