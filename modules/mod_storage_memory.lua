-- Stores that last as long as the worker (and over reloads): keyval, lists and archives.

local deserialize <const> = require "util.serialization".deserialize
local serialize <const> = require "util.serialization".serialize
local storage_archive <const> = require "core.storage_archive"

local limit <const> = module:get_option_integer("storage_archive_item_limit", 10000, 0)

-- Stores by name; each has texts (keyval) or lists of texts by user. Kept as text, so that who
-- changes what was read changes no store.
local stores <const> = module:shared "stores"
local host_itself <const> = {}

local function contents(store)
	stores[store] = stores[store] or { keyval = {}, list = {} }
	return stores[store]
end

local keyval <const>, list <const> = {}, {}
local kinds <const> = { keyval = { __index = keyval }, list = { __index = list } }

local function each_user(held)
	local user
	return function ()
		repeat
			user = next(held, user)
		until user ~= host_itself
		return user
	end
end

function keyval:get(user)
	local text = self.held[user or host_itself]
	return text and deserialize(text) or nil
end

function keyval:set(user, data)
	local empty = data == nil or type(data) == "table" and next(data) == nil
	self.held[user or host_itself] = not empty and serialize(data) or nil
	return true
end

function keyval:users()
	return each_user(self.held)
end
list.users = keyval.users

function list:get(user)
	local texts = self.held[user or host_itself]
	if not texts then
		return nil
	end
	local items = {}
	for i, text in ipairs(texts) do
		items[i] = deserialize(text)
	end
	return items
end

function list:append(user, item)
	local texts = self.held[user or host_itself] or {}
	self.held[user or host_itself] = texts
	texts[#texts + 1] = serialize(item)
	return true
end

function list:set(user, items)
	self.held[user or host_itself] = nil
	for _, item in ipairs(items or {}) do
		self:append(user, item)
	end
	return true
end

local driver <const> = { name = "memory" }

function driver:open(store, kind)
	kind = kind or "keyval"
	if kind == "archive" then
		return storage_archive.new(self:open(store, "list"), limit, true)
	end
	if not kinds[kind] then
		return nil, "unsupported-store"
	end
	return setmetatable({ store = store, type = kind, held = contents(store)[kind] }, kinds[kind])
end

function driver:stores(user, kind) -- luacheck: ignore 212/self
	local names = {}
	for name, held in pairs(stores) do
		local of <const> = held[kind or "keyval"]
		if of and (user == true and next(of) ~= nil or of[user or host_itself]) then
			names[#names + 1] = name
		end
	end
	local i = 0
	return function ()
		i = i + 1
		return names[i]
	end
end

function driver:purge(user) -- luacheck: ignore 212/self
	for _, held in pairs(stores) do
		held.keyval[user], held.list[user] = nil, nil
	end
	return true
end

module:provides("storage", driver)
