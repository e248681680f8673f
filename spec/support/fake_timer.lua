--- A clock that stands still until a spec moves it, and the timers over it: for units that take
--- `now` and `timer` as arguments.
--
--	local clock <const> = fake_timer.new()
--	local set <const> = holds.new { now = clock.now, timer = clock }
--	clock.advance(2)

local fake_timer <const> = {}

---@return table clock: now(), advance(seconds), pending(), and util.timer's add_task and stop
function fake_timer.new()
	local clock <const> = {}
	local now, number, due = 100.0, 0, {}

	function clock.now() return now end

	function clock.add_task(delay, fn, param)
		number = number + 1
		due[number] = { at = now + delay, fn = fn, param = param, id = number }
		return number
	end

	function clock.stop(id)
		local known = due[id] ~= nil
		due[id] = nil
		return known
	end

	function clock.pending()
		local count = 0
		for _ in pairs(due) do count = count + 1 end
		return count
	end

	local function next_due(limit)
		local first
		for _, task in pairs(due) do
			local sooner = not first or task.at < first.at or task.at == first.at and task.id < first.id
			if task.at <= limit and sooner then first = task end
		end
		return first
	end

	--- Moves the clock and runs what is due, in order; bounded, so that a timer that re-arms itself
	--- with 0 fails the spec instead of hanging it.
	function clock.advance(seconds)
		local limit = now + seconds
		for _ = 1, 10000 do
			local task = next_due(limit)
			if not task then
				now = limit
				return
			end
			due[task.id] = nil
			now = math.max(now, task.at)
			local again = task.fn(now, task.id, task.param)
			if type(again) == "number" then
				due[task.id] = { at = now + again, fn = task.fn, param = task.param, id = task.id }
			end
		end
		error("the clock never comes to rest")
	end

	--- Runs what is due now.
	function clock.settle() clock.advance(0) end

	return clock
end

return fake_timer
