--- Pages for answers that are errors. Options (Prosody's): http_errors_detailed,
-- http_errors_always_show, http_errors_default_message, http_errors_messages.

module:set_global()

local codes <const> = require "net.http.codes"
local server <const> = require "net.http.server"

local detailed <const> = module:get_option_boolean("http_errors_detailed", false)
local always <const> = module:get_option_boolean("http_errors_always_show", true)
local otherwise <const> = { module:get_option_string("http_errors_default_message",
	"There is no more to say.") }

-- A text; each "%" in it stands for one of the texts behind it.
local messages <const> = setmetatable(module:get_option("http_errors_messages", {}), { __index = {
	[400] = { "This request could not be understood." },
	[403] = { "This is not for you." },
	[404] = { "There is nothing at this address." },
	[408] = { "The request did not come to its end." },
	[413] = { "This is more than is accepted here." },
	[500] = { "Something went wrong; the log knows what." },
	[503] = { "Not now. Please come back later." },
} })

local page <const> = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
:root { color-scheme: light dark }
body { max-width: 36em; margin: 15vh auto 0; padding: 0 1em; font: 1.1em/1.5 sans-serif }
code { opacity: .75 }
</style>
</head>
<body>
<h1>$title</h1>
<p>$message</p>
$warning$extra</body>
</html>
]]

local escapes <const> = {
	["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
}

local function escape(text)
	return (tostring(text):gsub("[&<>\"']", escapes))
end

local function pick(message)
	return (message[1]:gsub("%%", function ()
		return message[math.random(2, math.max(#message, 2))] or ""
	end))
end

-- One field in its element; nothing for nothing.
local function element(front, text, back)
	return text and front .. escape(text) .. back or ""
end

local function render(fields)
	return (page:gsub("%$(%w+)", {
		title = escape(fields.title or ""),
		message = escape(fields.message or ""),
		warning = element("<p><strong>", fields.warning, "</strong></p>\n"),
		extra = element("<p><code>", fields.extra, "</code></p>\n"),
	}))
end

local function is_html(response)
	if response then
		response.headers.content_type = "text/html; charset=utf-8"
	end
end

module:hook_object_event(server, "http-error", function (event)
	local message = messages[event.code] or always and otherwise
	if not message then
		return nil
	end
	is_html(event.response)
	return render {
		title = rawget(codes, event.code) or ("Code " .. tostring(event.code)),
		message = pick(message),
		extra = detailed and event.private_message or event.message
			or event.error and event.error.text,
	}
end)

-- Other modules' messages in the same form: { response, title, message, warning, extra }.
module:hook("http-message", function (event)
	is_html(event.response)
	return render(event)
end, -1)
