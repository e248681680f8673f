-- A first-in, first-out queue of limited size; API of Prosody's util.queue.

local utable <const> = require "util.table"

--- @param size most items it holds
-- @param wrap true: a full queue drops its oldest item for a new one
-- @return queue: push(item) -> true, or nil, "queue full"; pop() and peek() -> oldest item or nil;
--   replace(item): changes the oldest (pushes when empty); items() iterates position, item without
--   removing; consume() iterates removing; count(); field `size`
local function new(size, wrap)
	local items = utable.create(size, 0)
	local first, count = 1, 0

	local function drop()
		-- false, not nil: the array part of `items` must not become sparse
		items[first] = false
		first = first % size + 1
		count = count - 1
	end

	local queue = { _items = items, size = size }

	function queue:count() -- luacheck: ignore 212/self
		return count
	end

	function queue:push(item) -- luacheck: ignore 212/self
		if count >= size then
			if not wrap then return nil, "queue full" end
			drop()
		end
		items[(first + count - 1) % size + 1] = item
		count = count + 1
		return true
	end

	function queue:pop() -- luacheck: ignore 212/self
		if count == 0 then return nil end
		local item = items[first]
		drop()
		return item
	end

	function queue:peek() -- luacheck: ignore 212/self
		if count == 0 then return nil end
		return items[first]
	end

	function queue:replace(item)
		if count == 0 then return self:push(item) end
		items[first] = item
		return true
	end

	function queue:items()
		return function (_, position)
			if position < count then
				return position + 1, items[(first + position - 1) % size + 1]
			end
		end, self, 0
	end

	function queue:consume()
		return self.pop, self
	end

	return queue
end

return { new = new }
