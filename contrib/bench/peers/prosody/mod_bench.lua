module:depends "http"
module:provides("http", { default_path = "/", route = {
	["GET /"] = function (event)
		event.response.headers.content_type = "text/plain"
		return "hello world\n"
	end,
} })
