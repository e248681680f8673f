-- Modules in the manner of those that the packages lack (portcheck, http_index, http_favicon,
-- http_dir_listing, debug_traceback), and a WebSocket service, in words of our own: each runs on
-- gadwall and on real Prosody, and both must do the same.

local both <const> = require "spec.support.both"
local client <const> = require "spec.support.client"
local frames <const> = require "net.websocket.frames"

describe("on gadwall and on Prosody, a module", function ()
	after_each(both.finish_all)
	local same <const> = both.same(assert, pending)

	it("finds the ports that are open, with their services", function ()
		local seen = same({
			enable = { "http", "ports" },
			modules = { ports = [[
				module:set_global()
				local portmanager = require "core.portmanager"
				module:provides("net", { name = "extra", default_port = 0, private = true,
					listener = { default_mode = "*a" } })
				module:add_timer(0.2, function ()
					local found = {}
					for name, list in pairs(portmanager.get_active_services().data) do
						for interface, ports in pairs(list) do
							for port in pairs(ports) do
								local service = portmanager.get_service_at(interface, port)
								if name == "http" then
									table.insert(found, name .. " " .. interface .. " " .. service.name)
								end
							end
						end
					end
					table.sort(found)
					module:log("info", "open: %s", table.concat(found, "; "))
					module:log("info", "known: %s %s", portmanager.get_service("http") ~= nil,
						portmanager.get_service("nothing") ~= nil)
				end)
			]] },
		}, function (host)
			host:wait_log "known: "
			return { host:log():match("open: ([^\n]*)"), host:log():match("known: ([^\n]*)") }
		end)
		assert.equal("http 127.0.0.1 http", seen[1])
	end)

	it("answers for a page of links, an icon and a listing", function ()
		local seen = same({
			enable = { "index", "icon" }, files = { ["files/a&b.txt"] = "1", ["files/c.txt"] = "2" },
			config = 'files_path = "DATA/files"',
			modules = { index = [[
				local lfs = require "lfs"
				local function listing()
					local names, path = {}, module:get_option_string("files_path")
					for name in lfs.dir(path) do
						if name:sub(1, 1) ~= "." and lfs.attributes(path .. "/" .. name, "mode") == "file" then
							names[#names + 1] = name
						end
					end
					table.sort(names)
					return table.concat(names, "\n")
				end
				module:depends "http"
				module:provides("http", { name = "index", title = "Index", default_path = "/index",
					route = {
						["GET /"] = function (event)
							event.response.headers.content_type = "text/html; charset=utf-8"
							local list = {}
							for _, item in ipairs(module:get_host_items "http-provider") do
								local url = module:http_url(item.name, item.default_path)
								table.insert(list, item.name .. " " .. url:gsub(":%d+", ":PORT"))
							end
							table.sort(list)
							return table.concat(list, "\n")
						end,
						["GET /files/*"] = function (_, rest) return rest == "" and listing() or 404 end,
						["POST /echo"] = function (event) return event.request.body end,
						["GET /later"] = function (event)
							module:add_timer(0.05, function ()
								event.response.status_code = 202
								event.response:send("later")
							end)
							return true
						end,
						["GET /table"] = function ()
							return { status_code = 203, headers = { x_kind = "table" }, body = "t" }
						end,
					} })
			]], icon = [[
				module:depends "http"
				module:provides("http", { name = "icon", default_path = "/favicon.ico", route = {
					GET = { headers = { content_type = "image/x-icon" }, body = "\0\1icon" },
				} })
			]] },
		}, function (host, port)
			local got = {}
			for _, path in ipairs { "/index/", "/index", "/index/files/", "/index/files/x", "/index/later",
				"/index/table", "/favicon.ico", "/index/none" } do
				local r = both.curl(port, path)
				got[path] = { r.status, r.status < 300 and r.body, r.headers.x_kind or r.headers["x-kind"],
					r.status < 300 and r.headers["content-type"], r.headers.location }
			end
			local r = both.curl(port, "/index/echo", "--data-binary", "a=b")
			got.echo = { r.status, r.body }
			-- The one difference that is meant: 405 with Allow where Prosody has 404.
			r = both.curl(port, "/index/later", "-X", "PUT")
			assert.equal(host.keeper_pid and 405 or 404, r.status)
			return got
		end)
		assert.equal("a&b.txt\nc.txt", seen["/index/files/"][2])
	end)

	it("writes a traceback when a signal comes", function ()
		local seen = same({
			enable = { "trace" }, config = 'trace_path = "DATA/trace"',
			modules = { trace = [[
				module:set_global()
				local traceback = require "util.debug".traceback
				local path = module:get_option_string("trace_path")
				local function write()
					local file = assert(io.open(path, "w"))
					file:write(traceback())
					file:close()
					module:log("info", "trace written")
				end
				require "util.timer".add_task(0.05, function ()
					local wait = function () write() end
					wait()
				end)
			]] },
		}, function (host)
			host:wait_log "trace written"
			local file = assert(io.open(host.dir .. "/data/trace"))
			local text = file:read("a")
			file:close()
			return { text:find("traceback", 1, true) ~= nil, text:find("mod_trace.lua", 1, true) ~= nil,
				text:find("write", 1, true) ~= nil }
		end)
		assert.same({ true, true, true }, seen)
	end)

	it("speaks WebSocket", function ()
		local seen = same({
			enable = { "socket_echo" },
			modules = { socket_echo = [[
				local frames = require "net.websocket.frames"
				local sha1 = require "util.hashes".sha1
				local base64 = require "util.encodings".base64.encode
				local listener = {}
				function listener.onincoming(conn, data)
					conn.waiting = (conn.waiting or "") .. data
					local frame, size = frames.parse(conn.waiting)
					while frame do
						conn.waiting = conn.waiting:sub(size + 1)
						if frame.opcode == 8 then
							conn:write(frames.build_close(1000, "bye"))
							return conn:close()
						end
						conn:write(frames.build { opcode = frame.opcode, FIN = true,
							data = frame.data:upper() })
						frame, size = frames.parse(conn.waiting)
					end
				end
				function listener.ondisconnect() end
				module:depends "http"
				module:provides("http", { name = "ws", default_path = "/ws", route = {
					GET = function (event)
						local key = event.request.headers.sec_websocket_key
						if not key then return 400 end
						local response = event.response
						response.conn:setlistener(listener)
						response.status_code = 101
						response.headers.upgrade = "websocket"
						response.headers.connection = "Upgrade"
						response.headers.sec_websocket_accept =
							base64(sha1(key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
						return ""
					end,
				} })
			]] },
		}, function (_, port)
			local c = assert(client.tcp("127.0.0.1", port))
			c:send("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				.. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			local got = { (c:line()) }
			repeat
				local line = c:line()
				if line:lower():find("^sec%-websocket%-accept") then got[2] = line:match(": (.*)") end
			until line == ""
			local function frame(opcode, data)
				return frames.build { opcode = opcode, data = data, FIN = true, MASK = true }
			end
			c:send(frame(1, "hello") .. frame(2, ("x"):rep(200)):sub(1, 50))
			got[3] = c:read(7)
			c:send(frame(9, "ping"))
			c:send(frame(8, ""))
			c:close()
			return got
		end)
		assert.same({ "HTTP/1.1 101 Switching Protocols", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
			"\x81\5HELLO" }, seen)
		assert.equal(400, same({ enable = { "socket_echo" }, modules = { socket_echo = [[
			module:depends "http"
			module:provides("http", { name = "ws", default_path = "/ws", route = {
				GET = function () return 400 end } })
		]] } }, function (_, port) return both.curl(port, "/ws").status end))
	end)
end)
