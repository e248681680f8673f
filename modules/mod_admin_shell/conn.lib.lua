-- Section conn: the connections of all workers.

local async <const> = require "util.async"
local json <const> = require "util.json"
local peers <const> = require "core.peers"
local status <const> = require "core.status"
local status_text <const> = require "core.status_text"

local lib <const> = {}

-- A worker answers between two callbacks; one that takes longer is not waited for (s).
local limit <const> = 0.3

-- Bytes of rows in one message to another worker; more are counted only.
local room <const> = peers.body_max - 256

-- In this worker --

-- Calls a method that a handle may not have, or may not answer any more.
local function read(handle, method)
	local ok, value = pcall(function () return handle[method](handle) end)
	if ok then
		return value
	end
end

local function id_of(handle)
	return handle.id or tostring(handle)
end

-- Connections, without the listening sockets.
local function connections()
	local list <const> = {}
	for _, handle in ipairs(status.handles()) do
		if handle.id and read(handle, "server") ~= handle then
			list[#list + 1] = handle
		end
	end
	return list
end

local function find(id)
	for _, handle in ipairs(connections()) do
		if id_of(handle) == id then
			return handle
		end
	end
end

local function describe(handle)
	local service <const> = read(handle, "service")
	local created <const> = handle.created
	return {
		conn = id_of(handle), ip = read(handle, "ip"), port = read(handle, "clientport"),
		server_port = read(handle, "serverport"), queued = read(handle, "queued"),
		service = type(service) == "string" and service or nil, class = read(handle, "class"),
		state = read(handle, "state"), created = type(created) == "number" and created or nil,
		worker = ("%d.%d"):format(prosody.generation or 1, prosody.worker or 1),
	}
end

local function line_of(row)
	local line <const> = ("%-20s %-24s %6s  %-10s %s"):format(row.conn, row.ip or "?",
		row.port or "", row.class or "", row.service or "")
	return peers.others()[1] and ("%-60s %s"):format(line, row.worker) or line
end

-- @param text what a line must have, or nil
local function own_rows(text)
	local rows <const> = {}
	for _, handle in ipairs(connections()) do
		local row <const> = describe(handle)
		if not text or line_of(row):find(text, 1, true) then
			rows[#rows + 1] = row
		end
	end
	return rows
end

local function show(handle)
	return { row = describe(handle), name = tostring(handle) }
end

local function close(handle)
	handle:close()
	return { name = id_of(handle) }
end

local by_word <const> = { show = show, close = close }

-- For other workers --

peers.reply("conn-list", function (text)
	local rows <const> = own_rows(text ~= "" and text or nil)
	local sent <const>, bytes = {}, 0
	for i, row in ipairs(rows) do
		local one <const> = json.encode(row)
		bytes = bytes + #one + 1
		if bytes > room then
			break
		end
		sent[i] = one
	end
	return ('{"total":%d,"rows":[%s]}'):format(#rows, table.concat(sent, ","))
end)

peers.reply("conn-one", function (text)
	local word <const>, id <const> = text:match("^(%S+) (.*)$")
	local handle <const> = id and find(id)
	return handle and json.encode(by_word[word](handle)) or ""
end)

-- Answers of the other workers. @return list of { worker's number, table or nil }
local function ask(question, text)
	local list <const>, answers = {}, {}
	if peers.others()[1] then
		answers = async.wait_for(peers.ask(question, limit, text)) or {}
	end
	for i, number in ipairs(peers.others()) do
		local found <const> = json.decode(answers[number] or "")
		list[i] = { number, type(found) == "table" and found or nil }
	end
	return list
end

-- Commands --

local function list(self, text)
	local rows <const> = own_rows(text)
	local hidden = 0
	for _, answer in ipairs(ask("conn-list", text or "")) do
		local found <const> = answer[2]
		if found then
			table.move(found.rows, 1, #found.rows, #rows + 1, rows)
			hidden = hidden + found.total - #found.rows
		else
			self.session.error(("worker %d does not answer"):format(answer[1]))
		end
	end
	for _, row in ipairs(rows) do
		self.session.print(line_of(row))
	end
	return true, ("%d connections"):format(#rows)
		.. (hidden > 0 and (", and %d in other workers"):format(hidden) or ""), rows
end

-- @param word show or close @return what is done with it, in whichever worker it is; nil: there is
--   none
local function find_everywhere(word, id)
	local handle <const> = find(id)
	if handle then
		return by_word[word](handle)
	end
	for _, answer in ipairs(ask("conn-one", word .. " " .. id)) do
		if answer[2] then
			return answer[2]
		end
	end
end

local function unknown(id)
	return nil, ("no connection '%s' (see: conn list)"):format(id)
end

local function show_one(self, id)
	local found <const> = find_everywhere("show", id)
	if not found then
		return unknown(id)
	end
	local row <const>, names <const> = found.row, {}
	for name in pairs(row) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		self.session.print(("%-12s %s"):format(name, self.session:serialize(row[name])))
	end
	if row.queued then
		self.session.print("send queue   " .. status_text.bytes(row.queued))
	end
	return true, found.name, row
end

local function close_one(_, id)
	if not find_everywhere("close", id) then
		return unknown(id)
	end
	return true, id .. " closes when its queue is empty"
end

--- @return list of commands
function lib.commands()
	local function command(name, text, arg, handler)
		return { section = "conn", section_desc = "connections: list, show, close", name = name,
			desc = text, args = { arg }, handler = handler }
	end
	local id <const> = { name = "conn", type = "conn" }
	return {
		command("list", "connections; only those whose line has TEXT",
			{ name = "text", optional = true }, list),
		command("show", "one connection", id, show_one),
		command("close", "closes one connection after its queue", id, close_one),
	}
end

lib.sources = {
	conn = function ()
		local ids <const> = {}
		for _, handle in ipairs(connections()) do
			ids[#ids + 1] = id_of(handle)
		end
		return ids
	end,
}

return lib
