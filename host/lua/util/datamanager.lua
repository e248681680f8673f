--- Stores as files, in the form in which Prosody keeps them, so that either can read what the
-- other has written (Prosody's util.datamanager): `DATA/HOST/STORE/USER.dat` is `return {…};`,
-- `USER.list` has one `item(…);` for each item. Without a user it is `DATA/HOST/STORE.dat`,
-- without a host the folder is `_global`.

local listfile <const> = require "util.listfile"
local log <const> = require "util.logger".init("datamanager")
local serialize <const> = require "util.serialization".serialize
local storefile <const> = require "util.storefile"
local storelock <const> = require "util.storelock"

local datamanager <const> = {}

-- Prosody's words, which its callers may compare.
local unreadable <const>, unwritable <const> = "Error reading storage", "Error saving to storage"

local function hex(char)
	return ("%%%02x"):format(char:byte())
end

--- A user or host as a file name: everything but ASCII letters and digits is %xx.
function datamanager.path_encode(name)
	return name and (name:gsub("%W", hex))
end

function datamanager.path_decode(name)
	return name and (name:gsub("%%(%x%x)", function (code)
		return string.char(tonumber(code, 16))
	end))
end

-- Names of stores keep their underscores.
local function encode_store(name)
	return (name:gsub("[^_%w]", hex))
end

local encode <const>, decode <const> = datamanager.path_encode, datamanager.path_decode

local data_path
local function root()
	return data_path or prosody and prosody.paths and prosody.paths.data or "."
end

function datamanager.set_data_path(path)
	data_path = path
end

local function host_folder(host)
	return root() .. "/" .. (host and encode(host) or "_global")
end

--- The file of a store.
-- @param user, host nil: of the host itself, of no host
-- @param ext extension, default "dat"
-- @param create true: makes the folders too
function datamanager.getpath(user, host, store, ext, create)
	local folder = host_folder(host)
	local name = encode_store(store)
	if user then
		folder, name = folder .. "/" .. name, encode(user)
	end
	if create then
		storefile.make_folder(folder)
	end
	return ("%s/%s.%s"):format(folder, name, ext or "dat")
end

local getpath <const> = datamanager.getpath

local function complain(verb, user, host, store, err)
	log("error", "Cannot %s storage of %s for %s@%s: %s", verb, store, user or "nil", host or "nil",
		tostring(err))
end

--- Calls fn() while no other process writes that file: what it reads and then writes is one step.
-- fn may not wait. @return what fn returns; or nil and a message
function datamanager.alone(user, host, store, ext, fn)
	local path = getpath(user, host, store, ext)
	if storefile.kind(path:match("^(.*)/")) ~= "directory" then
		getpath(user, host, store, ext, true)
	end
	return storelock.alone(path, fn)
end

-- Callbacks see what is about to be stored --

local callbacks <const> = {}

--- fn(user, host, store, data) → the same, changed; false as the user: nothing is stored.
-- @return true; nil if it is there already
function datamanager.add_callback(fn)
	for _, known in ipairs(callbacks) do
		if known == fn then
			return nil
		end
	end
	table.insert(callbacks, fn)
	return true
end

function datamanager.remove_callback(fn)
	for i, known in ipairs(callbacks) do
		if known == fn then
			table.remove(callbacks, i)
			return true
		end
	end
end

local function ask(user, host, store, data)
	for _, fn in ipairs(callbacks) do
		user, host, store, data = fn(user, host, store, data)
		if user == false then
			break
		end
	end
	return user, host, store, data
end

-- One value in a file --

--- @return the value; nil if there is none; nil and a message if it cannot be read
function datamanager.load(user, host, store)
	local path = getpath(user, host, store)
	local text, err, code = storefile.read(path)
	if not text and code == storefile.ENOENT then
		return nil
	end
	local ok, value
	if text then
		ok, value = listfile.run(text, path, {})
		err = value
	end
	if not ok then
		complain("read", user, host, store, err)
		return nil, unreadable
	end
	return value
end

-- What may be empty has no file.
local function put(path, text, empty)
	if empty then
		return storefile.remove(path)
	end
	return storefile.write(path, text)
end

--- @param data table; nil or an empty one removes the file
-- @return true; or nil and a message
function datamanager.store(user, host, store, data)
	user, host, store, data = ask(user, host, store, data or {})
	if user == false then
		return true
	end
	local empty = type(data) == "table" and next(data) == nil
	local path = getpath(user, host, store, "dat", not empty)
	local ok, err = put(path, "return " .. serialize(data) .. ";\n", empty)
	if not ok then
		complain("write", user, host, store, err)
		return nil, unwritable
	end
	return true
end

-- Lists --

--- @return list; nil if there is none; nil and a message if it cannot be read
function datamanager.list_load(user, host, store)
	local items, err, code = listfile.read(getpath(user, host, store, "list"))
	if not items and code == storefile.ENOENT then
		return nil
	elseif not items then
		complain("read", user, host, store, err)
		return nil, unreadable
	end
	return items
end

--- Adds text to a file of a store.
-- @return true and its position; or nil, message
function datamanager.append_raw(user, host, store, ext, text)
	local path = getpath(user, host, store, ext, true)
	return storelock.alone(path, storefile.append, path, text)
end

datamanager.store_raw = storefile.write

local function written(ok, err, user, host, store)
	if not ok then
		complain("write", user, host, store, err)
		return nil, err
	end
	return true
end

--- Adds an item to a list, without reading it.
function datamanager.list_append(user, host, store, item)
	if not item or ask(user, host, store) == false then
		return item and true
	end
	local ok, err = listfile.append(getpath(user, host, store, "list", true), item)
	return written(ok, err, user, host, store)
end

--- Replaces a list; nil or an empty one removes the file.
function datamanager.list_store(user, host, store, items)
	if ask(user, host, store) == false then
		return true
	end
	local empty = not items or #items == 0
	local path = getpath(user, host, store, "list", not empty)
	local ok, err = put(path, listfile.text(items or {}), empty)
	return written(ok, err, user, host, store)
end

local open_mt <const> = { __index = { close = function () return true end } }

--- A list to read from, as Prosody 13 has it; here it is read at once.
-- @return list with close(); or nil and a message
function datamanager.list_open(user, host, store)
	local items, err = datamanager.list_load(user, host, store)
	return items and setmetatable(items, open_mt), err
end

--- Removes the first items of a list: item `first` becomes number one.
-- @return true; or nil, "invalid-argument" or a message
function datamanager.list_shift(user, host, store, first)
	if math.type(first) ~= "integer" or first < 1 then
		return nil, "invalid-argument"
	end
	return datamanager.alone(user, host, store, "list", function ()
		local items, err = datamanager.list_load(user, host, store)
		if not items then
			return nil, err
		end
		return datamanager.list_store(user, host, store, table.move(items, first, #items, 1, {}))
	end)
end

-- What there is --

local extensions <const> = { keyval = "dat", list = "list" }

local function each(list)
	local i = 0
	return function ()
		i = i + 1
		return list[i]
	end
end

--- Iterates over the users of a store.
-- @param kind "keyval" (default), "list", or an extension
function datamanager.users(host, store, kind)
	local ending = "." .. (extensions[kind or "keyval"] or kind)
	local found = {}
	for _, name in ipairs(storefile.names(host_folder(host) .. "/" .. encode_store(store))) do
		if #name > #ending and name:sub(-#ending) == ending then
			found[#found + 1] = decode(name:sub(1, -#ending - 1))
		end
	end
	return each(found)
end

--- Iterates over the names of stores.
-- @param user a name: those in which that user has something; true: those of any user; nil: those
--   of the host itself
function datamanager.stores(user, host, kind)
	local ext = extensions[kind or "keyval"] or kind
	local folder, found = host_folder(host), {}
	for _, name in ipairs(storefile.names(folder)) do
		local store = decode(name)
		if not user then
			store = name:match("^(.+)%." .. ext .. "$")
			found[#found + 1] = store and decode(store)
		elseif storefile.kind(folder .. "/" .. name) == "directory"
		and (user == true or storefile.kind(getpath(user, host, store, ext))) then
			found[#found + 1] = store
		end
	end
	return each(found)
end

--- Removes everything that a user has on a host.
-- @return true or false, and messages
function datamanager.purge(user, host)
	local errors = {}
	for store in datamanager.stores(true, host) do
		for _, ext in ipairs { "dat", "list", "lidx" } do -- lidx: Prosody 13's index of a list
			local ok, err = storefile.remove(getpath(user, host, store, ext))
			if not ok then
				errors[#errors + 1] = err
			end
		end
	end
	return #errors == 0, table.concat(errors, ", ")
end

return datamanager
