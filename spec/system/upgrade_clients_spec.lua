-- Clients notice nothing: keep-alive HTTP and connects over upgrades and rollbacks, counted by an
-- independent process (support/upgrade_load.c has the rule). tableflip's
-- TestListen/TestFdsListen under load; endless's own test of this asserts nothing.
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

describe("clients", function ()
	after_each(upgrade.finish)

	it("lose nothing in ten upgrades", function ()
		local d <const> = upgrade.start()
		local load <const> = upgrade.load(d, { pause = 1 })
		for number = 2, 11 do
			upgrade.up(d)
			assert.equal(number, (upgrade.generation(d)))
			load:mark()
		end
		local count <const> = load:stop_clean()
		assert.is_true(count.generations >= 10, count.text)
		print("10 upgrades: " .. count.text)
		assert.equal("start 1", upgrade.singletons(d):match "^start 1")
		upgrade.stop(d)
	end)

	it("lose nothing when the new generation is taken back, whatever the reason", function ()
		local d <const> = upgrade.start { config = "upgrade_probation = 20; worker_timeout = 1.5" }
		local load <const> = upgrade.load(d, { pause = 2 })
		-- asked for
		local outcome = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 1: commit %-> probation", 20)
		assert.equal(2, (upgrade.generation(d)))
		assert.is_true((upgrade.ask(d, "rollback")))
		assert.is_false((outcome()))
		assert.equal(1, (upgrade.generation(d)))
		-- killed
		outcome = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 2: commit %-> probation", 20)
		process.kill(upgrade.worker(d, 3), "KILL")
		local _, text = outcome()
		assert.matches("rolled%-back in probation: generation 1 is active again: .*signal 9", text)
		-- it no longer beats
		outcome = upgrade.begin(d, "upgrade")
		d:wait_log("upgrade 3: commit %-> probation", 20)
		process.kill(upgrade.worker(d, 4), "STOP")
		text = select(2, outcome())
		assert.matches("rolled%-back in probation: generation 1 is active again: .*no beat", text)
		assert.equal(1, (upgrade.generation(d)))
		local counts <const> = load:stop()
		-- what was open in a process that is killed is lost with it, but nobody is refused
		assert.same({ 0, 0, 0 }, { counts.refused, counts.wrong, counts.late }, counts.text)
		upgrade.stop(d, 0)
	end)

	it("that are connected go on in the generation that they know, which then ends", function ()
		local d <const> = upgrade.start()
		local old <const> = d:connect(d.echo)
		local function say(c, text)
			c:send(text .. "\n")
			assert.equal(text, (c:line()))
		end
		say(old, "one")
		upgrade.up(d)
		say(old, "two")
		local newer <const> = d:connect(d.echo)
		say(newer, "three")
		upgrade.up(d)
		say(old, "four")
		say(newer, "five")
		assert.equal(3, #d:children())
		old:close()
		d:wait_log("generation 1 has ended", 20)
		assert.equal(2, #d:children())
		say(newer, "six")
		newer:close()
		d:wait_log("generation 2 has ended", 20)
		upgrade.stop(d)
	end)

	it("of keep-alive connections are told with an answer, never cut while idle", function ()
		local d <const> = upgrade.start()
		local c <const> = d:connect(d.http)
		local function get()
			c:send "GET /?1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
			local head, line = ""
			repeat
				line = assert(c:line())
				head = head .. line:lower() .. "\n"
			until line == ""
			return c:read(tonumber(head:match("content%-length: (%d+)"))),
				head:match("connection: (%a+)")
		end
		assert.same({ "1 1" }, { get() })
		upgrade.up(d)
		wait.sleep(0.5)
		assert.is_false(c:closed(0))
		assert.same({ "1 1", "close" }, { get() })
		assert.is_true(c:closed(5))
		d:wait_log("generation 1 has ended", 20)
		upgrade.stop(d)
	end)

	it("lose nothing when workers change and with two throughout", function ()
		local d <const> = upgrade.start()
		local load <const> = upgrade.load(d, { pause = 2 })
		for _, workers in ipairs { 2, 2, 1 } do
			upgrade.reconfigure(d, ("workers = %d"):format(workers))
			upgrade.up(d)
		end
		load:stop_clean()
		upgrade.singletons(d)
		upgrade.stop(d)
	end)
end)
