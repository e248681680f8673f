-- A memory bomb under lua_memory_limit costs the callback that throws it.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local limit <const> = 48 * 1024 * 1024

local bomb <const> = [[
	local timer = require "util.timer"
	local ways = {
		table = function () local t = {} while true do t[#t + 1] = { #t } end end,
		string = function () local s = "x" while true do s = s .. s end end,
		rep = function () return ("x"):rep(1 << 40) end,
		concat = function ()
			local t, s = {}, ("x"):rep(1 << 20)
			while true do t[#t + 1] = s t[#t + 1] = table.concat(t) end
		end,
		closures = function ()
			local f = print
			while true do local g = f f = function () return g end end
		end,
		coroutines = function ()
			local t = {}
			while true do t[#t + 1] = coroutine.wrap(function () coroutine.yield() end) t[#t]() end
		end,
		-- What is caught is caught: the loop around it ends by its time.
		pcall = function ()
			local t = {}
			while true do pcall(function () while true do t[#t + 1] = { #t } end end) t = {} end
		end,
		gc = function ()
			local function fill() local t = {} while true do t[#t + 1] = {} end end
			setmetatable({}, { __gc = fill })
			collectgarbage() collectgarbage()
		end,
		queue = function (conn) while true do conn:write(("x"):rep(65536)) end end,
	}
	module:provides("net", { name = "bomb", listener = {
		onincoming = function (conn, data)
			local where, way = data:match("^(%l+) (%l+)\n")
			if where == "timer" then
				timer.add_task(0.01, function () ways[way](conn) end)
			else
				ways[way](conn)
			end
		end,
	} })
]]

local function start()
	local port <const>, bomb_port <const> = client.free_port(), client.free_port()
	local d <const> = daemon.start { fds = false, exit = false,
		allow = { "not enough memory", "traceback", "Error", "error", "took" },
		modules = { probe = accept.probe, bomb = bomb },
		config = accept.probe_config(port, ([[ bomb_ports = { %d }; bomb_interface = "127.0.0.1";
			lua_memory_limit = %d; callback_timeout = 2; worker_timeout = 8 ]]):format(bomb_port, limit),
			'"bomb"') }
	return d, port, bomb_port
end

local function resident(pid)
	if not accept.resident_counts then return 0 end
	return tonumber(process.read_file("/proc/" .. pid .. "/status"):match("VmRSS:%s*(%d+)")) * 1024
end

-- AddressSanitizer keeps freed memory for a while: what is resident says nothing there.
local sanitized <const> = os.getenv "GADWALL_SLOW"

describe("a memory bomb", function ()
	after_each(daemon.finish_all)

	it("under lua_memory_limit costs that callback only, and its memory comes back", function ()
		local d <const>, port <const>, bomb_port <const> = start()
		local pid <const> = accept.pid(port)
		local before <const> = accept.sizes(port)
		local other <close> = assert(client.tcp("127.0.0.1", port))
		for _, where in ipairs { "incoming", "timer" } do
			for _, way in ipairs { "table", "string", "rep", "concat", "closures", "coroutines", "pcall",
					"gc" } do
				local c <close> = assert(client.tcp("127.0.0.1", bomb_port, 10))
				assert(c:send(where .. " " .. way .. "\n"))
				wait.sleep(0.02)
				assert(other:send(way .. "\n"))
				assert.equal(way, other:line(10), where .. " " .. way .. "\n" .. d:log())
				assert.truthy(sanitized or resident(pid) < limit + 64 * 1024 * 1024, way)
			end
		end
		assert.equal(pid, accept.pid(port))
		assert.equal("0", d:state().restarts)
		d:wait_log("not enough memory")
		local after <const> = accept.sizes(port)
		assert.is_true(after.lua < before.lua + 512, ("Lua %d → %d KiB"):format(before.lua, after.lua))
	end)

	it("in a write queue is cut by the limit of the queue", function ()
		local d <const>, port <const>, bomb_port <const> = start()
		local pid <const> = accept.pid(port)
		local c <close> = assert(client.tcp("127.0.0.1", bomb_port, 10))
		assert(c:send("incoming queue\n"))
		assert.equal(pid, accept.pid(port, 10), d:log())
		assert.truthy(sanitized or resident(pid) < limit + 64 * 1024 * 1024)
	end)
end)
