-- WebSocket on net.websocket.frames: says back what it hears. A browser at
-- http://localhost:5280/ws_echo gets a page to try it with; the same address takes the WebSocket.
--
--	ws_echo_max_message = 65536   -- bytes of a message, in one frame or in many

local base64 <const> = require "util.encodings".base64.encode
local dbuffer <const> = require "util.dbuffer"
local frames <const> = require "net.websocket.frames"
local sha1 <const> = require "util.hashes".sha1

local max_message <const> = module:get_option_integer("ws_echo_max_message", 65536, 125)

local page <const> = [[
<!DOCTYPE html><meta charset=utf-8><title>ws_echo</title>
<input id=line placeholder="say something" autofocus> <b id=state>connecting</b> <ul id=log></ul>
<script>
"use strict";
const $ = id => document.getElementById(id);
const ws = new WebSocket(location.href.replace(/^http/, "ws"));
const show = text => $("log").appendChild(document.createElement("li")).textContent = text;
ws.onopen = () => { $("state").textContent = "open"; ws.send("hello from " + document.title); };
ws.onmessage = event => show(event.data);
ws.onclose = event => { $("state").textContent = "closed " + event.code + " " + event.reason; };
$("line").onchange = event => { ws.send(event.target.value); event.target.value = ""; };
</script>
]]

-- Words for the close frame, RFC 6455 7.4.1.
local function close(conn, code, reason)
	conn:write(frames.build_close(code, reason))
	conn:close()
end

local handlers <const> = {} -- opcode → function(conn, frame)

local function add_piece(conn, frame)
	local state <const> = conn.ws_echo
	state.size = state.size + frame.length
	if state.size > max_message then
		return close(conn, 1009, "message too big")
	end
	if frame.length > 0 then -- of empty ones there is no end
		table.insert(state.pieces, frame.data)
	end
	if not frame.FIN then return end
	local text <const> = table.concat(state.pieces)
	if state.opcode == 1 and not utf8.len(text) then
		return close(conn, 1007, "not UTF-8")
	end
	conn:write(frames.build { opcode = state.opcode, FIN = true, data = text })
	state.opcode, state.pieces, state.size = nil, {}, 0
end

local function begin(conn, frame)
	if conn.ws_echo.opcode then
		return close(conn, 1002, "a message within a message")
	end
	conn.ws_echo.opcode = frame.opcode
	add_piece(conn, frame)
end

handlers[1], handlers[2] = begin, begin
handlers[0] = function (conn, frame)
	if not conn.ws_echo.opcode then
		return close(conn, 1002, "nothing to continue")
	end
	add_piece(conn, frame)
end
handlers[8] = function (conn, frame)
	close(conn, frames.parse_close(frame.data) or 1000)
end
handlers[9] = function (conn, frame)
	conn:write(frames.build { opcode = 10, FIN = true, data = frame.data })
end
handlers[10] = function () end

-- What a client must not send.
local function fault(frame)
	if not frame.MASK then
		return 1002, "frames of a client are masked"
	elseif frame.RSV1 or frame.RSV2 or frame.RSV3 or not handlers[frame.opcode] then
		return 1002, "unknown kind of frame"
	elseif frame.opcode >= 8 and (frame.length > 125 or not frame.FIN) then
		return 1002, "a control frame that is too long"
	elseif frame.length > max_message then
		return 1009, "message too big"
	end
end

local listener <const> = {}

function listener.onincoming(conn, data)
	local waiting <const> = conn.ws_echo.waiting
	if not waiting:write(data) then
		return close(conn, 1009, "too much at once")
	end
	while conn.ws_echo do
		local header <const>, size <const>, why <const> = frames.parse_header(waiting)
		if not header then
			return why and close(conn, 1002, why)
		end
		local code, reason = fault(header)
		if code then
			return close(conn, code, reason)
		elseif waiting:length() < size + header.length then
			return
		end
		waiting:discard(size)
		header.data = frames.parse_body(waiting:read(header.length) or "", header, 1)
		handlers[header.opcode](conn, header)
	end
end

function listener.onreadtimeout(conn)
	conn:write(frames.build { opcode = 9, FIN = true })
	return true
end

function listener.ondisconnect(conn)
	conn.ws_echo = nil
end

function listener.ongoodbye(conn)
	close(conn, 1001, "going away")
	return true
end

local function upgrade(event)
	local headers <const>, response <const> = event.request.headers, event.response
	if (headers.upgrade or ""):lower() ~= "websocket" then
		response.headers.content_type = "text/html"
		return page
	elseif headers.sec_websocket_version ~= "13" then
		response.headers.sec_websocket_version = "13"
		return 426
	elseif #(headers.sec_websocket_key or "") ~= 24 then
		return 400
	end
	local conn <const> = response.conn
	conn.ws_echo = { waiting = dbuffer.new(2 * max_message + 8192), pieces = {}, size = 0 }
	conn:setlistener(listener)
	response.status_code = 101
	response.headers.upgrade = "websocket"
	response.headers.connection = "Upgrade"
	response.headers.sec_websocket_accept = base64(sha1(headers.sec_websocket_key
		.. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return ""
end

module:depends "http"
module:provides("http", { title = "WebSocket echo", route = { ["GET"] = upgrade } })
