--- Two verbs at once: how a host comes into each state, how a verb is asked there.
-- The cells stand in spec/system/two_verbs*_spec.lua: state → verb → { what happens; function(d) }.

local assert <const> = require "luassert"
local process <const> = require "spec.support.process"
local shutdown <const> = require "spec.support.shutdown"
local wait <const> = require "spec.support.wait"

-- A signal for every verb: it reaches the keeper in each state, also without a worker.
local signal_of <const> = {
	reload = "HUP", drain = "WINCH", undrain = "URG", finish = "USR1", stop = "TERM",
	upgrade = "ALRM", rollback = "TTIN",
}

local config <const> = [[
	signals = { SIGWINCH = "drain", SIGURG = "undrain", SIGALRM = "upgrade", SIGTTIN = "rollback" }
	upgrade_probation = 0
	lameduck_period = 0.3; restart_limit = { 2, 30 }; restart_backoff = { 20, 20 }
	shutdown_timeout = 5
]]

-- Waits in its start while `FOLDER/hold` is there, dies while `FOLDER/die` is, holds a stop while
-- `FOLDER/busy` is.
local gate <const> = [[
	module:set_global()
	local folder = %q
	local function is(name)
		local file = io.open(folder .. "/" .. name)
		return file and file:close()
	end
	local function hold_while(name, event)
		if not is(name) then return end
		local release = event:hold(name)
		module:add_timer(0.02, function ()
			if is(name) then return 0.02 end
			release()
		end)
	end
	if is("die") then
		require "posix.signal".kill(require "posix.unistd".getpid(), 9)
	end
	module:hook("server-starting", function (event) hold_while("hold", event) end)
	module:hook("shutdown/close-clients", function (event) hold_while("busy", event) end)
	module:hook("server-stopping", function (event) hold_while("teardown", event) end)
	function module.unload() module:log("info", "the gate is unloaded") end
]]

local two <const> = {}

local function new_host(flags)
	local folder <const> = process.temp_dir()
	for _, name in ipairs(flags or {}) do process.write_file(folder .. "/" .. name, "") end
	local spec <const> = {
		config = config, exit = false, fds = false, allow = { "SIGKILL", "signal 9", "A callback took" },
		enable = { "graceful_shutdown", "lameduck", "gate" },
		modules = { gate = gate:format(folder) },
	}
	for _, name in ipairs(flags or {}) do
		if name == "hold" then spec.ready = "starting" end
	end
	local d <const> = shutdown.start(spec)
	d.flags = folder
	return d
end

function two.clear(d, name) os.remove(d.flags .. "/" .. name) end
function two.ask(d, verb) d:signal(signal_of[verb]) end
function two.reach(d, state)
	wait.until_true(function () return d:state().state == state end, 10, state .. "\n" .. d:log())
end
function two.ends(d, code)
	assert.equal(code, d:wait_exit(15))
end
function two.count(d, pattern) return #d:log_lines(pattern) end

-- What a console or a module hears at once.
function two.refused(d, verb, words)
	local line <const> = d.control("return lifecycle." .. verb .. "()")
	assert.truthy(line:find("cannot " .. verb .. ": " .. words, 1, true), line)
end

-- How a host comes into each state.
local states <const> = {}

function states.starting()
	local d <const> = new_host { "hold" }
	two.reach(d, "starting")
	-- a signal before the worker hears would be one without hooks; either way it is kept
	d:wait_log("worker g1.1 started")
	return d
end

function states.serving()
	local d <const> = new_host {}
	d.control = shutdown.control(d)
	return d
end

function states.draining()
	local d <const> = states.serving()
	d.control "return lifecycle.drain()"
	two.reach(d, "draining")
	return d
end

-- The idle wait, held by a client.
function states.finishing()
	local d <const> = states.serving()
	d.client = shutdown.client(d)
	d.control "return lifecycle.finish()"
	two.reach(d, "finishing")
	return d
end

states["the teardown of finishing"] = function ()
	local d <const> = new_host { "teardown" }
	d.control = shutdown.control(d)
	d.control "return lifecycle.finish()"
	d:wait_log("stopping: server%-stopping")
	return d
end

function states.stopping()
	local d <const> = new_host { "busy" }
	d.control = shutdown.control(d)
	d.control 'return lifecycle.stop("spec")'
	d:wait_log("stopping: close%-clients")
	return d
end

states["the lame-duck phase"] = function ()
	local d <const> = new_host {}
	d.control, d.client = shutdown.control(d), shutdown.client(d)
	d.control 'return lifecycle.stop("spec")'
	d:wait_log("stopping: lame%-duck")
	return d
end

function states.failed()
	local d <const> = new_host {}
	process.write_file(d.flags .. "/die", "")
	process.kill(d:worker_pid(), "KILL")
	two.reach(d, "failed")
	return d
end

--- One `it` for each cell.
---@param it function busted's
---@param cells table state → verb → { words, function(d) }
function two.run(it, cells)
	for state, row in pairs(cells) do
		for verb, cell in pairs(row) do
			it(("%s in %s %s"):format(verb, state, cell[1]), function ()
				local d <const> = states[state]()
				cell[2](d)
				if not d.exit_status then
					for _, flag in ipairs { "hold", "busy", "teardown", "die" } do two.clear(d, flag) end
					process.kill(d.keeper_pid, "TERM")
					d:wait_exit(15)
				end
				process.remove_tree(d.flags)
			end)
		end
	end
end

return two
