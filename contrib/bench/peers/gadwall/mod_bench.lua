-- What the benchmark measures: an echo with a callback a read, one with a callback a line, an
-- HTTP answer, the echo under TLS, one that works for each line, one that says goodbye.

local echo <const> = {}
function echo.onincoming(conn, data)
	conn:write(data)
end

-- As the prototype had it, whose figures are the aim: a line goes back with the end that it came
-- with.
local lines <const> = { default_mode = "*L" }
function lines.onincoming(conn, line)
	conn:write(line)
end

-- For `workers`: a line costs the worker some 20 us, so that the load generator is not the limit.
local rounds <const> = module:get_option_integer("bench_work", 3000, 1)
local busy <const> = { default_mode = "*l" }
function busy.onincoming(conn, line)
	local sum = 0
	for i = 1, rounds do
		sum = sum + i % 7
	end
	conn:write(line .. (sum > 0 and "\n" or ""))
end

-- For `closes`; hold.c knows the word.
local polite <const> = { onincoming = echo.onincoming }
function polite.ongoodbye(conn)
	conn:write("goodbye\n")
end

module:provides("net", { name = "bench_echo", listener = echo })
module:provides("net", { name = "bench_line", listener = lines })
module:provides("net", { name = "bench_tls", listener = echo, encryption = "ssl" })
module:provides("net", { name = "bench_busy", listener = busy })
module:provides("net", { name = "bench_polite", listener = polite })

module:depends "http"
-- Without the four headers of CORS, which no other server of the benchmark sends.
module:provides("http", { default_path = "/", cors = { enabled = false }, route = {
	["GET /"] = function (event)
		event.response.headers.content_type = "text/plain"
		return "hello world\n"
	end,
} })
