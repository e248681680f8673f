-- The admin socket: lines from who may run this host, to who answers them (mod_admin_shell).
-- Class admin: it stays to the last phase of a stop. modules/README.md, Console.

module:set_global()

local socket <const> = require "core.console.socket"
local time <const> = require "util.time"

local path <const> = prosody.admin_socket
	or module:get_option_path("admin_socket", "gadwall.sock", "runtime")
local group <const> = module:get_option_string("admin_socket_group")

local line_max <const> = 4096
local clients_max <const> = 16
local reserved <const> = 1 -- for uid 0, when all others are taken
local idle_max <const> = 3600

local sessions <const> = module:shared("sessions")
local group_id

local function count()
	local n = 0
	for _ in pairs(sessions) do
		n = n + 1
	end
	return n
end

local function refuse(conn, text)
	conn:write("Error: " .. text .. "\n")
	conn:close()
end

-- A place goes to who speaks: the client that has said nothing for longest gives up its own.
local function drop_silent()
	local silent
	for _, session in pairs(sessions) do
		if not session.spoke and (not silent or session.last < silent.last) then
			silent = session
		end
	end
	if silent then
		sessions[silent.conn] = nil
		refuse(silent.conn, "closed: the place was needed")
		return true
	end
end

local function new_session(conn, peer)
	local session <const> = { type = "admin", conn = conn, pid = peer.pid, uid = peer.uid,
		buffer = "", last = time.monotonic() }
	function session.send(text)
		return conn:write(text)
	end
	function session.close()
		conn:close()
	end
	return session
end

local listener <const> = {}

function listener.onconnect(conn)
	local peer, err = socket.peer(conn)
	if not peer then
		module:log("error", "who connected to the admin socket is not known: %s", err)
		return conn:close()
	elseif not socket.allowed(peer, group_id) then
		module:log("warn", "uid %d (pid %d) may not use the admin socket", peer.uid, peer.pid)
		return refuse(conn, ("cannot connect: not permitted (uid %d)"):format(peer.uid))
	end
	local most <const> = clients_max + (peer.uid == 0 and reserved or 0)
	if count() >= most and not drop_silent() then
		return refuse(conn, ("cannot connect: %d console clients already"):format(count()))
	end
	sessions[conn] = new_session(conn, peer)
	module:log("debug", "console client: uid %d, pid %d", peer.uid, peer.pid)
end

-- What is no line of text gets one answer and reaches nobody.
local function fault_of(line)
	if line:find("[%z\1-\8\11-\31\127]") then
		return "not a line of text (it has control characters)"
	elseif not utf8.len(line) then
		return "not a line of text (it is not UTF-8)"
	end
end

local function handle_line(session, line)
	line = line:gsub("\r$", "")
	local fault <const> = fault_of(line)
	if fault then
		session.send("Error: " .. fault .. "\n")
	elseif not module:fire_event("admin-line", { origin = session, line = line }) then
		session.send("Error: nobody answers here (enable the module admin_shell)\n")
	end
end

-- Begins to throw away what belongs to a line that is too long; ends with its newline.
local function too_long(session)
	if not session.skipping then
		session.send(("Error: line too long (at most %d bytes)\n"):format(line_max))
	end
	session.skipping, session.buffer = true, ""
end

function listener.onincoming(conn, data)
	local session <const> = sessions[conn]
	if not session then
		return
	end
	session.last, session.spoke = time.monotonic(), true
	local text, pos = session.buffer .. data, 1
	while sessions[conn] do
		local stop <const> = text:find("\n", pos, true)
		if not stop then
			break
		end
		if session.skipping then
			session.skipping = false
		elseif stop - pos > line_max then
			too_long(session)
			session.skipping = false
		else
			handle_line(session, text:sub(pos, stop - 1))
		end
		pos = stop + 1
	end
	session.buffer = session.skipping and "" or text:sub(pos)
	if #session.buffer > line_max then
		too_long(session)
	end
end

function listener.onreadtimeout(conn)
	local session <const> = sessions[conn]
	local busy <const> = session and session.console and session.console.running
	if session and (busy or time.monotonic() - session.last < idle_max) then
		return true
	end
end

function listener.ondisconnect(conn)
	local session <const> = sessions[conn]
	sessions[conn] = nil
	if session then
		module:fire_event("admin-disconnected", { origin = session })
	end
end

-- A reload of this module: connections stay, their sessions are in the shared table.
function listener.onattach(conn)
	if not sessions[conn] then
		local peer <const> = socket.peer(conn)
		sessions[conn] = peer and new_session(conn, peer)
	end
end

module:hook("listener-opened", function (event)
	if event.service ~= "admin_socket" then
		return
	end
	local ok, err, gid = socket.protect(path, group)
	group_id = gid
	if not ok then
		module:log("error", "rights of %s: %s", path, err or "chmod failed")
	end
end)

module:provides("net", {
	name = "admin_socket", class = "admin", unix_path = path, default_port = 0, listener = listener,
})
