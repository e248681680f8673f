-- Child processes at the end of the host, and of the module that started them.
--
-- A stop ends all of them: TERM to the group of each, KILL to what is left after
-- `process_kill_timeout` or when the phase has no more time. A finish lets those live that survive.

local countdown <const> = require "core.countdown"
local modulemanager <const> = require "core.modulemanager"
local process <const> = require "net.process"

local children <const> = {}

-- What the phase keeps for itself after the last KILL, to see the end of it (s).
local margin <const> = 0.3

local function doomed(evict)
	local list <const> = {}
	for _, child in ipairs(process.list()) do
		if evict or not child.survive then
			list[#list + 1] = child
		end
	end
	return list
end

local function stop(child, phase, done)
	local limit <const> = math.min(process.kill_timeout(),
		math.max(0.05, phase.holds:remaining() - margin))
	local release <const> = phase.holds:hold(("child %s, pid %d"):format(child.name, child.pid),
		limit, nil, nil, child.module)
	child:stop(limit):next(function ()
		release()
		done()
	end)
end

--- Ends the children.
-- @param phase the running phase, whose holds name who is waited for
-- @param evict false: those that survive are let alone
-- @param done called once, when all have ended
-- @return function that ends the waiting: KILL to all that are left, done() follows at once
function children.stop_all(phase, evict, done)
	local list <const> = doomed(evict)
	local part <const>, finish <const> = countdown(#list, done)
	for _, child in ipairs(list) do
		stop(child, phase, part())
	end
	return function ()
		process.kill_now(list)
		finish()
	end
end

--- Nothing waits any more: KILL.
-- @param evict as above
function children.kill_all(evict)
	process.kill_now(doomed(evict))
end

--- A module that has gone takes its children with it, but for those that survive. A new keeper
-- hears of all that live, also of those that were started while there was none.
function children.init()
	prosody.events.add_handler("keeper-regained", process.register_all)
	modulemanager.on_unload(function (name)
		for _, child in ipairs(process.list(name)) do
			if not child.survive then
				child:stop()
			end
		end
	end)
end

return children
