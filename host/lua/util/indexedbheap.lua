--- A binary heap whose items can be found again by their id: the smallest priority comes first.

local indexedbheap <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

local function place(self, at, priority, id)
	self.priorities[at], self.ids[at], self.index[id] = priority, id, at
end

-- Moves (priority, id) from a hole at `at` to where it belongs.
local function rise(self, at, priority, id)
	while at > 1 do
		local parent = at // 2
		if self.priorities[parent] <= priority then
			break
		end
		place(self, at, self.priorities[parent], self.ids[parent])
		at = parent
	end
	place(self, at, priority, id)
	return at
end

local function sink(self, at, priority, id)
	local size <const> = #self.priorities
	while 2 * at <= size do
		local child = 2 * at
		if child < size and self.priorities[child + 1] < self.priorities[child] then
			child = child + 1
		end
		if priority <= self.priorities[child] then
			break
		end
		place(self, at, self.priorities[child], self.ids[child])
		at = child
	end
	place(self, at, priority, id)
end

local function settle(self, at, priority, id)
	sink(self, rise(self, at, priority, id), priority, id)
end

--- @param id optional, any value but nil that is not in it
-- @return the id
function methods:insert(item, priority, id)
	if id == nil then
		id = self.current_id
		self.current_id = id + 1
	end
	self.items[id] = item
	rise(self, #self.priorities + 1, priority, id)
	return id
end

--- Takes the item at a place of the heap out.
-- @return priority, item, id; nil if there is none
function methods:remove_index(at)
	local priority <const>, id <const> = self.priorities[at], self.ids[at]
	if priority == nil then
		return nil
	end
	local item <const> = self.items[id]
	local last <const>, last_id <const> = table.remove(self.priorities), table.remove(self.ids)
	self.index[id], self.items[id] = nil, nil
	if last_id ~= id then
		settle(self, at, last, last_id)
	end
	return priority, item, id
end

--- The smallest: priority, item, id; nil if it is empty.
function methods:pop()
	return self:remove_index(1)
end

--- The smallest priority, or nil.
function methods:peek()
	return self.priorities[1]
end

--- Gives an item another priority; nothing if it is not there.
function methods:reprioritize(id, priority)
	local at = self.index[id]
	if at then
		settle(self, at, priority, id)
	end
end

--- See remove_index.
function methods:remove(id)
	local at = self.index[id]
	if at then
		return self:remove_index(at)
	end
end

--- @return empty heap
function indexedbheap.create()
	-- Ids of its own are no integers, so that they meet nobody's.
	return setmetatable({ ids = {}, items = {}, priorities = {}, index = {}, current_id = 1.5 }, mt)
end

return indexedbheap
