-- Run as a program: gadwall lua keepalive_load.lua PORT CLIENTS THINK SECONDS
-- CLIENTS clients of keep-alive connections to one HTTP service, each waiting up to THINK seconds
-- between an answer and its next request; as clients do, they leave a connection that has ended or
-- whose answer said `Connection: close`, and open another. They end when the service refuses them,
-- or after SECONDS.
-- Prints: answered, lost, connections that said close, connections that ended while idle.
-- lost: a request sent on a connection on which no close had
-- arrived and that was not answered in full.

local server <const> = require "net.server"
local timer <const> = require "util.timer"

local port <const>, clients <const> = math.tointeger(arg[1]), math.tointeger(arg[2])
local think <const>, seconds <const> = tonumber(arg[3]), tonumber(arg[4])
local request <const> = "GET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n"

local answered, lost, closes, idle_ends, left = 0, 0, 0, 0, clients
local over = false

server.set_limits { max_connection_rate_per_ip = 1e9, max_connections_per_ip = 1e9 }

local function gone()
	left = left - 1
	if left == 0 then
		server.setquitting(true)
	end
end

local listener <const> = {}
local connect

local function ask(conn)
	if over or conn.ended then
		return
	end
	conn.open = true
	conn.data = ""
	conn:write(request)
end

local function whole(data)
	local head, at = data:match("^(.-\r\n)\r\n()")
	local length = head and tonumber(head:lower():match("content%-length: (%d+)"))
	return length and #data >= at - 1 + length and head or nil
end

function listener.onconnect(conn)
	ask(conn)
end

function listener.onincoming(conn, data)
	conn.data = conn.data .. data
	local head <const> = whole(conn.data)
	if not head then
		return
	end
	conn.open = false
	answered = answered + 1
	if head:lower():find("connection: close", 1, true) then
		closes, conn.told = closes + 1, true
		conn:close()
	else
		timer.add_task(math.random() * think, function () ask(conn) end)
	end
end

function listener.ondisconnect(conn)
	conn.ended = true
	if conn.data == nil then
		return gone() -- never connected: the end of the service
	elseif conn.open then
		lost = lost + 1
	elseif not conn.told then
		idle_ends = idle_ends + 1
	end
	if over then
		return gone()
	end
	timer.add_task(0, connect)
end

function connect()
	if not server.addclient("127.0.0.1", port, listener, "*a") then
		gone()
	end
end

for _ = 1, clients do
	timer.add_task(math.random() * 0.2, connect)
end
timer.add_task(seconds, function ()
	over = true
	server.setquitting(true)
end)
server.loop()
print(answered, lost, closes, idle_ends)
