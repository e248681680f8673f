--- Files of items, one `item(…);` after the other, that grow at their end (Prosody's `.list`).

local log <const> = require "util.logger".init("datamanager")
local serialize <const> = require "util.serialization".serialize
local storefile <const> = require "util.storefile"
local storelock <const> = require "util.storelock"

local listfile <const> = {}

--- Runs the text of a store's file with only `env` in reach.
-- @return true and its value; or nil and a message
function listfile.run(text, path, env)
	local chunk, err = load(text, "@" .. path, "t", env)
	if not chunk then
		return nil, err
	end
	local ok, value = pcall(chunk)
	if not ok then
		return nil, value
	end
	return true, value
end

local function item_text(item)
	return "item(" .. serialize(item) .. ");\n"
end

--- The text of a list.
function listfile.text(items)
	local texts = {}
	for i, item in ipairs(items) do
		texts[i] = item_text(item)
	end
	return table.concat(texts)
end

local function parse(text, path)
	local items = {}
	local ok, err = listfile.run(text, path, { item = function (item) items[#items + 1] = item end })
	return ok and items, err
end

--- How much of a list was written whole: a machine that stopped in the middle of an append leaves
-- the beginning of an item at the end.
local function whole(text)
	if text:sub(-3) == ");\n" then
		return #text
	end
	local last = 0
	for position in ("\n" .. text):gmatch("\n()") do
		local start = text:sub(position - 1, position + 3)
		if start ~= "" and start == ("item("):sub(1, #start) then
			last = position - 2
		end
	end
	return last
end

-- @return list; or nil, message, errno, text
local function read_whole(path)
	local text, err, code = storefile.read(path)
	if not text then
		return nil, err, code
	end
	local items
	items, err = parse(text, path)
	return items, err, nil, text
end

--- Reads a list; an item at its end that was not written whole is left out.
-- @return list; or nil, message, errno
function listfile.read(path)
	local items, err, code, text = read_whole(path)
	if not items and text then
		-- Perhaps another process is adding an item.
		storelock.alone(path, function ()
			items, err, code, text = read_whole(path)
		end)
	end
	if items or not text then
		return items, err, code
	end
	local size = whole(text)
	items = size < #text and parse(text:sub(1, size), path)
	if not items then
		return nil, err
	end
	log("warn", "%s: its last item was not written whole, it is left out", path)
	return items
end

-- After what an interrupted append has left, nothing may be added.
local function mend(path)
	local last = storefile.tail(path, 3)
	if last == "" or last == ");\n" then
		return true
	end
	local text = storefile.read(path) or ""
	if parse(text, path) then
		return storefile.append(path, "\n") -- somebody's editor has eaten the end
	end
	log("warn", "%s: its last item was not written whole, it is removed", path)
	return storefile.cut(path, whole(text))
end

local function mend_and_append(path, text)
	local ok, err = mend(path)
	if not ok then
		return nil, err
	end
	return storefile.append(path, text)
end

--- Adds an item.
-- @return true; or nil and a message
function listfile.append(path, item)
	return storelock.alone(path, mend_and_append, path, item_text(item))
end

return listfile
