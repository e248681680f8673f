-- The new generation loads behind the one that serves: a lower priority, if it may come back.
local process <const> = require "spec.support.process"
local upgrade <const> = require "spec.support.upgrade"
local wait <const> = require "spec.support.wait"

-- Says its own level (field 19 of /proc/PID/stat) and a child's, while it loads and afterwards.
local levels <const> = [[
module:set_global()
local net_process = require "net.process"
local function level(text) return (text:gsub("^.*%) ", ""):match(("%S+ "):rep(16) .. "(%S+)")) end
local file = io.open "/proc/self/stat"
module:log("info", "loads at level %s", level(file:read "a"))
file:close()
net_process.spawn { argv = { "cat", "/proc/self/stat" }, stdout = { onincoming = function (_, text)
	module:log("info", "a child at level %s", level(text))
end } }
module:hook("generation-activated", function ()
	local now <close> = io.open "/proc/self/stat"
	module:log("info", "serves at level %s", level(now:read "a"))
end)
]]

local function level_of(pid)
	local text <const> = process.read_file(("/proc/%d/stat"):format(pid))
	return tonumber((text:gsub("^.*%) ", ""):match(("%S+ "):rep(16) .. "(%S+)")))
end

-- Of this process, and so of a host that it starts with its own rights.
local function may_return()
	local text <const> = process.read_file "/proc/self/status"
	local limit <const> = process.read_file("/proc/self/limits"):match "Max nice priority%s+(%d+)"
	local rights <const> = tonumber(text:match "CapEff:%s+(%x+)", 16)
	return rights & (1 << 23) ~= 0 or tonumber(limit) >= 20
end

describe("a generation that joins", function ()
	after_each(upgrade.finish)

	it("loads at a lower priority, serves and starts children at the host's own", function ()
		local d <const> = upgrade.start { enable = { "levels" }, modules = { levels = levels } }
		local own <const> = level_of(d.keeper_pid)
		local function says(pattern, level)
			return #d:log_lines(("%s at level %d$"):format(pattern, level))
		end
		d:wait_log("a child at level", 20)
		assert.equal(1, says("loads", own))
		assert.equal(1, says("a child", own))
		upgrade.up(d)
		assert.equal(own, level_of(upgrade.worker(d, 2)))
		assert.equal(1, says("serves", own))
		assert.equal(1, says("g2%.1%].*loads", may_return() and math.min(own + 5, 19) or own))
		wait.until_true(function () return says("a child", own) == 2 end, 20, "a child of each")
		upgrade.stop(d)
	end)
end)
