--- Consistent hashing: keys to nodes, so that a node's coming or going moves few keys.

local hashring <const> = {}

local methods <const> = {}
local mt <const> = { __index = methods }

local function build(self)
	local points <const>, owners <const> = {}, {}
	for _, node in ipairs(self.nodes) do
		for replica = 1, self.num_replicas do
			local hash = self.hash(node .. ":" .. replica)
			points[#points + 1] = hash
			owners[hash] = node
		end
	end
	table.sort(points)
	self.points, self.owners = points, owners
end

--- Adds a node; one that is there already stays as it is.
-- @param value what get_node returns beside the name
function methods:add_node(name, value)
	if self.nodes[name] == nil then
		table.insert(self.nodes, name)
	end
	self.nodes[name] = value == nil and true or value
	self.points = nil
	return true
end

--- Adds a list of names.
function methods:add_nodes(names)
	for key, value in pairs(names) do
		if type(key) == "number" then
			self:add_node(value)
		elseif names[1] == nil then
			self:add_node(key, value)
		end
	end
	return true
end

--- @return whether it was there
function methods:remove_node(name)
	if self.nodes[name] == nil then
		return false
	end
	for i, known in ipairs(self.nodes) do
		if known == name then
			table.remove(self.nodes, i)
			break
		end
	end
	self.nodes[name], self.points = nil, nil
	return true
end

function methods:remove_nodes(names)
	for _, name in ipairs(names) do
		self:remove_node(name)
	end
end

function methods:clone()
	local copy <const> = hashring.new(self.num_replicas, self.hash)
	for _, name in ipairs(self.nodes) do
		copy:add_node(name, self.nodes[name])
	end
	return copy
end

--- The node of a key: the owner of the first point behind the key's hash.
-- @return its name and value; nil if there are no nodes
function methods:get_node(key)
	if not self.points then
		build(self)
	end
	local points <const>, hash <const> = self.points, self.hash(key)
	local low, high = 1, #points + 1
	while low < high do
		local middle = (low + high) // 2
		if hash < points[middle] then
			high = middle
		else
			low = middle + 1
		end
	end
	local name = self.owners[points[low] or points[1]]
	return name, self.nodes[name]
end

--- @param num_replicas points of each node
-- @param hash fn(text) -> anything that compares with <
function hashring.new(num_replicas, hash)
	return setmetatable({ nodes = {}, num_replicas = num_replicas, hash = hash }, mt)
end

return hashring
