--- A daemon with one app that answers in every way a handler can, and a client's side.

local daemon <const> = require "spec.support.daemon"

local http_app <const> = {}

local app <const> = [==[
module:depends "http"
local async, promise = require "util.async", require "util.promise"
local errors, timer = require "util.error", require "util.timer"
local hits = 0
local function later(seconds, value)
	return promise.new(function (resolve) timer.add_task(seconds, function () resolve(value) end) end)
end
module:provides("http", { default_path = "/", streaming_uploads = true, route = {
	["GET /"] = function () hits = hits + 1 return "root" end,
	["GET /hits"] = function () return tostring(hits) end,
	["GET /second"] = function () hits = hits + 1000 return "second" end,
	["GET /nil"] = function () end,
	["GET /number"] = function () return 418 end,
	["GET /string"] = function () return "text" end,
	["GET /table"] = function ()
		return { status_code = 201, headers = { x_made_by = "table" }, body = "made" }
	end,
	["GET /error"] = function ()
		return errors.new { type = "cancel", condition = "gone", text = "it is gone", code = 410 }
	end,
	["GET /promise"] = function () return later(0.01, "kept") end,
	["GET /broken"] = function () return promise.reject(errors.new { code = 409 }) end,
	["GET /sleep"] = function () async.sleep(0.01) return "slept" end,
	["GET /long"] = function () async.sleep(0.5) return "long" end,
	["GET /endless"] = function () return true end,
	["GET /later"] = function (event)
		timer.add_task(0.01, function () event.response:send("later") end)
		return true
	end,
	["GET /raise"] = function () error("on purpose") end,
	["GET /inject"] = function (event)
		event.response.headers.x = event.request.url.query:gsub("%%(%x%x)", function (h)
			return string.char(tonumber(h, 16))
		end)
		return "injected"
	end,
	["GET /inject-name"] = function (event)
		event.response.headers["x: y\r\nz"] = "1"
		return "injected"
	end,
	["GET /data"] = "a constant",
	["GET /chunks"] = function (event)
		local left = 100
		return event.response:send_file { read = function (_, n)
			left = left - 1
			return left >= 0 and ("x"):rep(1000) or nil
		end }
	end,
	["GET /big"] = function (event)
		event.response.headers.content_length = tostring(50 * 1024 * 1024)
		return event.response:send_file(io.open("/dev/zero"))
	end,
	["GET /no-content"] = function () return { status_code = 204, body = "never" } end,
	["GET /dir/*"] = function (_, rest) return "rest " .. rest end,
	["GET /info"] = function (event)
		local r = event.request
		return table.concat({ r.method, r.path, r.httpversion, r.ip, tostring(r.secure),
			r.headers.x_a or "-", r.headers.host or "-", type(r.id), type(r.log),
			tostring(r.conn == event.response.conn) }, " ")
	end,
	["POST /up"] = function (event)
		local request = event.request
		if request.partial then
			request.received = 0
			request.body_sink = { write = function (_, data)
				request.received = request.received + #data
				return true
			end }
			return true
		end
		return ("%d %s"):format(request.received or #request.body, request.body and "whole" or "stream")
	end,
} })
module:provides("http", { name = "plain", route = {
	["POST /"] = function (event) return tostring(#event.request.body) end,
} })
]==]

--- Starts it; `more`: config lines.
function http_app.start(more)
	return daemon.start {
		modules = { app = app },
		config = [[
			modules_enabled = { "app" }
			http_ports = { 0 }; http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
			lameduck_period = 0.1; lameduck_probe_window = 0
		]] .. (more or "") .. [[

			VirtualHost "localhost"
		]],
		allow = { "on purpose", "stack traceback", "Traceback" },
	}
end

--- Text of a request; `more`: header lines.
function http_app.get(path, more)
	return ("GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(path, more or "")
end

--- Reads one answer: status, body, headers (names in lower case).
function http_app.answer(c, is_head)
	local status = assert(c:line()):match("^HTTP/1%.1 (%d+) ")
	local headers <const> = {}
	for line in function () return c:line() end do
		if line == "" then break end
		local name, value = line:match("^([^:]+): (.*)$")
		headers[name:lower()] = value
	end
	local body = ""
	if headers["transfer-encoding"] then
		repeat
			local size = tonumber(c:line(), 16)
			body = body .. (size > 0 and c:read(size) or "")
			assert(c:line() == "")
		until size == 0
	elseif not is_head and tonumber(headers["content-length"] or 0) > 0 then
		body = c:read(tonumber(headers["content-length"]))
	end
	return tonumber(status), body, headers
end

return http_app
