--- Work that runs in one process only (`module:singleton`): in one worker of the host that is in
-- charge (core/active_worker.lua says in which).
--
-- The right is ours while the host serves. A passive host has not got it yet; one that drains,
-- finishes or stops has given it up, because its successor may have been activated; undrain
-- takes it back. Between the two nobody has it: a gap is harmless, twice is not.

local log <const> = require "util.logger".init("singletons")
local timer <const> = require "util.timer"

local singletons <const> = {}

local list <const> = {} -- of { module, name, start, stop, running }
local ours = false
local serves = function () return true end
local may = function () return true end -- both given by follow

local function call(entry, what)
	local fn <const> = entry[what]
	if not fn then
		return
	end
	local ok, err = xpcall(fn, debug.traceback)
	if not ok then
		log("error", "mod_%s: %s of the singleton '%s': %s", entry.module.name, what, entry.name,
			tostring(err))
	end
end

local function start(entry)
	if ours and not entry.running then
		entry.running = true
		call(entry, "start")
	end
end

local function stop(entry)
	if entry.running then
		entry.running = false
		call(entry, "stop")
	end
end

--- The host serves: everything starts that does not run, if the right is ours.
function singletons.begin()
	if not ours and serves() and may() then
		ours = true
		for _, entry in ipairs(table.move(list, 1, #list, 1, {})) do
			start(entry)
		end
	end
end

--- The right is given up: everything has been stopped when this returns, the newest first.
function singletons.cease()
	ours = false
	for i = #list, 1, -1 do
		stop(list[i])
	end
end

--- Whether the right is ours.
function singletons.ours()
	return ours
end

--- Adds work; it starts at once if the right is ours.
-- @param module its api
-- @param name unique in the module; raises otherwise
-- @param fn_start, fn_stop functions; fn_stop is optional. An error in them is logged
function singletons.add(module, name, fn_start, fn_stop)
	for _, entry in ipairs(list) do
		if entry.module == module and entry.name == name then
			error(("module:singleton: '%s' is there already"):format(name), 3)
		end
	end
	local entry <const> = { module = module, name = name, start = fn_start, stop = fn_stop,
		running = false }
	list[#list + 1] = entry
	start(entry)
end

--- Stops what a module has; called before its unload.
function singletons.stop_module(module)
	for i = #list, 1, -1 do
		if list[i].module == module then
			stop(list[i])
		end
	end
end

--- Forgets what a module has.
-- @return list for restore()
function singletons.remove_module(module)
	singletons.stop_module(module)
	local removed <const> = {}
	for i = #list, 1, -1 do
		if list[i].module == module then
			table.insert(removed, 1, table.remove(list, i))
		end
	end
	return removed
end

--- Brings back what remove_module took away.
function singletons.restore(removed)
	for _, entry in ipairs(removed) do
		list[#list + 1] = entry
		start(entry)
	end
end

--- Follows the lifecycle from here on.
-- @param events prosody.events
-- @param state function that tells the state
-- @param has_right optional function: whether this worker is the one
function singletons.follow(events, state, has_right)
	serves = function () return state() == "serving" end
	may = has_right or may
	events.add_handler("lifecycle-changed", function (event)
		if event.to ~= "serving" then
			return singletons.cease()
		end
		-- A turn later: a worker that is restarted into a drained host serves for an instant.
		timer.add_task(0, singletons.begin)
	end, 100)
end

return singletons
