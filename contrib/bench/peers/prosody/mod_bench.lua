module:depends "http"
-- Without the four headers of CORS, which no other server of the benchmark sends.
module:provides("http", { default_path = "/", cors = { enabled = false }, route = {
	["GET /"] = function (event)
		event.response.headers.content_type = "text/plain"
		return "hello world\n"
	end,
} })
