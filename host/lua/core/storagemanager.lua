--- Stores of modules (Prosody's core.storagemanager): which driver keeps which store, and the
-- types that stand on others. A driver is an item `storage-provider`, of a module storage_NAME:
-- `driver:open(store, type)` → store, or nil, "unsupported-store".

local config <const> = require "core.configmanager"
local datamanager <const> = require "util.datamanager"
local log <const> = require "util.logger".init("storagemanager")
local multitable <const> = require "util.multitable"
local shims <const> = require "core.storage_shims"

local storagemanager <const> = {}

-- The file functions themselves, before the old names lead to the drivers.
local files <const> = {}
for name, fn in pairs(datamanager) do
	files[name] = fn
end
storagemanager.olddm = files

-- Takes the place of a driver that cannot be had: every call says so, none raises.
local null <const> = setmetatable({ name = "null" }, { __index = function ()
	return function () return false, "no data storage active" end
end })
function null:open() return self end

local drivers <const> = multitable.new()

-- Whether there is such a host; a script of `gadwall lua` has none.
local function is_host(host)
	local here <const> = rawget(_G, "prosody")
	return here and here.hosts[host] ~= nil
end

--- Follows the drivers of a host.
function storagemanager.initialize_host(host)
	local events <const> = prosody.hosts[host].events
	events.add_handler("item-added/storage-provider", function (event)
		drivers:set(host, event.item.name, event.item)
	end)
	events.add_handler("item-removed/storage-provider", function (event)
		if drivers:get(host, event.item.name) == event.item then
			drivers:set(host, event.item.name, nil)
		end
	end)
	for _, driver in ipairs(require "core.modulemanager".get_items("storage-provider", host) or {}) do
		drivers:set(host, driver.name, driver)
	end
end

--- @return the driver, loaded if need be; or nil
function storagemanager.load_driver(host, name)
	if name == "null" then
		return null
	end
	local driver = drivers:get(host, name)
	if driver then
		return driver
	end
	local ok, err = require "core.modulemanager".load(host, "storage_" .. name)
	if not ok then
		log("error", "Failed to load storage driver %s on %s: %s", name, host, err)
	end
	return drivers:get(host, name)
end

local function driver_name(host, store)
	local storage = config.get(host, "storage")
	if type(storage) == "table" then
		storage = storage[store]
	end
	return storage or config.get(host, "default_storage") or "internal"
end

--- The driver that the options `storage` and `default_storage` choose.
-- @return driver and its name; "null" if it cannot be had
function storagemanager.get_driver(host, store)
	local name = driver_name(host, store)
	local driver = storagemanager.load_driver(host, name)
	if driver then
		return driver, name
	end
	log("warn", "Nothing of store %s on %s is kept: its driver %s is not there", store, host, name)
	return null, "null"
end

--- Opens a store of a host.
-- @param kind "keyval" (default), "map", "keyval+", "list", "archive", or what a driver offers
-- @return the store; or nil and the reason
function storagemanager.open(host, store, kind)
	if not is_host(host) then
		return nil, "unknown-host"
	end
	local driver, name = storagemanager.get_driver(host, store)
	local opened, err = driver:open(store, kind)
	if not opened and err == "unsupported-store" then
		opened, err = shims.open(storagemanager.open, host, store, kind)
		if not opened and err == "unsupported-store" then
			log("warn", "Driver %s has no %s stores, nothing of %s on %s is kept", name, kind or "keyval",
				store, host)
			opened = null
		end
	end
	if not opened then
		return nil, err
	end
	local event <const> = { host = host, store_name = store, store_type = kind, store = opened }
	prosody.hosts[host].events.fire_event("store-opened", event)
	return event.store, event.store_err
end

--- Removes everything that a user has on a host, with each driver in use.
-- @return true
function storagemanager.purge(user, host)
	local used <const> = { [storagemanager.get_driver(host, "")] = true }
	local storage = config.get(host, "storage")
	for store in pairs(type(storage) == "table" and storage or {}) do
		used[storagemanager.get_driver(host, store)] = true
	end
	for driver in pairs(used) do
		if driver.purge then
			driver:purge(user)
		else
			log("warn", "Driver %s cannot remove all that a user has", tostring(driver.name))
		end
	end
	files.purge(user, host)
	return true
end

-- Modules that call util.datamanager get the driver of the store.

function datamanager.load(user, host, store)
	if not host then
		return files.load(user, host, store)
	end
	local opened, err = storagemanager.open(host, store)
	if not opened then
		return nil, err
	end
	return opened:get(user)
end

function datamanager.store(user, host, store, data)
	if not host then
		return files.store(user, host, store, data)
	end
	local opened, err = storagemanager.open(host, store)
	if not opened then
		return nil, err
	end
	return opened:set(user, data)
end

function datamanager.users(host, store, kind)
	if kind == "list" then
		return files.users(host, store, kind)
	end
	local opened = storagemanager.open(host, store, kind)
	if not opened or opened == null or not opened.users then
		return function () end
	end
	return opened:users()
end

function datamanager.stores(user, host, kind)
	local driver <const> = storagemanager.get_driver(host, "")
	if driver == null or not driver.stores then
		return function () end
	end
	return driver:stores(user, kind)
end

datamanager.purge = storagemanager.purge

if rawget(_G, "prosody") then
	prosody.events.add_handler("host-activated", storagemanager.initialize_host, 101)
	for host in pairs(prosody.hosts) do
		storagemanager.initialize_host(host)
	end
end

return storagemanager
