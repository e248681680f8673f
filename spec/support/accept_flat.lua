--- The work of the flatness specs; the suite and the soak differ in their numbers only.

local accept <const> = require "spec.support.accept"
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local soak <const> = require "spec.support.soak"
local wait <const> = require "spec.support.wait"

local flat <const> = {}

-- Takes everything that a module can take, and gives nothing back.
local greedy <const> = [[
	local timer = require "util.timer"
	local kept = {}
	module:hook("greedy-event", function () return kept end)
	module:hook_global("config-reloaded", function () return kept end)
	module:add_timer(3600, function () return kept end)
	module:add_item("greedy-item", { kept })
	module:provides("shell-command", { name = "greedy" .. "x", handler = function () return kept end })
	module:provides("net", { name = "greedy", default_port = 0, default_interface = "127.0.0.1",
		listener = { onincoming = function () return kept end } })
	module:shared("greedy-shared").kept = kept
	module:measure("greedy-amount", "amount")(1)
	function module.load() kept[1] = ("x"):rep(10000) end
]]

function flat.start()
	local port <const> = client.free_port()
	local d <const> = daemon.start { fds = false,
		modules = { probe = accept.probe, greedy = greedy }, config = accept.probe_config(port,
			'log = { warn = "*console" }', '"admin_socket", "admin_shell"') }
	return d, port
end

--- One console connection for many commands; a refused command is an error.
---@return function command(line) → its last line
function flat.console(d)
	local c <const> = assert(client.unix(d:socket_path(), 30))
	return function (line)
		assert(c:send(line .. "\n"))
		local answer <const> = c:expect("^%u%a+: ")
		assert(answer:find("^OK") or answer:find("^Result"), line .. ": " .. answer)
		return answer
	end
end

local function sizes_text(what, count, before, after)
	return ("%d %s: Lua %d → %d KiB, RSS %d → %d KiB, registry %d → %d, refs %d → %d, fds %d → %d")
		:format(count, what, before.lua, after.lua, before.rss, after.rss, before.entries,
			after.entries, before.refs, after.refs, before.fds, after.fds)
end

-- AddressSanitizer keeps freed memory for a while: what is resident says nothing there.
local sanitized <const> = os.getenv "GADWALL_SLOW"

-- Growth that is allowed: hash tables that double, and nothing that grows with `count`.
local function compare(before, after, text)
	assert(before.pid == after.pid, "another worker: " .. text)
	assert(after.fds <= before.fds + 2, "descriptors grew: " .. text) -- those that ask come and go
	assert(after.refs <= before.refs + 2, "registry references grew: " .. text)
	assert(after.entries <= before.entries + 16, "the registry grew: " .. text)
	assert(after.lua <= before.lua + math.max(64, before.lua * 0.03), "Lua memory grew: " .. text)
	assert(sanitized or after.rss <= before.rss * 1.15 + 512, "RSS grew: " .. text)
end

-- All at once; where the time is limited (make soak SOAK=N), in parts until it is over.
local function repeat_turn(turn, d, port, warm, count)
	local part <const>, over <const>, done = soak.asked and warm or count, soak.clock(), 0
	repeat
		local times <const> = math.min(part, count - done)
		turn(d, port, times)
		done = done + times
	until done >= count or over()
	return done
end

-- What a worker at rest gives back (unused memory, the pages of the embedded Lua) is a third of
-- what it has: it is measured at rest, both times. To ask it would be work: /proc is looked at.
local function sizes_at_rest(port)
	local pid <const> = accept.pid(port)
	local rss, since = "", wait.now()
	wait.try(function ()
		local now <const> = process.read_file("/proc/" .. pid .. "/status"):match "VmRSS:%s*(%d+)"
		if now ~= rss then rss, since = now, wait.now() end
		return wait.now() - since > 3
	end, 30)
	return accept.sizes(port)
end

-- Runs `turn` warm + count times on a new daemon and compares what it holds: → that in words.
local function measure(what, warm, most, turn)
	local d <const>, port <const> = flat.start()
	turn(d, port, warm)
	local before <const> = sizes_at_rest(port)
	local count <const> = repeat_turn(turn, d, port, warm, most)
	local after <const> = sizes_at_rest(port)
	local text <const> = sizes_text(what, count, before, after)
	compare(before, after, text)
	return text
end

--- Reloads of a module with a listener, while a connection stays open. Like those below it raises
--- where something grew.
---@return string sizes before and after
function flat.reloads(warm, count)
	return measure("reloads", warm, count, function (d, port, times)
		local console <const> = flat.console(d)
		local c <close> = assert(client.tcp("127.0.0.1", port))
		for number = 1, times do
			console("module reload probe")
			if number % 50 == 0 then
				assert(c:send("still here\n"))
				assert(c:line() == "still here")
			end
		end
		client.close_all()
	end)
end

--- Loads and unloads.
function flat.loads(warm, count)
	return measure("loads", warm, count, function (d, _, times)
		local console <const> = flat.console(d)
		for _ = 1, times do
			console("module load greedy")
			console("module unload greedy")
		end
		client.close_all()
	end)
end

--- Connects by two processes.
function flat.connects(warm, count)
	return measure("connects", warm, count, function (d, port, times)
		local loops <const> = accept.connect_loops(d.dir, port, 2, times // 2)
		local sums <const> = loops:join(60 + times / 500)
		assert(sums.answered == times // 2 * 2, ("%d of %d answered"):format(sums.answered, times))
	end)
end

--- Config reloads that change nothing but a value.
function flat.config_reloads(warm, count)
	return measure("config reloads", warm, count, function (d, _, times)
		local console <const> = flat.console(d)
		for _ = 1, times do console("config reload") end
		client.close_all()
	end)
end

return flat
