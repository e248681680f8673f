--- Which handlers a request meets: exact events and wildcards, the most specific first.

local routes <const> = {}

-- Resolved lists of paths that no route names outright: so many, and so many bytes of names, which
-- clients make up, are remembered. More are forgotten together.
local most <const>, most_bytes <const> = 10000, 1024 * 1024

local function is_wildcard(event)
	return event:sub(-2) == "/*"
end

local function covers(wildcard, event)
	return event:sub(1, #wildcard - 1) == wildcard:sub(1, -2)
end

local function rank(event, priority, order)
	local _, slashes = event:gsub("/", "")
	return { slashes = slashes, exact = is_wildcard(event) and 0 or 1, priority = priority,
		order = order }
end

local function before(a, b)
	for _, key in ipairs { "slashes", "exact", "priority" } do
		if a[key] ~= b[key] then
			return a[key] > b[key]
		end
	end
	return a.order < b.order
end

local function meets(path, targets)
	for _, target in ipairs(targets) do
		if path == target or is_wildcard(path) and covers(path, target) then
			return true
		end
	end
	return false
end

--- The methods for which there are handlers.
-- @param event_map of util.events
-- @param targets list of "/path" and "host/path"; nil: of whatever path
-- @return sorted list, and the set; HEAD is among them where GET is
function routes.methods(event_map, targets)
	local set <const>, list <const> = {}, {}
	for name in pairs(event_map) do
		local method <const>, path <const> = name:match("^(%S+) (.*)$")
		if method and (not targets or meets(path, targets)) then
			set[method] = true
		end
	end
	set.HEAD = set.HEAD or set.GET
	for method in pairs(set) do
		list[#list + 1] = method
	end
	table.sort(list)
	return list, set
end

-- Handlers of all events that match, sorted.
local function resolve(event_map, event)
	local list, ranks = {}, {}
	for name, handlers in pairs(event_map) do
		if name == event or is_wildcard(name) and covers(name, event) then
			for handler, priority in pairs(handlers) do
				local new = rank(name, priority, #list)
				if not ranks[handler] then
					list[#list + 1] = handler
					ranks[handler] = new
				elseif before(new, ranks[handler]) then
					ranks[handler] = new
				end
			end
		end
	end
	table.sort(list, function (a, b) return before(ranks[a], ranks[b]) end)
	return #list > 0 and list or false
end

-- Calls fn behind every function of events that changes which handlers are called.
local function tell(events, fn)
	for _, name in ipairs { "add_handler", "remove_handler", "add_handlers", "remove_handlers",
		"add_wrapper", "remove_wrapper", "set_isolation", "set_debug_hook" } do
		local change <const> = events[name]
		events[name] = function (...)
			fn()
			return change(...)
		end
	end
	events.wrappers = { add_handler = events.add_wrapper, remove_handler = events.remove_wrapper }
end

--- Makes a set of events (util.events) match by wildcards.
-- @param changed called before the handlers of an event change
function routes.install(events, changed)
	tell(events, changed)
	local handlers <const>, event_map <const> = events._handlers, events._event_map
	local guesses, count, bytes = {}, 0, 0

	local function forget()
		for event in pairs(guesses) do
			rawset(handlers, event, nil)
		end
		guesses, count, bytes = {}, 0, 0
	end

	setmetatable(handlers, {
		__index = function (_, event)
			if is_wildcard(event) then
				return nil
			end
			local list = resolve(event_map, event)
			if not event_map[event] then
				if count >= most or bytes >= most_bytes then
					forget()
				end
				guesses[event], count, bytes = true, count + 1, bytes + #event
			end
			rawset(handlers, event, list)
			return list
		end,
		__newindex = function (_, event, list)
			if list == nil and is_wildcard(event) then
				forget() -- first: of the guesses there may be thousands, and wildcards come in numbers
				for name in pairs(event_map) do
					if covers(event, name) then
						rawset(handlers, name, nil)
					end
				end
				return
			end
			rawset(handlers, event, list)
		end,
	})
end

return routes
