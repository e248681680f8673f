local listener = { default_mode = "*l" } -- onincoming is called once a line
function listener.onincoming(conn, line)
	conn:write("Hello, " .. line .. "!\n")
end

function listener.ongoodbye(conn, event)
	conn:write("I must go: " .. event.reason .. "\n")
end

module:provides("net", { default_port = 7008, listener = listener })
