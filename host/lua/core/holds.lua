-- Named holds: who keeps a lifecycle event from going on, and until when.
--
-- A set belongs to one firing of one event. It knows nothing of phases; whoever waits for it is
-- told by `on_empty`. A hold ends by its release function, at its own limit, when its module is
-- unloaded, or when the set is closed; the first of these wins and the others do nothing.

local log <const> = require "util.logger".init("holds")
local time <const> = require "util.time"
local timer <const> = require "util.timer"

local holds = {}
local set_methods = {}
local set_mt = { __index = set_methods }

-- Sets that are open now, so that an unloaded module lets go everywhere.
local open_sets = setmetatable({}, { __mode = "k" })

--- The module that a function belongs to.
-- A module's functions are told from the host's by their environment, which carries `module`; a
-- function that uses no global has none, so the file's name is the second witness.
-- @param fn the function
-- @return name, or nil for the host's own
function holds.module_of(fn)
	for i = 1, 255 do
		local name, value = debug.getupvalue(fn, i)
		if not name then
			break
		end
		if name == "_ENV" and type(value) == "table" then
			local module = rawget(value, "module")
			if type(module) == "table" and module.name then
				return module.name
			end
			break
		end
	end
	local source = debug.getinfo(fn, "S").source
	return source:match("mod_([%w_]+)%.lua$") or source:match("mod_([%w_]+)/[^/]+%.lua$")
end

--- The name of the module whose code is running.
-- @param level how many stack levels above the caller to begin at (default 1: the caller's caller)
-- @return string, or nil when only the host's own code is on the stack
function holds.calling_module(level)
	for at = (level or 1) + 1, 24 do
		local info = debug.getinfo(at, "fS")
		if not info then
			return nil
		end
		local name = info.what ~= "C" and holds.module_of(info.func)
		if name then
			return name
		end
	end
end

--- A new, empty set.
-- @param opts table, all optional: `deadline` (monotonic seconds at which the waiting ends, or a
--   function that returns it), `on_empty` (called each time the last hold ends),
--   `on_expire(hold)`, and for specs
--   `now` and `timer`
-- @return the set
function holds.new(opts)
	opts = opts or {}
	local set = setmetatable({
		list = {}, size = 0, closed = false, expired = {},
		deadline = opts.deadline, on_empty = opts.on_empty, on_expire = opts.on_expire,
		now = opts.now or time.monotonic, timer = opts.timer or timer,
	}, set_mt)
	open_sets[set] = true
	return set
end

local function remove(set, hold)
	if not set.list[hold] then
		return false
	end
	set.list[hold] = nil
	set.size = set.size - 1
	if hold.timer then
		set.timer.stop(hold.timer)
		hold.timer = nil
	end
	return true
end

local function tell_empty(set)
	if set.size == 0 and not set.closed and set.on_empty then
		set.on_empty()
	end
end

local function expire(set, hold)
	hold.timer = nil
	if not remove(set, hold) then
		return
	end
	hold.ended = set.now()
	set.expired[#set.expired + 1] = hold
	log("warn", "hold '%s' of %s was not released within %g s", hold.hold, hold.module or "the host",
		hold.limit)
	if hold.on_expire then
		local ok, err = pcall(hold.on_expire)
		if not ok then
			log("error", "on_expire of hold '%s' of %s: %s", hold.hold, hold.module or "the host",
				tostring(err))
		end
	end
	if set.on_expire then
		set.on_expire(hold)
	end
	tell_empty(set)
end

--- Takes a hold. After the set was closed this does nothing.
-- @param name what is being waited for, in words for the operator
-- @param seconds optional limit of this hold
-- @param on_expire optional function, called if the limit passes first
-- @param conn optional connection the hold stands for
-- @param module optional name of the holder; by default the module whose code is running
-- @return release function; calling it again does nothing
function set_methods:hold(name, seconds, on_expire, conn, module)
	if self.closed then
		return function () end
	end
	local hold = {
		hold = tostring(name), module = module or holds.calling_module(2), conn = conn,
		since = self.now(), limit = seconds, on_expire = on_expire,
	}
	self.list[hold] = true
	self.size = self.size + 1
	if seconds and seconds < math.huge then
		hold.timer = self.timer.add_task(seconds, function () expire(self, hold) end)
	end
	return function ()
		if remove(self, hold) then
			tell_empty(self)
		end
	end
end

--- Seconds until the waiting ends.
-- @return number ≥ 0; math.huge without a deadline
function set_methods:remaining()
	local deadline = self.deadline
	if type(deadline) == "function" then
		deadline = deadline()
	end
	if not deadline then
		return math.huge
	end
	local left = deadline - self.now()
	return left > 0 and left or 0
end

--- Who holds now, oldest first, in the words of the status object.
-- @return list of { module, hold, conn (its id), since (seconds held), left (seconds) }
function set_methods:holders()
	local list, now = {}, self.now()
	for hold in pairs(self.list) do
		local left = self:remaining()
		if hold.limit and hold.limit - (now - hold.since) < left then
			left = hold.limit - (now - hold.since)
		end
		list[#list + 1] = {
			module = hold.module, hold = hold.hold, since = now - hold.since, left = left,
			conn = hold.conn and tostring(hold.conn.id or hold.conn) or nil,
		}
	end
	table.sort(list, function (a, b) return a.since > b.since end)
	return list
end

--- Ends the waiting: what is still held is returned and let go, later holds and releases do
-- nothing.
-- @return list as of holders()
function set_methods:close()
	local left = self:holders()
	self.closed = true
	open_sets[self] = nil
	for hold in pairs(self.list) do
		remove(self, hold)
		if hold.on_expire then
			local ok, err = pcall(hold.on_expire)
			if not ok then
				log("error", "on_expire of hold '%s': %s", hold.hold, tostring(err))
			end
		end
	end
	return left
end

--- Holds that passed their own limit, as holders() tells them.
-- @return list of { module, hold, conn, seconds }
function set_methods:expired_holders()
	local list = {}
	for i, hold in pairs(self.expired) do
		list[i] = {
			module = hold.module, hold = hold.hold, seconds = hold.ended - hold.since,
			conn = hold.conn and tostring(hold.conn.id or hold.conn) or nil,
		}
	end
	return list
end

--- Gives an event table its `hold`, `remaining` and `deadline`; fields that are there already stay.
-- @param event the payload, changed in place
-- @param set the set that the holds go to
-- @return event
function holds.attach(event, set)
	if rawget(event, "hold") == nil then
		event.hold = function (_, name, seconds, on_expire, conn)
			return set:hold(name, seconds, on_expire, conn, holds.calling_module(1))
		end
	end
	if rawget(event, "remaining") == nil then
		event.remaining = function () return set:remaining() end
	end
	if rawget(event, "deadline") == nil then
		local deadline = set.deadline
		event.deadline = type(deadline) == "function" and deadline() or deadline
	end
	return event
end

--- Lets go of everything that a module holds: it was unloaded and cannot do it any more.
-- @param name the module's name
function holds.release_module(name)
	for set in pairs(open_sets) do
		local found
		for hold in pairs(set.list) do
			if hold.module == name and remove(set, hold) then
				found = true
			end
		end
		if found and next(set.list) == nil then
			tell_empty(set)
		end
	end
end

return holds
