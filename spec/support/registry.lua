--- Hosts that share the session registry through a Redis, for specs of mod_sessions_redis.

local daemon <const> = require "spec.support.daemon"
local redis <const> = require "spec.support.redis"
local wait <const> = require "spec.support.wait"

local registry <const> = {}

-- Entries through the console; events and adoptions as log lines "heard EVENT ID STATE".
registry.module = [[
	module:set_global()
	local store <const> = module:open_registry { onadopt = function (id, value, from)
		module:log("info", "adopted %s %s from %s", id, value.text, from)
	end }
	local function command(name, args, handler)
		local list <const> = {}
		for i, arg in ipairs(args) do list[i] = { name = arg, type = "string" } end
		module:add_item("shell-command", { section = "reg", section_desc = "registry", name = name,
			desc = name, args = list, handler = function (_, ...) return true, handler(...) end })
	end
	command("set", { "id", "text" }, function (id, text)
		return tostring(store:set(id, { text = text }))
	end)
	command("fill", { "from", "to" }, function (from, to)
		for i = math.tointeger(from), math.tointeger(to) do
			assert(store:set("id" .. i, { text = "text " .. i }))
		end
		return "filled"
	end)
	command("remove", { "id" }, function (id) return tostring(store:remove(id)) end)
	command("count", {}, function () return tostring(store.count) end)
	command("find", { "id" }, function (id)
		local found, why = require "util.async".wait_for(store:find(id))
		return found and found.server_id .. " " .. found.value.text or "none " .. tostring(why)
	end)
	for _, name in ipairs { "peer-joined", "peer-left", "store-up", "store-down" } do
		module:hook(name, function (event)
			module:log("info", "heard %s %s %s", name, event.server_id or event.error or "-",
				event.state or "-")
		end)
	end
	module:singleton("work", function () module:log("info", "solo starts") end,
		function () module:log("info", "solo stops") end)
]]

--- Starts a host.
---@param path string the Unix socket of a Redis, or of what plays one
---@param more string|nil config; session_lease is 6, the pauses between tries are short
---@param args table|nil of `gadwall run`
---@return table daemon
function registry.host(path, more, args)
	-- A passive host that is activated gains a descriptor: the lock of the active generation. Where
	-- there are several workers the others still start when the first is ready.
	local fds <const> = not args and not (more or ""):find "workers"
	return daemon.start { modules = { reg = registry.module }, args = args, fds = fds, config = ([[
		modules_enabled = { "admin_socket", "admin_shell", "echo", "lameduck", "graceful_shutdown",
			"sessions_redis", "reg" }
		echo_ports = { 0 }; echo_interfaces = { "127.0.0.1" }; lameduck_period = 0.1
		redis = { path = %q }; session_lease = 6; redis_backoff = { 0.05, 0.5 }; redis_timeout = 1
		slow_callback = 2 -- a loaded machine takes its time
		%s ]]):format(path, more or "") }
end

--- Answer of a console command, without the word before it.
function registry.ask(d, line)
	local _, last = d:console(line)
	return (last:gsub("^%a+: ", ""))
end

--- Waits until a host finds an entry: "OWNER TEXT", or "none WHY".
function registry.finds(d, id, want)
	wait.until_true(function () return registry.ask(d, "reg find " .. id) == want end, 20,
		id .. " to be " .. want)
end

--- For `after_each`: the hosts, then their Redis.
function registry.finish_all()
	local ok, err = pcall(daemon.finish_all)
	redis.finish_all()
	if not ok then error(err, 0) end
end

--- Waits for a line "heard …".
function registry.heard(d, pattern, seconds)
	return d:wait_log("heard " .. pattern, seconds or 20)
end

--- `peers` of the status, by server_id; and the whole.
function registry.peers(d)
	local peers <const> = d:status().peers
	local map <const> = {}
	for _, peer in ipairs(peers.servers) do map[peer.server_id] = peer end
	return map, peers
end

--- Waits until a host sees a peer in a state (nil: not at all).
function registry.sees(d, server_id, state)
	wait.until_true(function ()
		local peer <const> = registry.peers(d)[server_id]
		return (peer and peer.state) == state
	end, 20, ("peer %s to be %s"):format(server_id, tostring(state)))
end

--- Waits until the echo service answers.
function registry.echoes(d)
	local c <close> = d:connect("echo")
	assert(c:send("hello\n"))
	return c:line() == "hello"
end

--- "+-": singletons that were started and stopped.
function registry.story(d)
	local text = ""
	for _, line in ipairs(d:log_lines("solo st")) do
		text = text .. (line:find("starts") and "+" or "-")
	end
	return text
end

return registry
