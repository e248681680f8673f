--- What the acceptance specs share: a module that can be asked about its worker, and connect loops.

local client <const> = require "spec.support.client"
local process <const> = require "spec.support.process"
local wait <const> = require "spec.support.wait"

local accept <const> = {}

--- A module with a TCP service `probe`: every line is answered.
-- pid → the worker's pid; sizes → KiB of Lua after a full collection, entries of the registry and
-- references in use;
-- anything else → itself.
accept.probe = [[
	local unistd = require "posix.unistd"
	local function sizes()
		collectgarbage() collectgarbage()
		local n, refs = 0, 0
		for key, value in pairs(debug.getregistry()) do
			n = n + 1
			-- A number is luaL_ref's list of free slots; those are used again.
			if math.type(key) == "integer" and type(value) ~= "number" then refs = refs + 1 end
		end
		return ("%d %d %d\n"):format(math.floor(collectgarbage("count")), n, refs)
	end
	module:provides("net", { name = "probe", listener = {
		onincoming = function (conn, data)
			if data == "pid\n" then conn:write(unistd.getpid() .. "\n")
			elseif data == "sizes\n" then conn:write(sizes())
			else conn:write(data) end
		end,
	} })
]]

--- Whether the resident size says something: a sanitizer keeps freed memory for a while.
accept.resident_counts = not os.getenv("GADWALL_SLOW")
	and not (os.getenv("GADWALL") or ""):find("asan", 1, true)

--- Config lines that start the probe on a port of its own.
function accept.probe_config(port, more, modules)
	return ([[ modules_enabled = { "probe", %s }; probe_ports = { %d }; probe_interface = "127.0.0.1";
		%s ]]):format(modules or "", port, more or "")
end

--- Asks the probe one line; raises when there is no answer.
function accept.ask(port, line, timeout)
	local c <close> = assert(client.tcp("127.0.0.1", port, timeout or 10))
	assert(c:send(line .. "\n"))
	return assert(c:line())
end

--- The worker's pid, as the worker itself says.
function accept.pid(port, timeout)
	return math.tointeger(tonumber(accept.ask(port, "pid", timeout)))
end

--- Sizes of the worker: Lua KiB, registry entries, registry references, RSS KiB, descriptors.
function accept.sizes(port)
	local kib, entries, refs = accept.ask(port, "sizes"):match("(%d+) (%d+) (%d+)")
	local pid <const> = accept.pid(port)
	local status <const> = process.read_file("/proc/" .. pid .. "/status")
	return {
		pid = pid, lua = tonumber(kib), entries = tonumber(entries), refs = tonumber(refs),
		rss = tonumber(status:match("VmRSS:%s*(%d+)")), fds = select(2, process.fds(pid)),
	}
end

local loop_words <const> = { "answered", "refused", "reset", "eof", "timeout", "other" }

--- Starts processes that connect in a loop.
---@return table loops with `:stop()` → sums of answered, refused, reset, eof, timeout, other
function accept.connect_loops(dir, port, count, most)
	local loops <const> = { stop_file = dir .. "/stop" .. port, dir = dir }
	os.remove(loops.stop_file)
	for number = 1, count do
		os.remove(("%s/loop%d"):format(dir, number))
		loops[number] = process.spawn {
			argv = { "lua5.4", "spec/support/accept_loop.lua", tostring(port), loops.stop_file,
				tostring(most or 10000000) },
			stdout = ("%s/loop%d"):format(dir, number),
		}
	end
	--- Waits until all have ended, by themselves or because of the stop file.
	function loops:join(seconds)
		local sums <const> = {}
		for number, child in ipairs(self) do
			if not child:wait_exit(seconds or 20) then child:destroy() end
			local text <const> = process.read_file(("%s/loop%d"):format(dir, number)) or ""
			local index = 1
			for word in text:gmatch("%d+") do
				sums[loop_words[index]] = (sums[loop_words[index]] or 0) + tonumber(word)
				index = index + 1
			end
			assert(index == 7, "a connect loop broke: " .. text)
		end
		return sums
	end
	function loops:stop()
		process.write_file(self.stop_file, "")
		return self:join()
	end
	return loops
end

--- Waits until another worker than `pid` answers, and returns its pid.
function accept.next_pid(port, pid, seconds)
	return wait.until_true(function ()
		local ok, now = pcall(accept.pid, port)
		return ok and now ~= pid and now
	end, seconds or 10, "a new worker")
end

return accept
