-- Several generations at one time: the cap,
-- counters, events, and a low file limit. tableflip refuses this: "parent hasn't exited" (#52).
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

local function say(c, text)
	c:send(text .. "\n")
	return c:line(20) == text
end

describe("generations", function ()
	after_each(upgrade.finish)

	it("of which the oldest finishing one has to end at the cap", function ()
		local d <const> = upgrade.start { config = "max_generations = 3" }
		local clients <const> = {}
		for number = 1, 3 do
			clients[number] = d:connect(d.echo)
			assert.is_true(say(clients[number], "hello"))
			upgrade.up(d)
		end
		-- generation 1 had to go for generation 4, the others live
		assert.is_true(clients[1]:closed(10))
		assert.is_true(say(clients[2], "two"))
		assert.is_true(say(clients[3], "three"))
		d:wait_log("generation 1 has to end now")
		d:wait_log("generation 1 has ended", 20)
		assert.equal(3, #d:children())
		clients[2]:close()
		clients[3]:close()
		upgrade.stop(d)
	end)

	it("refuse another one at the cap if they are to", function ()
		local d <const> = upgrade.start {
			config = 'max_generations = 2; max_generations_full = "refuse"; hammer_time = 40' }
		local c <const> = d:connect(d.echo)
		assert.is_true(say(c, "hello"))
		upgrade.up(d)
		local ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok)
		assert.matches("cannot upgrade: too many generations %(2 of 2, oldest 1 has %d+ s left%) %(.+%)",
			text)
		assert.is_true(say(c, "still there"))
		c:close()
		d:wait_log("generation 1 has ended", 20)
		upgrade.up(d)
		assert.equal(3, (upgrade.generation(d)))
		upgrade.stop(d)
	end)

	it("go on counting, and say each state once to the modules of the active one", function ()
		local d <const> = upgrade.start()
		upgrade.up(d)
		upgrade.link("/nowhere", d.folder .. "/next")
		upgrade.reconfigure(d, false)
		assert.is_false((upgrade.ask(d, "upgrade")))
		upgrade.reconfigure(d, "")
		upgrade.up(d)
		upgrade.wait_alone(d)
		local last <const> = d:status().upgrade.last
		assert.equal("committed", last.outcome)
		assert.equal(3, last.number)
		assert.same({ "g1 [state=check generation=1]", "g2 [state=check generation=2]",
			"g2 [state=check generation=2]" }, upgrade.heard(d, "upgrade-started"))
		assert.same({ "g2 [state=failed generation=2 failed_state=check]" },
			upgrade.heard(d, "upgrade-failed"))
		assert.same({ "g2 [state=probation generation=1 target=2]",
			"g3 [state=probation generation=2 target=3]" }, upgrade.heard(d, "upgrade-committed"))
		assert.same({ "g2 [generation=1]", "g3 [generation=2]" },
			upgrade.heard(d, "predecessor-stopped"))
		assert.equal("start 1 stop 1 start 2 stop 2 start 3", upgrade.singletons(d))
		local states <const> = table.concat(upgrade.heard(d, "upgrade-state"), "\n")
		for _, state in ipairs { "check", "spawn", "load", "ready", "commit", "probation", "retire" } do
			local count <const> = select(2, states:gsub("state=" .. state .. " ", ""))
			assert.equal(state == "check" and 3 or 2, count, state .. "\n" .. states)
		end
		upgrade.stop(d)
	end)

	it("crash after their probation: an ordinary restart", function ()
		local d <const> = upgrade.start()
		upgrade.up(d)
		upgrade.wait_alone(d)
		process.kill(upgrade.worker(d, 2), "KILL")
		d:wait_log("worker g2.1 ended: signal 9")
		upgrade.wait_generation(d, 2)
		wait.until_true(function () return upgrade.singletons(d):find "start 2 start 2" end, 20)
		upgrade.up(d)
		upgrade.stop(d)
	end)

	it("for which no process can be made fail or come late, and change nothing", function ()
		if not upgrade.has_failpoints() then
			pending("no failpoints in this build")
			return
		end
		-- the fourth is the first worker of generation 2, after two readers and one worker
		for time, words in pairs { [3] = "failed in check: Resource temporarily unavailable",
			[4] = false } do
			local d <const> = upgrade.start {
				allow = { "cannot start worker g2.1: Resource temporarily unavailable" },
				env = { GADWALL_FAILPOINT = ("keeper-spawn:errno=11@%d"):format(time) } }
			local ok, text = upgrade.ask(d, "upgrade")
			if words then
				assert.is_false(ok)
				assert.matches(words, text)
				assert.equal(1, (upgrade.generation(d)))
				upgrade.up(d)
			else
				assert.is_true(ok, text) -- it was tried again
				d:wait_log "cannot start worker g2.1: Resource temporarily unavailable"
			end
			assert.equal(2, (upgrade.generation(d)))
			upgrade.stop(d)
		end
	end)

	it("that a low file limit has no room for are refused, or end and change nothing", function ()
		local function limited(ports)
			local d <const> = upgrade.start {
				config = "some_ports = {" .. ("0,"):rep(ports) .. "}",
				enable = { "some" }, modules = { some = [[
					module:set_global()
					module:provides("net", { name = "some", default_ports = {}, listener = {} })
				]] },
				wrap = { "sh", "-c", 'ulimit -n 128; exec "$@"', "sh" },
			}
			return d
		end
		local d = limited(40)
		local ok, text = upgrade.ask(d, "upgrade")
		assert.is_false(ok, text)
		assert.matches("cannot upgrade: the file limit %(128%) leaves no room for another generation",
			text)
		assert.equal(1, (upgrade.generation(d)))
		upgrade.stop(d, 0)
		-- what the new config wants cannot be known before
		d = limited(0)
		local census <const> = upgrade.singletons(d)
		upgrade.reconfigure(d, "some_ports = {" .. ("0,"):rep(60) .. "}")
		assert.is_false((upgrade.ask(d, "upgrade")))
		assert.equal(1, (upgrade.generation(d)))
		assert.equal(census, upgrade.singletons(d))
		upgrade.reconfigure(d, "")
		upgrade.up(d)
		upgrade.stop(d)
	end)
end)
