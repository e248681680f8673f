--- The service of the demo: numbers are answered, over HTTP and over a line protocol. It needs
-- nothing for upgrades but its farewell.

module:depends "http"

module:provides("http", {
	name = "demo", default_path = "/",
	route = {
		["GET /*"] = function (_, path)
			return path
		end,
	},
})

local listener <const> = { default_mode = "*l" }

function listener.onincoming(conn, line)
	conn:write("ok " .. line .. "\n")
end

function listener.ongoodbye(conn)
	conn:write("bye\n")
end

module:provides("net", { name = "lines", default_port = 0, listener = listener })
