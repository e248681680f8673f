--- Running the host's own loop from a spec until something is true.

local host_loop <const> = require "host.loop"
local host_net <const> = require "host.net"
local timer <const> = require "host.timer"
local wait <const> = require "spec.support.wait"

local turns <const> = {}

--- Runs the loop until `fn` returns something true; raises when it does not come.
---@param fn function looked at every 2 ms
---@param seconds number|nil default 5, more on a loaded machine (`wait.over`)
---@param what string|nil words for the message
---@return any the true value
function turns.run_until(fn, seconds, what)
	local value, late
	local begin = host_loop.monotonic()
	timer.add(0, function ()
		value = fn()
		late = not value and wait.over(host_loop.monotonic() - begin, seconds or 5)
		if value or late then
			host_loop.quit()
			return
		end
		return 0.002
	end)
	host_loop.run()
	if late then
		error(("timed out after %g s waiting for %s"):format(seconds or 5, what or "a condition"), 2)
	end
	return value
end

--- Runs the loop for a time; only where the passing of time is the subject.
function turns.run_for(seconds)
	local done = false
	timer.add(seconds, function () done = true end)
	turns.run_until(function () return done end, seconds + 5)
end

--- Closes everything that the spec left open and waits for it.
function turns.close_all()
	for _, handle in ipairs(host_net.servers()) do handle:close_now() end
	for _, handle in ipairs(host_net.handles()) do handle:destroy() end
	turns.run_until(function ()
		local stats = host_net.stats()
		return stats.connections == 0 and stats.listeners == 0
	end, 2, "everything to close")
end

--- A listener table that notes what it hears: list of { event, arguments… }, with `data` and
-- `count`.
---@param extra table|nil callbacks that are called after noting
function turns.recorder(extra)
	local record = { events = {}, data = "", count = {} }
	record.listeners = {}
	for _, name in ipairs { "onconnect", "onincoming", "ondisconnect", "ondrain", "onreadtimeout",
		"onattach", "ondetach" } do
		record.listeners[name] = function (conn, ...)
			record.conn = conn
			record.events[#record.events + 1] = { name, ... }
			record.count[name] = (record.count[name] or 0) + 1
			if name == "onincoming" then record.data = record.data .. tostring((...)) end
			if name == "ondisconnect" then record.why = (...) end
			local then_do = extra and extra[name]
			if then_do then return then_do(conn, ...) end
		end
	end
	function record.names()
		local names = {}
		for _, event in ipairs(record.events) do names[#names + 1] = event[1] end
		return table.concat(names, " ")
	end
	return record
end

return turns
