-- Promises; API of Prosody's util.promise. Callbacks run at once when the promise settles, not in a
-- later turn; only what new() starts goes through next_tick.

local getmetatable <const>, setmetatable <const> = getmetatable, setmetatable
local pairs <const>, select <const>, xpcall <const> = pairs, select, xpcall
local traceback <const>, unpack <const> = debug.traceback, table.unpack

local methods = {}
local mt <const> = { __name = "promise", __index = methods }

local function at_once(f)
	f()
end

local next_tick = at_once

function mt:__tostring()
	return "promise (" .. (self._state or "invalid") .. ")"
end

local function is_promise(o)
	return getmetatable(o) == mt
end

local function settle(self, state, value)
	local waiting = self._waiting
	self._state, self._waiting = state, nil
	if state == "fulfilled" then self.value = value else self.reason = value end
	for i = 1, #waiting do
		waiting[i](state, value)
	end
end

-- resolve and reject of one promise; the first call counts. A promise given to resolve is awaited.
local function resolvers(self)
	local done = false
	local function resolve(value)
		if done then return end
		done = true
		if is_promise(value) then
			value:next(resolvers(self))
		else
			settle(self, "fulfilled", value)
		end
	end
	local function reject(reason)
		if done then return end
		done = true
		settle(self, "rejected", reason)
	end
	return resolve, reject
end

--- @param f called with resolve(value or promise) and reject(reason); an error in it rejects, a
--   string then has its traceback
local function new(f)
	local self = setmetatable({ _state = "pending", _waiting = {} }, mt)
	if f then
		next_tick(function ()
			local resolve, reject = resolvers(self)
			local ok, err = xpcall(f, traceback, resolve, reject)
			if not ok then reject(err) end
		end)
	end
	return self
end

--- @return a promise of what the callback for this one's outcome returns; without a callback the
--   outcome passes through
function methods:next(on_fulfilled, on_rejected)
	return new(function (resolve, reject)
		local function continue(state, value)
			local callback, pass = on_fulfilled, resolve
			if state == "rejected" then callback, pass = on_rejected, reject end
			if not callback then return pass(value) end
			local ok, ret = xpcall(callback, traceback, value)
			if ok then resolve(ret) else reject(ret) end
		end
		if self._state == "pending" then
			self._waiting[#self._waiting + 1] = continue
		elseif self._state == "fulfilled" then
			continue("fulfilled", self.value)
		else
			continue("rejected", self.reason)
		end
	end)
end

function methods:catch(on_rejected)
	return self:next(nil, on_rejected)
end

local function resolve(value)
	return new(function (fulfil) fulfil(value) end)
end

local function reject(reason)
	return new(function (_, refuse) refuse(reason) end)
end

--- Calls on_finally() in both cases and passes the outcome on, unless on_finally raises.
function methods:finally(on_finally)
	return self:next(function (value)
		on_finally()
		return value
	end, function (reason)
		on_finally()
		return reject(reason)
	end)
end

-- Waits for every promise in a table; without on_reason the first rejection ends it.
local function gather(promises, on_value, on_reason)
	return new(function (fulfil, refuse)
		local results, left, listed = {}, 0, false
		local function arrived()
			left = left - 1
			if left == 0 and listed then fulfil(results) end
		end
		for key, value in pairs(promises) do
			if is_promise(value) then
				left = left + 1
				value:next(function (v)
					results[key] = on_value(v)
					arrived()
				end, function (reason)
					if not on_reason then return refuse(reason) end
					results[key] = on_reason(reason)
					arrived()
				end)
			else
				results[key] = value
			end
		end
		listed = true
		if left == 0 then fulfil(results) end
	end)
end

--- @return promise of a table of all values (any keys; what is no promise passes through), rejected
--   with the first reason
local function all(promises)
	return gather(promises, function (value) return value end)
end

--- @return promise of a table of { status = "fulfilled", value } or { status = "rejected", reason }
local function all_settled(promises)
	return gather(promises, function (value)
		return { status = "fulfilled", value = value }
	end, function (reason)
		return { status = "rejected", reason = reason }
	end)
end

--- Calls handler(value, …) when all the promises are fulfilled.
local function join(handler, ...)
	local n = select("#", ...)
	return all({ ... }):next(function (values) return handler(unpack(values, 1, n)) end)
end

--- The outcome of the first in a list that settles.
local function race(promises)
	return new(function (fulfil, refuse)
		for i = 1, #promises do
			promises[i]:next(fulfil, refuse)
		end
	end)
end

--- A promise of what f() returns.
local function try(f)
	return resolve():next(function () return f() end)
end

return {
	new = new, is_promise = is_promise, resolve = resolve, reject = reject,
	all = all, all_settled = all_settled, join = join, race = race, try = try,
	--- @param f calls its argument later, or nil: at once
	set_nexttick = function (f) next_tick = f or at_once end,
}
