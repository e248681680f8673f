-- Says back what it hears. `nc localhost 7007`, type a line; edit this file while you are
-- connected, run `build/gadwall reload echo`, and type another.
local listener = {}

function listener.onconnect(conn)
	module:log("debug", "%s says hello", conn:ip())
end

function listener.onincoming(conn, data)
	conn:write(data)
end

function listener.ongoodbye(conn, event)
	conn:write(("bye: %s\n"):format(event.reason or "the server stops"))
end

module:provides("net", { default_port = 7007, listener = listener })
