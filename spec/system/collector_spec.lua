-- The collector follows the load (host/bindings/lua_collector.c), and rest gives memory back.
local daemon <const> = require "spec.support.daemon"
local wait <const> = require "spec.support.wait"

local sanitized <const> = os.getenv "GADWALL_SLOW" ~= nil

local function start(more)
	return daemon.start { fds = false, config = [[
		modules_enabled = { "admin_shell" }; slow_callback = 60
	]] .. (more or "") }
end

local function mode(d)
	return select(2, d:console '> return require "host.collector".mode()'):match "^Result: (%S+)"
end

-- Makes garbage in short callbacks until `prosody.enough` is set.
local function load_it(d)
	d:console('> require "util.timer".add_task(0, function () for i = 1, 2000 do '
		.. 'local t = { i, { i } } end return not prosody.enough and 0.001 or nil end)')
end

describe("the garbage collector", function ()
	it("is generational under load and incremental at rest", function ()
		local d <const> = start()
		assert.equal("incremental", mode(d))
		load_it(d)
		wait.until_true(function () return mode(d) == "generational" end, 30, "generational")
		d:console "> prosody.enough = true"
		wait.until_true(function () return mode(d) == "incremental" end, 30, "incremental")
		d:stop()
	end)

	it("is incremental under load with a large heap", function ()
		local d <const> = start()
		load_it(d)
		wait.until_true(function () return mode(d) == "generational" end, 30, "generational")
		d:console "> local t = {} prosody.held = t for i = 1, 300000 do t[i] = { i } end"
		wait.until_true(function () return mode(d) == "incremental" end, 30, "incremental")
		assert.is_true(tonumber(select(2, d:console '> return collectgarbage "count"')
			:match "^Result: ([%d.]+)") > 24 * 1024)
		d:console "> prosody.enough = true"
		d:stop()
	end)

	it("gives memory back at rest without being asked", function ()
		local d <const> = start()
		local function held()
			return tonumber(select(2, d:console '> return collectgarbage "count"')
				:match "^Result: ([%d.]+)")
		end
		local before <const> = held()
		local function resident()
			return tonumber(select(2, d:console '> return require "host.sys".rss()')
				:match "^Result: ([%d.]+)") / 1024
		end
		local resident_before <const> = resident()
		d:console "> prosody.held = {} for i = 1, 300000 do prosody.held[i] = { i } end"
		assert.is_true(held() > before + 20000)
		d:console "> prosody.held = nil; collectgarbage 'step'"
		wait.until_true(function () return held() < before + 3000 end, 60, "the rest")
		wait.until_true(function () -- they go when the rest ends
			return sanitized or resident() < resident_before + 12000
		end, 60, "the pages to go")
		d:stop()
	end)

	it("is what the config says", function ()
		local d <const> = start 'gc = { mode = "generational" }'
		assert.equal("nil", tostring(mode(d)))
		assert.equal("generational", (select(2, d:console
			'> return collectgarbage "incremental"'):match "^Result: (%S+)"))
		d:stop()
	end)
end)
