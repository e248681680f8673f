-- Upgrades in numbers and for as long as asked (make soak SOAK=minutes), with the slopes of memory.
local process <const> = require "spec.support.process"
local soak <const> = require "spec.support.soak"
local upgrade <const> = require "spec.support.upgrade"

-- Growth in KiB that a thousand upgrades may leave; a page comes and goes.
local keeper_growth <const>, worker_growth <const> = 64, 512

-- Memory, descriptors and processes, noted after each upgrade.
local function watch(d)
	local all <const> = {
		keeper = soak.series("keeper", "KiB"), worker = soak.series("new worker", "KiB"),
		fds = soak.series("keeper's descriptors", "fds"), children = soak.series("processes", ""),
	}
	function all.note(number, pid)
		all.keeper:add(number, soak.rss(d.keeper_pid))
		all.worker:add(number, soak.rss(pid))
		local fds = 0
		for _ in pairs((process.fds(d.keeper_pid))) do fds = fds + 1 end
		all.fds:add(number, fds)
		all.children:add(number, #d:children())
	end
	function all.report()
		for _, name in ipairs { "keeper", "worker", "fds", "children" } do all[name]:report() end
		local rounds <const> = #all.keeper.y
		if rounds >= 200 then -- less is noise
			assert.is_true(all.keeper:slope() <= keeper_growth, "the keeper grows")
			assert.is_true(all.worker:slope() <= worker_growth, "each worker is larger than the last")
		end
	end
	return all
end

describe("#soak upgrades", function ()
	after_each(upgrade.finish)

	it("lose nothing, a hundred of them at full speed", function ()
		local d <const> = upgrade.start { config = "upgrade_probation = 0.2" }
		local load <const> = upgrade.load(d, { keepers = 64, connectors = 16, seconds = 1500 })
		local over <const>, rounds = soak.clock(), 0
		repeat
			rounds = rounds + 1
			upgrade.up(d)
			load:mark()
		until rounds == 100 or over()
		local count <const> = load:stop_clean()
		soak.say("%d upgrades, %.0f connects a second, pause of a client p50 %.1f, p99 %.1f ms: %s",
			rounds, count.connects / count.seconds, count.pause_p50, count.pause_p99,
			count.text:gsub("\n", ""))
		upgrade.stop(d)
	end)

	it("keep a connection, a thousand of them, and nothing grows", function ()
		local over <const> = soak.clock()
		local d <const> = upgrade.start { config = "finish_idle_wait = 86400; hammer_time = -1" }
		local c <const>, first <const> = d:connect(d.echo), upgrade.worker(d, 1)
		local seen <const>, oldest <const> = watch(d), soak.series("the connection's worker", "KiB")
		local rounds = 0
		while rounds < 1000 and not over() do
			rounds = rounds + 1
			upgrade.up(d)
			assert.is_true(#d:children() <= 5)
			c:send(rounds .. "\n")
			assert.equal(tostring(rounds), (c:line()))
			seen.note(rounds, upgrade.worker(d, rounds + 1))
			oldest:add(rounds, soak.rss(first))
		end
		soak.say("%d upgrades with one connection", rounds)
		seen.report()
		oldest:report()
		c:close()
		upgrade.stop(d)
	end)

	it("lose nothing under load for as long as asked", function ()
		local over <const> = soak.clock(5)
		local d <const> = upgrade.start { config = "upgrade_probation = 0.1" }
		local load <const> = upgrade.load(d, { keepers = 16, connectors = 4, pause = 1, seconds = 86400 })
		local seen <const> = watch(d)
		local rounds = 0
		repeat
			rounds = rounds + 1
			upgrade.up(d, rounds % 10 == 0 and "rollback" or nil)
			load:mark()
			seen.note(rounds, upgrade.worker(d, rounds + 1))
		until over()
		local count <const> = load:stop_clean()
		soak.say("%d upgrades, every tenth a rollback: %s", rounds, count.text:gsub("\n", ""))
		seen.report()
		upgrade.stop(d)
	end)
end)
