-- Many connections, few descriptors, closes under load: nothing spins, leaks or is lost.

local client <const> = require "spec.support.client"
local host_loop <const> = require "host.loop"
local host_net <const> = require "host.net"
local process <const> = require "spec.support.process"
local resource <const> = require "posix.sys.resource"
local server <const> = require "net.server"
local turns <const> = require "spec.support.turns"
local unistd <const> = require "posix.unistd"
local wait <const> = require "spec.support.wait"

local run_until <const> = turns.run_until

local function refs()
	collectgarbage()
	collectgarbage()
	local n = 0
	for key, value in pairs(debug.getregistry()) do
		if type(key) == "number" and type(value) ~= "number" then n = n + 1 end
	end
	return n
end

local function fds()
	local _, n = process.fds(unistd.getpid())
	return n
end

describe("under pressure", function ()
	after_each(function ()
		turns.close_all()
		client.close_all()
	end)

	it("10,000 connections come and go and leave nothing", function ()
		local open, ended = 0, 0
		local listening = assert(server.listen("127.0.0.1", 0, {
			onconnect = function () open = open + 1 end,
			onincoming = function (conn, data) conn:write(data) end,
			ondisconnect = function () ended = ended + 1 end,
		}))
		local port, started, finished = listening:serverport(), 0, 0
		local listeners = {
			onconnect = function (conn) conn:write("x") end,
			onincoming = function (conn) conn:close() end,
		}
		local function start()
			started = started + 1
			assert(server.addclient("127.0.0.1", port, listeners))
		end
		function listeners.ondisconnect()
			finished = finished + 1
			if started < 10000 then start() end
		end
		for _ = 1, 20 do start() end
		run_until(function () return finished > 500 end, 20)
		local refs_before, fds_before, memory = refs(), fds(), collectgarbage("count")
		run_until(function () return finished == 10000 and ended >= 10000 end, 60, "all to end")
		assert.equal(10000, open)
		assert.is_true(refs() <= refs_before, "registry references grew")
		assert.is_true(fds() <= fds_before, "descriptors grew")
		assert.is_true(collectgarbage("count") < memory + 200, "memory grew")
	end)

	it("10,000 listeners and listener tables come and go and leave nothing", function ()
		local before
		for i = 1, 1000 do
			local listeners = {}
			function listeners.onconnect() return listeners end
			local listening = assert(server.listen("127.0.0.1", 0, listeners))
			listening:close_now()
			if i == 100 then before = refs() end
		end
		assert.is_true(refs() <= before)
	end)

	it("running out of descriptors turns callers away without spinning, and passes", function ()
		local listening = assert(server.listen("127.0.0.1", 0, {
			onincoming = function (conn, data) conn:write(data) end,
		}))
		local port = listening:serverport()
		local storm = {}
		local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
		local function limit_to(n)
			assert(resource.setrlimit(resource.RLIMIT_NOFILE,
				{ rlim_cur = n, rlim_max = limit.rlim_max }))
		end
		for i = 1, 30 do storm[i] = assert(client.tcp("127.0.0.1", port)) end
		-- Fill every gap below the highest descriptor, so that the limit leaves room for four.
		local highest, filler = 0, {}
		for fd in pairs((process.fds(unistd.getpid()))) do highest = math.max(highest, fd) end
		repeat
			filler[#filler + 1] = unistd.dup(2)
		until filler[#filler] > highest
		limit_to(filler[#filler] + 5)
		finally(function ()
			limit_to(limit.rlim_cur)
			for _, fd in ipairs(filler) do unistd.close(fd) end
		end)
		local cpu = os.clock()
		turns.run_for(0.5)
		cpu = os.clock() - cpu
		local stats = listening:stats()
		assert.is_true(stats.accepted >= 1 and stats.accepted <= 4, "accepted " .. stats.accepted)
		assert.is_true(stats.refused >= 20, "refused " .. stats.refused)
		assert.is_true(cpu < 0.2, "used " .. cpu .. " s of CPU in 0.5 s")
		assert.is_true(storm[30]:closed(1))
		limit_to(limit.rlim_cur)
		local from = host_loop.monotonic()
		local peer = assert(client.tcp("127.0.0.1", port))
		peer:send("x\n")
		run_until(function () return listening:stats().accepted > stats.accepted end, 1)
		assert.is_true(host_loop.monotonic() - from < 0.15)
		turns.run_for(0.02)
		assert.equal("x", peer:line())
		for _, limited in ipairs(host_net.stats().limits) do
			if limited.limit == "descriptors" then assert.is_true(limited.hits >= 1) end
		end
	end)

	-- Kernels that keep socket filters for root are the reason for a second way to hold SYNs back.
	it("closing a listener under a storm resets nobody without privilege either", function ()
		local dir = process.temp_dir()
		process.write_file(dir .. "/host.lua", [[
			local server, timer = require "net.server", require "util.timer"
			local answered, l = 0, nil
			local function close()
				l:close_gracefully(function ()
					timer.add_task(3, function () server.setquitting(true) end)
				end)
			end
			l = assert(server.listen("127.0.0.1", 0, {
				onincoming = function (conn, data)
					conn:write(data)
					answered = answered + 1
					if answered == 500 then timer.add_task(0, close) end
				end,
			}))
			server.set_limits { max_connection_rate_per_ip = 1e9, max_connections_per_ip = 1e9 }
			print(l:serverport())
			io.stdout:flush()
			server.loop()
		]])
		local drop = unistd.geteuid() == 0 and { "setpriv", "--bounding-set", "-all" }
			or { "env", "A=B", "C=D" }
		local host = process.spawn { stdout = dir .. "/port", stderr = dir .. "/err", argv = {
			drop[1], drop[2], drop[3],
			unistd.readlink("/proc/self/exe"), "lua", dir .. "/host.lua",
		} }
		local storms, total = {}, { 0, 0, 0 }
		wait.until_true(function ()
			return (process.read_file(dir .. "/port") or ""):match("%d+\n")
		end, 10, "the port")
		for i = 1, 8 do
			storms[i] = process.spawn { stdout = dir .. "/out" .. i, stderr = dir .. "/err" .. i,
				argv = { "lua5.4", "spec/support/connect_storm.lua",
					process.read_file(dir .. "/port"):match("%d+"), "10" } }
		end
		for i = 1, 8 do
			storms[i]:wait_exit(30)
			local found = { (process.read_file(dir .. "/out" .. i) or ""):match("(%d+)%s+(%d+)%s+(%d+)") }
			assert.is_not_nil(found[1], process.read_file(dir .. "/err" .. i))
			for k = 1, 3 do total[k] = total[k] + found[k] end
		end
		host:wait_exit(20)
		process.remove_tree(dir)
		assert.same({ 8, 0 }, { total[2], total[3] })
		assert.is_true(total[1] > 50, total[1] .. " answered")
	end)

	it("closing a listener under a storm of connects loses none of them", function ()
		local lost, answered, refused = 0, 0, 0
		for round = 1, 5 do
			local listening = assert(server.listen("127.0.0.1", 0, {
				onincoming = function (conn, data) conn:write(data) end,
			}))
			local dir = process.temp_dir()
			local storms = {}
			for i = 1, 4 do
				storms[i] = process.spawn { stdout = dir .. "/out" .. i, stderr = dir .. "/err" .. i,
					argv = { "lua5.4", "spec/support/connect_storm.lua",
						tostring(listening:serverport()), "10" } }
			end
			local closed
			run_until(function () return listening:stats().accepted > 200 * round end, 10, "the storm")
			listening:close_gracefully(function () closed = true end)
			run_until(function () return closed end, 1)
			run_until(function ()
				for i = 1, 4 do if not storms[i]:status() then return false end end
				return true
			end, 20, "the storm to end")
			for i = 1, 4 do
				local out = process.read_file(dir .. "/out" .. i) or ""
				local a, r, l = out:match("(%d+)%s+(%d+)%s+(%d+)")
				assert.is_not_nil(a, process.read_file(dir .. "/err" .. i))
				answered, refused, lost = answered + a, refused + r, lost + l
			end
			process.remove_tree(dir)
			turns.close_all()
		end
		assert.equal(0, lost)
		assert.is_true(answered > 1000)
		assert.equal(20, refused)
	end)
end)
