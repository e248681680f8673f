-- Stores in files below `data_path`, in Prosody's form: keyval, lists that grow, and archives.

local datamanager <const> = require "core.storagemanager".olddm

local storage_archive <const> = require "core.storage_archive"

local host <const> = module.host
local limit <const> = module:get_option_integer("storage_archive_item_limit", 10000, 0)

local keyval <const>, list <const> = {}, {}
local kinds <const> = { keyval = { __index = keyval }, list = { __index = list } }

function keyval:get(user)
	return datamanager.load(user, host, self.store)
end

function keyval:set(user, data)
	return datamanager.store(user, host, self.store, data)
end

function keyval:users()
	return datamanager.users(host, self.store, "keyval")
end

-- Several workers read, change and write: see util.datamanager.
function keyval:alone(user, fn)
	return datamanager.alone(user, host, self.store, "dat", fn)
end

function list:alone(user, fn)
	return datamanager.alone(user, host, self.store, "list", fn)
end

-- nil for a user without a list, as with keyval
function list:get(user)
	return datamanager.list_load(user, host, self.store)
end

function list:append(user, item)
	return datamanager.list_append(user, host, self.store, item)
end

function list:set(user, items)
	return datamanager.list_store(user, host, self.store, items)
end

function list:users()
	return datamanager.users(host, self.store, "list")
end

local driver <const> = { name = "internal" }

function driver:open(store, kind)
	if kind == "archive" then
		return storage_archive.new(self:open(store, "list"), limit)
	end
	local mt = kinds[kind or "keyval"]
	if not mt then
		return nil, "unsupported-store"
	end
	return setmetatable({ store = store, type = kind }, mt)
end

function driver:stores(user, kind) -- luacheck: ignore 212/self
	return datamanager.stores(user, host, kind)
end

function driver:purge(user) -- luacheck: ignore 212/self
	return datamanager.purge(user, host)
end

module:provides("storage", driver)
