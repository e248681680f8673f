-- A request that comes whole is served without a session, one that comes in two reads with one:
-- nobody can tell the difference.
local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"
local http_app <const> = require "spec.support.http_app"
local wait <const> = require "spec.support.wait"

local get <const>, answer <const> = http_app.get, http_app.answer

local app <const> = [==[
module:depends "http"
local async <const>, server <const> = require "util.async", require "net.http.server"
local timer <const> = require "util.timer"
local kept, more
local function sent(event)
	event.response:send("sent")
	return event.response.finished and true or "not finished"
end
module:provides("http", { name = "app", default_path = "/", route = {
	["GET /plain"] = function (event)
		event.response.headers.x_one, event.response.headers.content_type = "1", "text/plain"
		return "plain"
	end,
	["GET /wait"] = function () async.sleep(0.01) return "waited" end,
	["GET /wait-raise"] = function () async.sleep(0.01) error "after a while" end,
	["GET /raise"] = function () error "at once" end,
	["GET /raise-object"] = function () error { "an object" } end,
	["GET /sent"] = sent,
	["GET /sent-string"] = function (event) sent(event) return "twice" end,
	["GET /sent-raise"] = function (event) sent(event) error "behind the answer" end,
	["GET /later"] = function (event)
		timer.add_task(0.01, function () event.response:send("later") end)
		return true
	end,
	["GET /twice"] = function (event)
		timer.add_task(0.01, function ()
			event.response:send("once")
			event.response:send("twice")
		end)
		return true
	end,
	["GET /status"] = function (event) event.response.status_code = 202 return "accepted" end,
	["GET /framed"] = function (event)
		event.response.headers.content_length = "3"
		return "abc"
	end,
	["GET /last"] = function (event) event.response.headers.connection = "close" return "last" end,
	["GET /not-persistent"] = function (event)
		event.response.persistent = false
		return "last"
	end,
	["GET /closed"] = function (event) event.request.conn:close() return "never" end,
	["GET /gone"] = function (event)
		local gone <const> = "no"
		event.response.on_destroy = function () kept = "gone" end
		event.request.conn:destroy()
		server.listener.ondisconnect(event.request.conn, "as if")
		return gone
	end,
	["GET /kept"] = function () return tostring(kept) end,
	["GET /control"] = function (event) event.response.headers.x = "a\nb" return "never" end,
	["GET /current"] = function (event)
		local current <const> = server.get_request_from_conn(event.request.conn)
		return tostring(current == event.request and current == event.response.request)
	end,
	["GET /current-later"] = function (event)
		async.sleep(0.01)
		return tostring(server.get_request_from_conn(event.request.conn) == event.request)
	end,
	["GET /other"] = function (event)
		event.request.conn:setlistener { onincoming = function (conn, data) conn:write(data) end }
		event.response.status_code = 101
		return ""
	end,
	["GET /body"] = function (event)
		return ("%s %s"):format(event.request.body, tostring(event.request.partial))
	end,
	["POST /body"] = function (event) return event.request.body end,
	["GET /wild/*"] = function (_, rest) return rest end,
} })

-- What changes who answers; called by name.
local changes <const> = {
	before = function ()
		more = function () return "before" end
		server.add_handler("GET localhost/plain", more, 10)
	end,
	["no-more"] = function () server.remove_handler("GET localhost/plain", more) end,
	any = function () server.add_handler("GET /any", function () return "any host" end) end,
	wrap = function ()
		server._events.add_wrapper("GET localhost/plain", function () return "wrapped" end)
	end,
	default = function () server.set_default_host(nil) end,
	host = function () server.add_host("new.example") end,
	["no-host"] = function () server.remove_host("new.example") end,
}
module:add_item("shell-command", { section = "app", section_desc = "the app", name = "change",
	desc = "changes who answers", args = { { name = "what", type = "string" } },
	handler = function (_, what) changes[what]() return true, "changed" end })
]==]

local function start()
	return daemon.start { modules = { app = app }, allow = { "Traceback" }, config = [[
		modules_enabled = { "http", "app", "admin_shell" }; http_ports = { 0 }; https_ports = {}
		http_interfaces = { "127.0.0.1" }; http_default_host = "localhost"
		VirtualHost "localhost"
	]] }
end

local ways <const> = {
	whole = function (c, text) c:send(text) end,
	parts = function (c, text)
		c:send(text:sub(1, 9))
		wait.sleep(0.02) -- should both come in one read, it is the other way: no harm
		c:send(text:sub(10))
	end,
}

-- What one sees of an answer; the date is another in the next second.
local function seen(status, body, headers)
	local list <const> = {}
	for name, value in pairs(headers or {}) do
		list[#list + 1] = ("%s: %s"):format(name, name == "date" and "…" or value)
	end
	table.sort(list)
	return table.concat({ tostring(status), tostring(body), table.unpack(list) }, "\n")
end

describe("a usual HTTP request", function ()
	local d
	setup(function () d = start() end)
	teardown(function ()
		client.close_all()
		daemon.finish_all()
	end)
	after_each(client.close_all)

	local function connect()
		return assert(client.tcp("127.0.0.1", d:port "http"))
	end

	local function ask(way, path, more)
		local c <const> = connect()
		ways[way](c, get(path, more))
		return c, seen(answer(c))
	end

	it("is answered as any other", function ()
		for path, expected in pairs {
			["/plain"] = "200\nplain", ["/wait"] = "200\nwaited", ["/wait-raise"] = "500",
			["/raise"] = "500", ["/raise-object"] = "500", ["/sent"] = "200\nsent",
			["/sent-string"] = "200\nsent", ["/later"] = "200\nlater", ["/twice"] = "200\nonce",
			["/status"] = "202\naccepted", ["/framed"] = "200\nabc", ["/last"] = "200\nlast",
			["/not-persistent"] = "200\nlast", ["/control"] = "500", ["/current"] = "200\ntrue",
			["/current-later"] = "200\ntrue", ["/body"] = "200\n nil",
			["/wild/a%20b?c"] = "200\na b", ["/none"] = "404", ["/../x"] = "400",
		} do
			local one, whole <const> = ask("whole", path)
			local two, parts <const> = ask("parts", path)
			assert.equal(expected, whole:sub(1, #expected), path)
			assert.equal(parts, whole, path)
			local closes <const> = whole:find("connection: close", 1, true)
			for _, c in ipairs { one, two } do
				if closes then
					assert.is_true(c:closed(5), path)
				else
					c:send(get "/plain")
					assert.equal("plain", select(2, answer(c)), path)
				end
			end
		end
	end)

	-- The header lines of each answer sorted: their order is that of a table, which depends on what
	-- it has held before.
	local function in_order(answers)
		return (answers:gsub("(HTTP/1%.1 [^\r]*\r\n)(.-\r\n)\r\n", function (status, head)
			local lines <const> = {}
			for line in head:gmatch "[^\r\n]+" do lines[#lines + 1] = line end
			table.sort(lines)
			return status .. table.concat(lines, "\r\n") .. "\r\n\r\n"
		end))
	end

	-- Behind another one in the same read it is read by the parser of a session.
	it("is accepted and refused as any other, whatever byte of it is another", function ()
		local first <const> = get "/plain"
		local _, want <const> = ask("whole", "/plain")
		assert.equal("200", want:sub(1, 3))
		local function told(text, front)
			local c <const> = connect()
			c:send(front .. text)
			c:shutdown()
			local all <const> = c:read_all(10):gsub("Date: [^\r]*", "")
			c:close()
			return in_order(all)
		end
		local answered <const> = told(first, "")
		local request <const> = "GET /plain?a HTTP/1.1\r\nHost: localhost:80\r\n"
			.. "Connection: Keep-Alive\r\nX-A: b \r\n\r\n"
		for i = 1, #request do
			for byte in ("\0\t\n\r !#%/0:;?A[_\127\128\255"):gmatch "." do
				local text <const> = request:sub(1, i - 1) .. byte .. request:sub(i + 1)
				assert.equal(told(text, first), answered .. told(text, ""), ("%q"):format(text))
			end
		end
	end)

	it("may be the first or any other of its connection, between unusual ones", function ()
		local c <const> = connect()
		for i = 1, 40 do
			local kind <const> = i % 4
			if kind == 0 then
				ways.parts(c, get "/plain")
			elseif kind == 1 then
				c:send("POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nplain")
			elseif kind == 2 then
				c:send(get "/plain" .. get "/plain")
				assert.equal("plain", select(2, answer(c)))
			else
				c:send(get "/plain")
			end
			assert.equal("plain", select(2, answer(c)))
		end
	end)

	it("leaves a connection that its handler has closed or given away", function ()
		for way in pairs(ways) do
			local c = connect()
			ways[way](c, get "/closed")
			assert.is_true(c:closed(5))
			c = connect()
			ways[way](c, get "/gone")
			assert.is_true(c:closed(5))
			c = connect()
			c:send(get "/kept")
			assert.equal("gone", select(2, answer(c)))
			c = connect()
			ways[way](c, get "/other")
			assert.matches("^HTTP/1.1 101 ", (c:line(5)))
			repeat until assert(c:line(5)):gsub("\r", "") == ""
			c:send("hello")
			assert.equal("hello", (c:read(5, 5)))
		end
	end)

	it("waits with what comes behind it until it is answered", function ()
		local c <const> = connect()
		c:send(get "/wait")
		c:send(get "/later")
		c:send(get "/plain")
		for _, body in ipairs { "waited", "later", "plain" } do
			assert.equal(body, select(2, answer(c)))
		end
	end)

	it("is not answered again when its handler raises behind the answer", function ()
		for way in pairs(ways) do
			local c <const> = ask(way, "/sent-raise")
			d:wait_log("behind the answer", 10)
			c:send(get "/plain")
			assert.equal("plain", select(2, answer(c)))
		end
	end)

	it("meets the handlers, hosts and wrappers of now", function ()
		local function body(path, host)
			local c <const> = connect()
			c:send(("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n"):format(path, host or "localhost"))
			local status <const>, text <const> = answer(c)
			return status == 200 and text or status
		end
		local function change(what) d:console(("app change %q"):format(what)) end
		assert.equal("plain", body "/plain")
		change "before"
		assert.equal("before", body "/plain")
		change "no-more"
		assert.equal("plain", body "/plain")
		assert.equal(404, body "/any")
		change "any"
		assert.equal("any host", body "/any")
		assert.equal("plain", body("/plain", "other.example"))
		assert.equal("plain", body("/plain", "LOCALHOST:1"))
		change "default"
		assert.equal(404, body("/plain", "other.example"))
		assert.equal("plain", body "/plain")
		change "host"
		assert.equal("any host", body("/any", "new.example"))
		change "no-host"
		change "wrap"
		assert.equal("wrapped", body "/plain")
	end)
end)
