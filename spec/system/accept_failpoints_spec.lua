-- Exit and SIGSTOP at every failpoint: a defined outcome, nothing left, the next start works.
-- (kill at every failpoint: restart_failpoints_spec.lua.)
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

-- Sanitizers on busy cores: what ends a host that is only slow there has four times as long.
local slow <const> = os.getenv "GADWALL_SLOW" and 4 or 1

local config <const> = [[ modules_enabled = { "listen" }; listen_ports = { 0 };
	listen_interface = "127.0.0.1"; orphan_timeout = 0.1; start_timeout = %d; worker_timeout = %d;
	shutdown_timeout = 0.5; hammer_time = %d; restart_backoff = { 0.05, 0.1 } ]]
local listen <const> = [[ module:provides("net", { name = "listen", listener = {} }) ]]

-- `patience`: start_timeout in seconds; a dozen hosts that start at once on two busy cores want
-- more than what a stopped worker should be waited for.
local function start(failpoint, dir, patience)
	local d <const> = daemon.start { dir = dir, config = config:format((patience or 30) * slow,
		2 * slow, 4 * slow),
		modules = { listen = listen }, ready = false, exit = false, fds = false, allow = { "error" },
		env = { GADWALL_FAILPOINT = failpoint or false } }
	d.failpoint = failpoint
	return d
end

local function listed()
	local code <const>, out <const> = process.run { argv = { daemon.binary(), "--list-failpoints" } }
	local list <const> = {}
	for name in (code == 0 and out or ""):gmatch("[^\n]+") do list[#list + 1] = name end
	return list
end

local names <const> = listed()

-- Those that no start, reload or stop comes by: upgrade_kills_spec.lua, reexec_spec.lua and
-- orphans*_spec.lua have them, process_spec.lua the children of modules.
local elsewhere <const> = {}
for word in ("check upgrade-spawn load upgrade-ready commit yield yielded take record activate"
	.. " probation rollback resume retire lost attach adopted spawn"
	.. " trial reexec"):gmatch("%S+") do
	elsewhere["keeper-" .. word], elsewhere["worker-" .. word] = true, true
end
elsewhere["keeper-spawn"] = nil

local function with_prefix(prefix)
	local list <const> = {}
	for _, name in ipairs(names) do
		if name:sub(1, #prefix) == prefix and not elsewhere[name] then list[#list + 1] = name end
	end
	return list
end

-- All of a group run at the same time: most of it is waiting.
local function start_all(prefix, action)
	local list <const> = {}
	for _, name in ipairs(with_prefix(prefix)) do
		list[#list + 1] = start(name .. ":" .. action, nil, prefix == "worker-" and 4 or nil)
		list[#list].name = name
	end
	return list
end

local function settled(d)
	d:children() -- notes who is there
	local state <const> = d:state().state
	return d.keeper:status() or state == "serving" or state == "failed"
end

local function wait_settled(list, seconds)
	wait.until_true(function ()
		for _, d in ipairs(list) do
			if not settled(d) then return false end
		end
		return true
	end, seconds * slow, "all to settle")
end

-- What must hold whatever happened: no process is left, and the folder serves the next start.
local function check_wreck(d)
	wait.until_true(function ()
		for _, info in pairs(d.known) do
			if process.alive(info.pid, info.started) then return false end
		end
		return true
	end, 20 * slow, "the end of every process of " .. d.failpoint)
	local again <const> = start(nil, d.dir)
	wait.until_true(function ()
		local state <const> = again:state()
		return state.state == "serving" and tonumber(state.pid) == again.keeper_pid
	end, 20 * slow, "the next start after " .. d.failpoint .. "\n" .. again:log())
	again:signal("TERM")
	assert.equal(0, again:wait_exit(), d.failpoint .. "\n" .. again:log())
	assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"), d.failpoint)
	process.remove_tree(d.dir)
end

-- Compares the exit statuses of all with what is expected by name; a set allows several.
local function check_ends(list, expected)
	local got <const>, wanted <const> = {}, {}
	for _, d in ipairs(list) do
		local code <const> = d:wait_exit(20 * slow) or "it hangs"
		local want <const> = expected[d.name] or expected[1]
		got[d.name] = code
		wanted[d.name] = type(want) == "table" and want[code] and code or want
		if code ~= 137 then
			assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"), d.name)
		end
	end
	assert.same(wanted, got)
	for _, d in ipairs(list) do check_wreck(d) end
end

local function stop_all(list)
	for _, d in ipairs(list) do
		if not d.keeper:status() then d:signal("TERM") end
	end
end

if #names == 0 then
	pending("needs a build with failpoints (FAILPOINTS=1)")
	return
end

describe("a worker", function ()
	after_each(daemon.finish_all)

	it("that exits at any state before it is ready ends the run with its own status", function ()
		local list <const> = start_all("worker-", "exit=3@1")
		wait_settled(list, 20)
		stop_all(list)
		-- It dies again and again, or during the stop; after its last word it may go as it likes.
		check_ends(list, { 3, ["worker-beat"] = { [0] = true, [70] = true }, ["worker-verb"] = 70,
			["worker-stop"] = 70, ["worker-leaving"] = 70, ["worker-exit"] = 0 })
	end)

	it("that stops at any state is ended, by start_timeout or for its missing beat", function ()
		local list <const> = start_all("worker-", "stop@1")
		wait_settled(list, 20)
		-- One that stops as it becomes ready serves until its beat is missed.
		local expected <const> = "worker-verb worker-stop worker-leaving worker-exit"
		local function served()
			local found <const> = {}
			for _, d in ipairs(list) do
				if not d.keeper:status() and d.name ~= "worker-beat" then found[#found + 1] = d.name end
			end
			return table.concat(found, " ")
		end
		if not pcall(wait.until_true, function () return served() == expected end, 20 * slow) then
			assert.equal(expected, served())
		end
		stop_all(list)
		-- In a stop it is its beat that is missed first: a crash during the stop. The successor of the
		-- one that missed it serves, starts, or is cut by the budget of half a second.
		-- The same budget may cut the stop of the others on a busy machine before their beat is missed.
		check_ends(list, { { [70] = true, [75] = true },
			["worker-beat"] = { [0] = true, [70] = true, [75] = true } })
	end)
end)

describe("a keeper", function ()
	after_each(daemon.finish_all)

	it("that exits at any state leaves no process, and nothing in the way of the next", function ()
		local list <const> = start_all("keeper-", "exit=3@1")
		wait_settled(list, 20)
		for _, d in ipairs(list) do
			-- before the reload, whose reader is a copy of the keeper until it is executed
			if d.name == "keeper-restart" then process.kill(d:worker_pid(), "KILL") end
			if not d.keeper:status() then d:signal("HUP") end
		end
		for _, d in ipairs(list) do
			if d.name == "keeper-reload" or d.name == "keeper-restart" then d:wait_exit(20 * slow) end
		end
		stop_all(list)
		for _, d in ipairs(list) do
			-- keeper-held: nothing was held at a first start, so it was not there.
			assert.equal(d.name == "keeper-held" and 0 or 3, d:wait_exit(20 * slow),
				d.name .. "\n" .. d:log())
		end
		for _, d in ipairs(list) do check_wreck(d) end
	end)

	it("that was stopped at any state goes on where it was", function ()
		local list <const> = start_all("keeper-", "stop@1")
		local function continue()
			for _, d in ipairs(list) do
				local info <const> = process.stat(d.keeper_pid)
				if info and info.state == "T" then process.kill(d.keeper_pid, "CONT") end
			end
		end
		wait.sleep(0.3) -- the time for which they stand still
		wait.until_true(function ()
			continue()
			for _, d in ipairs(list) do
				if not settled(d) then return false end
			end
			return true
		end, 20 * slow, "all to serve")
		for _, d in ipairs(list) do
			assert.equal("serving", d:state().state, d.name .. "\n" .. d:log())
			d:signal("HUP")
		end
		for _, d in ipairs(list) do
			wait.until_true(function ()
				continue()
				return d:log():find("the new config goes")
			end, 5 * slow, "the reload of " .. d.name)
		end
		stop_all(list)
		wait.until_true(function ()
			continue()
			for _, d in ipairs(list) do
				if not d.keeper:status() then return false end
			end
			return true
		end, 8 * slow, "all to end")
		check_ends(list, { 0 })
	end)
end)

describe("a reader", function ()
	after_each(daemon.finish_all)

	it("that exits is a config that was not read; one that stops is left by a stop", function ()
		local list = start_all("reader-", "exit=3@1")
		check_ends(list, { 3 })
		list = start_all("reader-", "kill@1")
		check_ends(list, { 78 })
		list = start_all("reader-", "stop@1")
		for _, d in ipairs(list) do
			wait.until_true(function ()
				for _, info in ipairs(d:children()) do
					if info.state == "T" then return true end
				end
			end, 5, "the reader to stop")
		end
		stop_all(list)
		check_ends(list, { 0 })
	end)

	it("that stands still is killed in the end #slow, and the run says so", function ()
		local d <const> = start("reader-config:stop")
		d.name = "reader-config"
		assert.equal(78, d:wait_exit(20 * slow))
		assert.matches("reader", d:log())
		check_wreck(d)
	end)
end)

describe("the network", function ()
	after_each(daemon.finish_all)

	it("that fails in a call or hands over bytes one by one costs at most that connection", function ()
		local echo <const> = [[ module:provides("net", { name = "echo", listener = {
			onincoming = function (conn, data) conn:write(data) end } }) ]]
		for _, failpoint in ipairs { "net-recv:errno=104@2", "net-recv:errno=11@2", "net-send:short",
				"net-send:errno=11@1", "net-send:errno=32@2", "net-recv:short", "net-accept:errno=103@1",
				"net-accept:errno=24@1", "net-accept:errno=105@1", "net-accept:errno=71@1",
				"net-recv:errno=4@1" } do
			local d <const> = daemon.start { modules = { echo2 = echo }, fds = false, config = [[
				modules_enabled = { "echo2" }; echo_ports = { 0 }; echo_interface = "127.0.0.1" ]],
				env = { GADWALL_FAILPOINT = failpoint } }
			local good = 0
			for number = 1, 4 do
				local c <close> = d:connect(d:port("echo"), 5)
				local text <const> = ("number %d "):format(number):rep(20) .. "\n"
				if c:send(text) and c:line() == text:sub(1, -2) then good = good + 1 end
			end
			assert.is_true(good >= 3, failpoint .. ": " .. good .. " of 4 served\n" .. d:log())
			assert.equal("0", d:state().restarts, failpoint)
			d:stop()
		end
	end)
end)
