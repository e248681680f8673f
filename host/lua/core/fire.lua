-- Firing an event whose handlers may wait: each runs in an async runner of its own, one after the
-- other, so that one that raises costs only itself and one that never ends costs only its waiting
-- time.

local async <const> = require "util.async"
local blame <const> = require "core.blame"
local holds <const> = require "core.holds"
local log <const> = require "util.logger".init("events")

local fire <const> = {}

--- Where a handler comes from.
-- @return { module (name or nil), file, line }
function fire.origin(handler)
	local info = debug.getinfo(handler, "S")
	return {
		module = holds.module_of(handler), file = info.short_src, line = info.linedefined,
	}
end

--- The handlers of a host event in the order in which they are called.
-- @return list of functions, a copy
function fire.handlers(name)
	local list = {}
	for i, handler in ipairs(prosody.events.get_handlers(name) or {}) do
		list[i] = handler
	end
	return list
end

local function raised(name, handler, err, on_error)
	local origin = fire.origin(handler)
	log("error", "handler of %s in %s (%s:%d): %s", name, origin.module or "the host", origin.file,
		origin.line, tostring(err))
	if on_error then
		on_error(name, origin.module, err, ("%s:%d"):format(origin.file, origin.line))
	end
end

-- Starts one handler; true while it waits. `ended` is called only if it had to wait.
local function start(name, handler, event, on_error, ended)
	local done, waited = false, false
	local function finished()
		done = true
		if waited then
			ended()
		end
	end
	local origin = fire.origin(handler)
	blame.enter(name, origin.module, origin.file .. ":" .. origin.line)
	async.runner(function (data)
		prosody.events.call(handler, name, data)
		finished()
	end, {
		error = function (_, err)
			raised(name, handler, err, on_error)
			finished()
		end,
	}):run(event)
	blame.leave()
	waited = not done
	return waited
end

--- Calls the handlers in order; one that waits (util.async) is waited for before the next begins.
-- What they return silences nobody.
-- @param name of the event
-- @param event its payload
-- @param opts optional table: `on_error(event name, module, error, "file:line")`, `done()`
-- @return a control: `cut()` begins all that are left without waiting for any of them;
--   `waits_for()` → the handler that is waited for
function fire.in_order(name, event, opts)
	opts = opts or {}
	local list, at, cut, over = fire.handlers(name), 0, false, false
	local step
	local function finish()
		if not over then
			over = true
			if opts.done then
				opts.done()
			end
		end
	end
	function step()
		while at < #list do
			at = at + 1
			local mine = at
			local waits = start(name, list[at], event, opts.on_error, function ()
				if not cut and mine == at then
					step()
				end
			end)
			if waits and not cut then
				return
			end
		end
		finish()
	end
	step()
	return {
		cut = function ()
			cut = true
			step()
		end,
		waits_for = function ()
			return list[at]
		end,
	}
end

--- Calls one handler now; if it waits, a hold is taken on the event until it has ended.
-- @param name of the event
-- @param handler function
-- @param event its payload, with `hold`
-- @param on_error optional, as in in_order
function fire.one(name, handler, event, on_error)
	local release
	local waits = start(name, handler, event, on_error, function () release() end)
	if waits then
		release = event:hold("handler of " .. name)
	end
end

--- Calls all handlers now, each as in fire.one.
function fire.held(name, event, on_error)
	for _, handler in ipairs(fire.handlers(name)) do
		fire.one(name, handler, event, on_error)
	end
end

return fire
