-- A line chat with rooms, for people with nc: `nc localhost 7070`, then /help.
--
--	chat_ports = { 7070 }   -- where it listens
--	chat_tls_ports = { 7071 } -- the same under TLS: openssl s_client -quiet localhost:7071
--	                        -- needs certs/chat_tls.crt and .key, or chat_tls_ssl, or ssl
--	chat_history = 20       -- lines of a room that a newcomer sees
--	chat_max_line = 1024    -- bytes; the rest of a longer line is dropped, with a message
--	chat_rate = 5           -- lines a second, after a burst of four seconds' worth
--
-- What is kept where: a user is a field of the connection, so it lives as long as the connection
-- does; a room's members are found again by onattach when the module is reloaded; what was said
-- goes through save() and restore(), as it is: at a reload in the process any value passes.

local cache <const> = require "util.cache"
local certmanager <const> = require "core.certmanager"
local multitable <const> = require "util.multitable"
local throttle <const> = require "util.throttle"
local time <const> = require "util.time"

local history_size <const> = module:get_option_integer("chat_history", 20, 0)
local max_line <const> = module:get_option_integer("chat_max_line", 1024, 1)
local rate <const> = module:get_option_number("chat_rate", 5, 0.01)

local entrance <const> = "lobby"
local max_name <const> = 24
local max_histories <const> = 1000 -- rooms whose lines are remembered; the longest silent ones go
local max_queued <const> = 65536 -- bytes that may wait for a slow reader before it is let go
local last_words <const> = 3 -- seconds between the farewell and the end

local rooms <const> = multitable.new() -- room, connection -> true; an empty room vanishes
local names <const> = {} -- lower-cased nickname -> connection
local histories = cache.new(max_histories) -- room -> list of lines
local guests = 0

-- Another person's bytes must not move my cursor or ring my bell.
local function harmless(text)
	return (text:gsub("\t", " "):gsub("\xC2[\x80-\x9F]", "?"):gsub("%c", function (char)
		return ("\\x%02x"):format(char:byte())
	end))
end

local function say(conn, line)
	if conn:queued() <= max_queued then
		return conn:write(line .. "\n")
	end
	rooms:remove(conn.chat_user.room, conn)
	conn:write("* you read too slowly\n")
	conn:setwritetimeout(10)
	conn:close()
end

local function notice(conn, text, ...)
	say(conn, "* " .. text:format(...))
end

local function remember(room, line)
	local lines <const> = histories:get(room) or {}
	table.insert(lines, line)
	while #lines > history_size do
		table.remove(lines, 1)
	end
	histories:set(room, lines)
end

-- To everybody in the room but the one who caused it, whose terminal shows it already.
local function tell_room(room, line, but)
	for conn in pairs(rooms:get(room) or {}) do
		if conn ~= but then
			say(conn, line)
		end
	end
end

local function speak(conn, line)
	remember(conn.chat_user.room, os.date("%H:%M ") .. line)
	tell_room(conn.chat_user.room, line, conn)
end

local function enter(conn, user)
	rooms:set(user.room, conn, true)
	names[user.name:lower()] = conn
end

local function members(room)
	local list <const> = {}
	for conn in pairs(rooms:get(room) or {}) do
		table.insert(list, conn.chat_user.name)
	end
	table.sort(list)
	return table.concat(list, ", "), #list
end

local function welcome(conn)
	local user <const> = conn.chat_user
	enter(conn, user)
	for _, line in ipairs(histories:get(user.room) or {}) do
		say(conn, line)
	end
	notice(conn, "you are %s; in %s: %s", user.name, user.room, members(user.room))
	tell_room(user.room, ("* %s is here"):format(user.name), conn)
end

local function is_name(conn, text)
	if #text <= max_name and text:find("^[%w_-]+$") then
		return true
	end
	notice(conn, "a name has up to %d letters, digits, _ and -", max_name)
end

local commands <const>, help <const> = {}, {}

local function command(word, argument, text, run)
	commands[word] = run
	table.insert(help, ("/%-11s %s"):format(word .. " " .. argument, text))
end

command("nick", "NAME", "another nickname", function (conn, name)
	local user <const> = conn.chat_user
	local holder <const> = names[name:lower()]
	if holder and holder ~= conn then
		return notice(conn, "%s is taken", name)
	elseif not is_name(conn, name) then
		return
	end
	names[user.name:lower()] = nil
	names[name:lower()] = conn
	notice(conn, "you are %s now", name)
	tell_room(user.room, ("* %s is %s now"):format(user.name, name), conn)
	user.name = name
end)

command("join", "ROOM", "go to a room, or make it", function (conn, room)
	local user <const> = conn.chat_user
	room = room:gsub("^#", ""):lower()
	if room == user.room or not is_name(conn, room) then
		return
	end
	rooms:remove(user.room, conn)
	tell_room(user.room, ("* %s has gone to %s"):format(user.name, room))
	user.room = room
	welcome(conn)
end)

command("rooms", "", "rooms with people in them", function (conn)
	local list <const> = {}
	for room in pairs(rooms.data) do
		table.insert(list, ("%s (%d)"):format(room, select(2, members(room))))
	end
	table.sort(list)
	notice(conn, "rooms: %s", table.concat(list, ", "))
end)

command("who", "", "people in this room", function (conn)
	notice(conn, "in %s: %s", conn.chat_user.room, members(conn.chat_user.room))
end)

command("me", "TEXT", "as in: * duck waddles in", function (conn, text)
	speak(conn, ("* %s %s"):format(conn.chat_user.name, harmless(text)))
end)

command("quit", "", "leave", function (conn)
	notice(conn, "bye")
	conn:close()
end)

command("help", "", "this list", function (conn)
	notice(conn, "%s", table.concat(help, "\n* "))
end)

-- Who writes too fast is read more slowly: nothing said is lost, and nobody else is flooded.
local function charge(conn, user)
	user.purse:poll()
	if user.purse:peek() then
		return
	end
	conn:pausefor((1 - user.purse.balance) / rate)
	if not user.warned then
		user.warned = true
		notice(conn, "slowly: your lines are read at %g a second now", rate)
	end
end

local listener <const> = { default_mode = "*l" } -- one call of onincoming is one line
function listener.onconnect(conn)
	repeat
		guests = guests + 1
	until not names["guest" .. guests]
	local purse <const> = throttle.create(rate * 4, 4)
	conn.chat_user = { name = "guest" .. guests, room = entrance, purse = purse }
	conn:set_mode("*l", max_line)
	welcome(conn)
	notice(conn, "say something, or /help")
end

function listener.onincoming(conn, line)
	local user <const> = conn.chat_user
	local word <const>, rest <const> = line:match("^/(%S*)%s*(.-)%s*$")
	charge(conn, user)
	if not utf8.len(line) then
		notice(conn, "that was not UTF-8; nobody saw it")
	elseif commands[word] then
		commands[word](conn, rest)
	elseif word then
		notice(conn, "there is no /%s; try /help", harmless(word))
	elseif line:find("%S") then
		speak(conn, ("<%s> %s"):format(user.name, harmless(line)))
	end
end

-- true: the connection stays, the rest of the line is skipped.
function listener.onlinetoolong(conn)
	notice(conn, "that line is longer than %d bytes; nobody saw it", max_line)
	return true
end

function listener.ondisconnect(conn)
	local user <const> = conn.chat_user
	if user then -- the listening socket has none
		rooms:remove(user.room, conn)
		names[user.name:lower()] = nil
		tell_room(user.room, ("* %s has left"):format(user.name))
	end
end

-- After a reload the connections come to the new instance, one by one.
function listener.onattach(conn)
	if conn.chat_user then
		enter(conn, conn.chat_user)
	end
end

-- Says how long is left, and closes then; `true` promises that. Else the host closes at once.
function listener.ongoodbye(conn, event)
	local left <const> = math.max(0, math.min(event.deadline - time.monotonic() - 0.5, last_words))
	local to = event.to and (" Go to %s."):format(event.to) or ""
	to = to .. (event.after and (" Come back in %d s."):format(math.ceil(event.after)) or "")
	notice(conn, "Goodbye, the server stops (%s). %d s left.%s", event.reason, math.ceil(left), to)
	if left > 0 then
		module:add_timer(left, function () conn:close() end)
		return true
	end
end

function module.save()
	return { guests = guests, histories = histories }
end

function module.restore(state)
	guests, histories = state.guests or guests, state.histories or histories
end

module:provides("net", { default_port = 7070, listener = listener })

-- A service without a certificate is an error, so nobody is offered TLS who has not asked for it.
local tls_port <const> = 7071
local offered = false

local function offer_tls()
	local ssl <const> = module:get_option("ssl")
	if offered or not (module:get_option("chat_tls_ports") or type(ssl) == "table" and ssl.certificate
		or certmanager.find_service_cert("chat_tls", tls_port)) then
		return
	end
	offered = true
	module:provides("net", { name = "chat_tls", default_port = tls_port, encryption = "ssl",
		listener = listener })
end

offer_tls()
module:hook_global("config-reloaded", offer_tls) -- a certificate may have come
