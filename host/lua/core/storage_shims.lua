--- Types of stores that stand on keyval, for drivers that lack them (Prosody's
-- core.storagemanager): "map" looks at one key of what a user has, "keyval+" is both.

local storage_shims <const> = {}

local remove <const> = {}

local map <const> = { remove = remove }
local map_mt <const> = { __index = map }

function map:get(user, key)
	local data, err = self.keyval_store:get(user)
	if data == nil then
		return nil, err
	end
	return data[key]
end

function map:set(user, key, value)
	return self:set_keys(user, { [key] = value == nil and remove or value })
end

local function change(self, user, values)
	local data, err = self.keyval_store:get(user)
	if data == nil and err then
		return nil, err
	end
	data = data or {}
	for key, value in pairs(values) do
		if value == remove then
			value = nil
		end
		data[key] = value
	end
	return self.keyval_store:set(user, data)
end

--- Sets several keys at once; the value `store.remove` removes one. Where the driver's stores have
-- `alone(user, fn)`, it is one step for all processes.
function map:set_keys(user, values)
	local keyval <const> = self.keyval_store
	if not keyval.alone then
		return change(self, user, values)
	end
	return keyval:alone(user, function () return change(self, user, values) end)
end

local function needs_text(key)
	if type(key) ~= "string" or key == "" then
		return nil, "a non-empty string is needed as the key"
	end
	return true
end

--- One key of all users: { user = value }; nil if nobody has it.
function map:get_all(key)
	local ok, err = needs_text(key)
	if not ok then
		return nil, err
	end
	local found
	for user in self.keyval_store:users() do
		local value = self:get(user, key)
		if value then
			found = found or {}
			found[user] = value
		end
	end
	return found
end

function map:delete_all(key)
	local ok, err = needs_text(key)
	if not ok then
		return nil, err
	end
	local failed
	for user in self.keyval_store:users() do
		ok, err = self:set_keys(user, { [key] = remove })
		failed = failed or not ok and err
	end
	if failed then
		return nil, failed
	end
	return true
end

local function open_both(keyval, maps)
	local both <const> = { keyval_store = keyval, map_store = maps, remove = remove }
	function both.get(_, user) return keyval:get(user) end
	function both.set(_, user, data) return keyval:set(user, data) end
	function both.users() return keyval:users() end
	function both.get_key(_, user, key) return maps:get(user, key) end
	function both.set_key(_, user, key, value) return maps:set(user, key, value) end
	function both.set_keys(_, user, values) return maps:set_keys(user, values) end
	function both.get_key_from_all(_, key) return maps:get_all(key) end
	function both.delete_key_from_all(_, key) return maps:delete_all(key) end
	return both
end

--- @param open function(host, store, type) that opens stores of drivers
-- @return a store; or nil, "unsupported-store"
function storage_shims.open(open, host, store, kind)
	if kind ~= "map" and kind ~= "keyval+" then
		return nil, "unsupported-store"
	end
	local keyval, err = open(host, store, "keyval")
	if not keyval then
		return nil, err
	end
	if kind == "map" then
		return setmetatable({ keyval_store = keyval }, map_mt)
	end
	local maps
	maps, err = open(host, store, "map")
	if not maps then
		return nil, err
	end
	return open_both(keyval, maps)
end

return storage_shims
