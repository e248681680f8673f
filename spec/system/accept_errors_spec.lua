-- Errors of any kind in any callback: that callback only, and a line in the log.
local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local odd <const> = [[
	local timer = require "util.timer"
	local function nest(n) return setmetatable({}, { __close = function ()
		local x <close> = n > 0 and nest(n - 1) or nil end }) end
	local errors = {
		string = function () error("a plain error") end,
		["nil"] = function () error(nil) end,
		table = function () error({}) end,
		number = function () error(42) end,
		-- A __tostring that raises, one that returns no string, one that never ends.
		raising = function ()
			error(setmetatable({}, { __tostring = function () error("again") end })) end,
		typeless = function () error(setmetatable({}, { __tostring = function () return {} end })) end,
		endless = function ()
			error(setmetatable({}, { __tostring = function () while true do end end })) end,
		format = function () error("%n%s%d %99999999s") end,
		binary = function () error("a\0b\27[31m\255\nline two") end,
		long = function () error(("x"):rep(1 << 20)) end,
		recursion = function () local function f(n) return f(n + 1) + 1 end f(1) end,
		gsub = function () local function f() return (("x"):gsub(".", f)) end f() end,
		index = function () local t = setmetatable({}, {
			__index = function (t, k) return t[k] end }) return t.x end,
		wraps = function () local function f() return coroutine.wrap(f)() end f() end,
		parser = function () assert(load("return " .. ("("):rep(100000))) end,
		-- What ended Lua 5.4.4 itself: it does not count the C stack of these.
		closes = function ()
			local co
			for _ = 1, 20000 do
				local previous = co
				co = coroutine.create(function ()
					local x <close> = setmetatable({}, { __close = function ()
						if previous then coroutine.close(previous) end end })
					coroutine.yield()
				end)
				coroutine.resume(co)
			end
			assert(coroutine.close(co))
		end,
		nested = function () local x <close> = nest(150000) end,
		xpcall = function () xpcall(error, function () error("in the handler") end) error("done") end,
		gc = function () setmetatable({}, { __gc = function () error("in __gc") end })
			collectgarbage() collectgarbage() error("done") end,
	}
	module:provides("net", { name = "odd", listener = {
		onincoming = function (conn, data)
			local where, kind = data:match("^(%l+) (%l+)\n")
			local fail = errors[kind]
			if where == "incoming" then
				fail()
			elseif where == "timer" then
				timer.add_task(0, function () fail() end)
			elseif where == "event" then
				local function handler() module:unhook("odd-event", handler) fail() end
				module:hook("odd-event", handler)
				module:fire_event("odd-event", {})
			elseif where == "async" then
				require "util.async".runner(function () fail() end):run(true)
			elseif where == "promise" then
				require "util.promise".resolve(1):next(function () fail() end)
			end
		end,
	} })
]]

local kinds <const> = { "string", "nil", "table", "number", "raising", "typeless", "endless",
	"format", "binary", "long", "recursion", "gsub", "index", "wraps", "parser", "closes", "nested",
	"xpcall", "gc" }

describe("an error", function ()
	after_each(daemon.finish_all)

	for _, where in ipairs { "incoming", "timer", "event", "async", "promise" } do
		it("of any kind costs that callback only: in " .. where, function ()
			local port <const>, odd_port <const> = client.free_port(), client.free_port()
			local d <const> = daemon.start { fds = false, allow = { "." },
				modules = { probe = accept.probe, odd = odd },
				config = accept.probe_config(port, ([[ odd_ports = { %d }; odd_interface = "127.0.0.1";
					callback_timeout = 0.5; worker_timeout = 5 ]]):format(odd_port), '"odd"') }
			local pid <const> = accept.pid(port)
			local other <close> = assert(client.tcp("127.0.0.1", port))
			for _, kind in ipairs(kinds) do
				local c <close> = assert(client.tcp("127.0.0.1", odd_port, 10))
				assert(c:send(where .. " " .. kind .. "\n"))
				for round = 1, 3 do
					assert(other:send(kind .. round .. "\n"))
					assert.equal(kind .. round, other:line(10), where .. " " .. kind .. "\n" .. d:log())
				end
			end
			assert.equal(pid, accept.pid(port), d:log():sub(-2000))
			assert.equal("0", d:state().restarts)
			-- One event, one line: nothing that came from outside breaks the log's lines.
			for line in process.read_file(d.log_file):gmatch("[^\n]+") do
				assert.is_nil(line:find("[%z\1-\8\11-\31]"), line:sub(1, 200))
				assert.is_nil(line:find("^line two"))
			end
		end)
	end
end)
