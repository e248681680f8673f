--- Verbs and signals at random against real hosts: what may follow what is the table of
--- core/lifecycle_states, read from the log.

local assert <const> = require "luassert"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local states <const> = require "core.lifecycle_states"
local wait <const> = require "spec.support.wait"

local random_walk <const> = {}

local config <const> = [[
	signals = { SIGWINCH = "drain", SIGURG = "undrain", SIGALRM = "reopen-logs", SIGUSR2 = "none" }
	lameduck_period = 0.05; shutdown_timeout = 3; finish_idle_wait = 2; worker_timeout = 30
]]

local busy <const> = [[
	module:set_global()
	module:hook("shutdown/close-clients", function (event)
		if math.random() < 0.3 then module:add_timer(math.random() * 0.1, event:hold("busy")) end
	end)
]]

local signals <const> = { "HUP", "WINCH", "URG", "ALRM", "USR2", "PIPE", "CHLD", "CONT", "TTOU" }
local ends <const> = { "TERM", "INT", "QUIT", "USR1" }
local verbs <const> = { "drain()", "undrain()", "abort()", "extend(0.1)", "drain('echo')",
	"undrain('echo')", "state()" }
local last_verbs <const> = { "finish()", "stop('walk')", "stop('walk', nil, { now = true })" }

local function any(list) return list[math.random(#list)] end

-- One step; false when the host does not answer any more.
local function step(host)
	local kind <const>, last <const> = math.random(), math.random() < 0.04
	if kind < 0.6 then
		return host.d:signal(any(last and ends or signals))
	elseif kind < 0.95 then
		return (pcall(host.control, "return lifecycle." .. any(last and last_verbs or verbs)))
	end
	wait.sleep(math.random() * 0.02)
	return true
end

-- Both machines, the worker's and the keeper's, made legal moves only and ended in the last state.
local function check(d)
	for _, who in ipairs { "lifecycle", "keeper" } do
		local at = "starting"
		for from, to in d:log():gmatch("\n" .. who .. " +%l+\t(%l+) %-> (%l+)") do
			if who == "lifecycle" then
				assert.equal(at, from, d:log())
				assert.is_true(states.legal[from][to] or false, from .. " -> " .. to)
			end
			at = to
		end
		assert.equal("stopped", at, who .. "\n" .. d:log())
	end
	assert.equal(1, #d:log_lines("shutdown report:"))
	assert.same({}, d:log_lines("Error in a handler"))
end

local function new_host()
	local d <const> = shutdown.start { enable = { "graceful_shutdown", "lameduck", "busy" },
		modules = { busy = busy }, config = config, exit = false }
	return { d = d, control = shutdown.control(d) }
end

local function finish(host)
	local d <const> = host.d
	for _ = 1, 4 do
		d:signal("TERM")
		if d:wait_exit(5) then break end
	end
	assert.truthy(d.exit_status == 0 or d.exit_status == 75, "status " .. tostring(d.exit_status))
	assert.is_nil(process.read_file(d.dir .. "/run/gadwall.pid"))
	check(d)
	d:stop()
end

--- Walks; a host that has ended is followed by a new one.
---@param steps integer
---@param over function|nil () → boolean: ends it before
---@return integer hosts that were needed
function random_walk.run(steps, over)
	local seed <const> = tonumber(os.getenv("GADWALL_SEED")) or os.time()
	print("seed " .. seed .. " (GADWALL_SEED)")
	math.randomseed(seed)
	local host, hosts = new_host(), 1
	for _ = 1, steps do
		if over and over() then break end
		local ok <const> = step(host)
		local stopping <const> = not ok or host.d:state().state == "stopped"
			or not process.alive(host.d.keeper_pid)
		if stopping then
			finish(host)
			host, hosts = new_host(), hosts + 1
		end
	end
	finish(host)
	return hosts
end

return random_walk
