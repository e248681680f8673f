-- What the benchmark measures: an echo with a callback a read, one with a callback a line, an
-- HTTP answer, and the echo under TLS.

local echo <const> = {}
function echo.onincoming(conn, data)
	conn:write(data)
end

local lines <const> = { default_mode = "*l" }
function lines.onincoming(conn, line)
	conn:write(line .. "\n")
end

module:provides("net", { name = "bench_echo", listener = echo })
module:provides("net", { name = "bench_line", listener = lines })
module:provides("net", { name = "bench_tls", listener = echo, encryption = "ssl" })

module:depends "http"
-- Without the four headers of CORS, which no other server of the benchmark sends.
module:provides("http", { default_path = "/", cors = { enabled = false }, route = {
	["GET /"] = function (event)
		event.response.headers.content_type = "text/plain"
		return "hello world\n"
	end,
} })
