-- Named events with prioritised handlers, as Prosody's util.events, and two things it has not:
-- handlers of equal priority run in the order they were added, and events that are declared
-- isolated survive a handler that raises.
--
-- `_handlers` (event -> sorted list, built on demand by __index, emptied by assigning nil) and
-- `_event_map` (event -> handler -> priority) are public on purpose: net.http.server puts its own
-- metatable on the first, util.helpers reads both.

local next <const>, pairs <const> = next, pairs
local setmetatable <const>, tostring <const>, xpcall <const> = setmetatable, tostring, xpcall
local remove <const>, sort <const> = table.remove, table.sort
local traceback <const> = debug.traceback

local function with_traceback(err)
	return traceback(tostring(err), 2)
end

-- What a debug hook has to do at least.
local function call(handler, _, data)
	return handler(data)
end

-- Handlers by event, their order, and how each event treats a handler that raises.
local function new_registry(options)
	local event_map, order, modes = {}, {}, {}
	local isolate = options and options.isolate
	local serial = 0

	local handlers = setmetatable({}, { __index = function (self, event)
		local priorities = event_map[event]
		if not priorities or next(priorities) == nil then return end
		local added, list, n = order[event], {}, 0
		for handler in pairs(priorities) do
			n = n + 1
			list[n] = handler
		end
		sort(list, function (a, b)
			local pa, pb = priorities[a], priorities[b]
			if pa ~= pb then return pa > pb end
			return added[a] < added[b]
		end)
		modes[event] = isolate and isolate(event) or nil
		self[event] = list
		return list
	end })

	local function add_handler(event, handler, priority)
		local priorities = event_map[event]
		if not priorities then
			priorities = {}
			event_map[event], order[event] = priorities, {}
		end
		if priorities[handler] == nil then
			serial = serial + 1
			order[event][handler] = serial
		end
		priorities[handler] = priority or 0
		handlers[event] = nil
	end

	local function remove_handler(event, handler)
		local priorities = event_map[event]
		if not priorities then return end
		priorities[handler], order[event][handler] = nil, nil
		handlers[event] = nil
		if next(priorities) == nil then
			event_map[event], order[event] = nil, nil
		end
	end

	local function set_isolation(new_isolate)
		isolate = new_isolate
		for event in pairs(event_map) do
			handlers[event], modes[event] = nil, nil
		end
	end

	return {
		handlers = handlers, event_map = event_map, modes = modes,
		add_handler = add_handler, remove_handler = remove_handler, set_isolation = set_isolation,
	}
end

-- Wrappers run around an event's handlers: the one added last is outermost, those of `false` (every
-- event) stand inside those of the event.
-- `object.wrapped` says whether there is one at all (`object.debugged`: whether a debug hook).
local function new_wrappers(object, fire)
	local by_event, global = {}, nil

	local function run(list, i, event, data)
		if i > 0 then
			return list[i](function (inner_event, inner_data)
				return run(list, i - 1, inner_event, inner_data)
			end, event, data)
		elseif global and list ~= global then
			return run(global, #global, event, data)
		end
		return fire(event, data)
	end

	local function add(event, wrapper)
		object.wrapped = true
		local list = global
		if event ~= false then list = by_event[event] end
		if list then
			list[#list + 1] = wrapper
		elseif event == false then
			global = { wrapper }
		else
			by_event[event] = { wrapper }
		end
	end

	local function delete(event, wrapper)
		local list = global
		if event ~= false then list = by_event[event] end
		if not list then return end
		for i = #list, 1, -1 do
			if list[i] == wrapper then remove(list, i) end
		end
		if #list > 0 then return end
		if event == false then global = nil else by_event[event] = nil end
		object.wrapped = global ~= nil or next(by_event) ~= nil
	end

	local function fire_wrapped(event, data)
		local list = by_event[event] or global
		if list then return run(list, #list, event, data) end
		return fire(event, data)
	end

	function object.is_wrapped(event)
		return (by_event[event] or global) ~= nil
	end

	return fire_wrapped, add, delete
end

--- A new, empty set of events. Its functions are called with a dot, not a colon.
-- @param options nil, or a table:
--   isolate(event) -> nil: as Prosody (an error goes to the caller of fire_event, the first
--     non-nil return value ends the chain and is returned);
--     "all": a handler that raises is reported and the rest still run, return values are not
--     looked at, fire_event returns nothing;
--     "first": the same, but the first non-nil return value ends the chain and is returned.
--     Asked when the list of handlers is built, not at every fire.
--   on_error(event, handler, text): told of each error, with its traceback.
-- @return add_handler(event, fn [, priority = 0]): fn again only changes its priority;
--   remove_handler(event, fn), add_handlers(map), remove_handlers(map), get_handlers(event),
--   fire_event(event, data), add_wrapper / wrappers.add_handler(event or false, fn(handlers, event,
--   data)), remove_wrapper / wrappers.remove_handler, is_wrapped(event), set_isolation(isolate,
--   on_error), set_debug_hook(fn(handler, event, data)) -> the old one; call(fn, event, data): one
--   handler as fire_event calls it, through the debug hook.
--   What is added or removed during a fire counts from the next fire on. Handlers may yield.
local function new(options)
	local registry = new_registry(options)
	local handlers <const>, modes <const> = registry.handlers, registry.modes
	local on_error = options and options.on_error
	local debug_hook

	local function fire_isolated(list, mode, event, data)
		for i = 1, #list do
			local handler = list[i]
			local ok, ret = xpcall(debug_hook or call, with_traceback, handler, event, data)
			if not ok then
				if on_error then on_error(event, handler, ret) end
			elseif ret ~= nil and mode == "first" then
				return ret
			end
		end
	end

	local function fire_hooked(list, event, data)
		for i = 1, #list do
			local ret = (debug_hook or call)(list[i], event, data)
			if ret ~= nil then return ret end
		end
	end

	local function fire(event, data)
		local list = handlers[event]
		if not list then return end
		local mode = modes[event]
		if mode then return fire_isolated(list, mode, event, data) end
		if debug_hook then return fire_hooked(list, event, data) end
		for i = 1, #list do
			local ret = list[i](data)
			if ret ~= nil then return ret end
		end
	end

	local self <const> = {
		add_handler = registry.add_handler,
		remove_handler = registry.remove_handler,
		add_handlers = function (map)
			for event, handler in pairs(map) do registry.add_handler(event, handler) end
		end,
		remove_handlers = function (map)
			for event, handler in pairs(map) do registry.remove_handler(event, handler) end
		end,
		get_handlers = function (event) return handlers[event] end,
		set_isolation = function (isolate, report)
			on_error = report
			registry.set_isolation(isolate)
		end,
		call = function (handler, event, data)
			return (debug_hook or call)(handler, event, data)
		end,
		_handlers = handlers,
		_event_map = registry.event_map,
	}
	function self.set_debug_hook(hook)
		local old = debug_hook
		debug_hook, self.debugged = hook, hook ~= nil
		return old
	end
	local fire_wrapped
	fire_wrapped, self.add_wrapper, self.remove_wrapper = new_wrappers(self, fire)
	-- The usual case is here whole: two calls less for each event.
	function self.fire_event(event, data)
		if self.wrapped then return fire_wrapped(event, data) end
		local list = handlers[event]
		if not list then return end
		if debug_hook or modes[event] then return fire(event, data) end
		for i = 1, #list do
			local ret = list[i](data)
			if ret ~= nil then return ret end
		end
	end
	self.wrappers = { add_handler = self.add_wrapper, remove_handler = self.remove_wrapper }
	return self
end

return { new = new }
