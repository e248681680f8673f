--- The session registry: what the application's sessions are, kept by modules as small entries
-- (`module:open_registry`).
--
-- A store belongs to one module; its entries belong to this process. They live here, so reading
-- and writing never wait and never fail because another machine does. Without a backend that is
-- all. A backend (mod_sessions_redis) shows them to peers, asks the peers for theirs, and brings
-- what a finished server has left.

local json <const> = require "util.json"
local log <const> = require "util.logger".init("registry")
local promise <const> = require "util.promise"

local registry <const> = {
	--- Most bytes of an id, and of a value as JSON.
	id_max = 256, value_max = 16384,
}

local stores <const> = {} -- name → store
local backend

local store <const> = {}
local store_mt <const> = { __index = store, __name = "registry store" }

--- Sets an entry.
-- @param id string, 1 to 256 bytes
-- @param value plain data (table, string, number, boolean), at most 16 KiB as JSON; it is copied
-- @return true; or nil, "bad-id", "bad-value" or "too-large", and the entry is as it was
function store:set(id, value)
	if type(id) ~= "string" or #id == 0 or #id > registry.id_max then
		return nil, "bad-id"
	elseif value == nil then
		return nil, "bad-value"
	end
	local ok, text = pcall(json.encode, value)
	if not ok or type(text) ~= "string" then
		return nil, "bad-value"
	elseif #text > registry.value_max then
		return nil, "too-large"
	end
	if self.entries[id] == nil then
		self.count = self.count + 1
	end
	self.entries[id] = text
	if backend then
		backend.changed(self, id)
	end
	return true
end

--- An entry of this process.
-- @return its value, a copy; or nil
function store:get(id)
	local text <const> = self.entries[id]
	if text then
		return (json.decode(text))
	end
	return nil
end

--- Removes an entry.
-- @return true if it was there
function store:remove(id)
	if self.entries[id] == nil then
		return false
	end
	self.entries[id] = nil
	self.count = self.count - 1
	if backend then
		backend.changed(self, id)
	end
	return true
end

--- All entries of this process.
-- @return table id → value, a copy
function store:list()
	local copy <const> = {}
	for id, text in pairs(self.entries) do
		copy[id] = json.decode(text)
	end
	return copy
end

local function known(server_id, text)
	return { server_id = server_id, value = json.decode(text) }
end

--- Looks for an entry here, then with the peers.
-- @return promise of { server_id, value }, or of nil when no server has it; rejected with the
-- reason when the peers cannot be asked, which never means that they have not got it
function store:find(id)
	local text <const> = self.entries[id]
	if text then
		return promise.resolve(known(prosody.server_id, text))
	elseif not backend then
		return promise.resolve(nil)
	end
	return promise.new(function (resolve, reject)
		backend.find(self, id, function (server_id, found, why)
			if why then
				return reject(why)
			end
			resolve(server_id and known(server_id, found) or nil)
		end)
	end)
end

--- Opens a module's store; after a reload it still has its entries.
-- @param name of the store: letters, digits, "_", "@", "." and "-"
-- @param options nil or table: onadopt(id, value, from), called for each entry that a finished
-- server has left and that belongs to this process from then on; without it none are taken
function registry.open(name, options)
	local self = stores[name]
	if not self then
		self = setmetatable({ name = name, entries = {}, count = 0 }, store_mt)
		stores[name] = self
	end
	self.onadopt = options and options.onadopt
	if backend then
		backend.opened(self)
	end
	return self
end

--- Removes a store with its entries: its module is gone.
function registry.close(name)
	local self <const> = stores[name]
	if self then
		for id in pairs(self.entries) do
			self:remove(id)
		end
		stores[name] = nil
	end
end

--- All stores. @return table name → store; only a backend may look at `entries` (id → JSON)
function registry.stores()
	return stores
end

--- An entry that a finished server has left is ours (called by the backend).
-- @return true; false if it is none, or an entry of ours has its id
function registry.adopt(self, id, text, from)
	local value <const> = #id <= registry.id_max and #text <= registry.value_max
		and json.decode(text)
	if self.entries[id] or value == nil or value == false and text ~= "false" then
		return false
	end
	self.entries[id] = text
	self.count = self.count + 1
	local ok, err = xpcall(self.onadopt, debug.traceback, id, value, from)
	if not ok then
		log("error", "%s: onadopt of '%s': %s", self.name, id, err)
	end
	return true
end

--- Puts a backend in its place, or nil.
-- @param new table: changed(store, id); opened(store); find(store, id, done) where done gets
-- (server_id, JSON), nothing, or (nil, nil, why); peers() → table for `status`
function registry.set_backend(new)
	backend = new
end

--- Peers for `status`. @return table, or nil without a backend
function registry.peers()
	return backend and backend.peers() or nil
end

return registry
