local client <const> = require "spec.support.client"
local daemon <const> = require "spec.support.daemon"

local service <const> = [[
local listener = {}
function listener.onincoming(conn, data) conn:write(module.name .. " " .. data) end
module:provides("net", { default_port = PORT, listener = listener, private = PRIVATE })
]]

local function source(port, private)
	return (service:gsub("PORT", port):gsub("PRIVATE", tostring(private or false)))
end

describe("ports", function ()
	after_each(daemon.finish_all)

	it("that cannot be bound at the first start end the run with 69, all of them named", function ()
		local taken = require "net.server"
		local a = assert(taken.listen("127.0.0.1", 0, {}))
		local b = assert(taken.listen("127.0.0.1", 0, {}))
		local one, two = a:serverport(), b:serverport()
		local d = daemon.start {
			config = ('modules_enabled = { "echo" }; interfaces = { "127.0.0.1" }\n'
				.. "echo_ports = { %d, 0, %d }"):format(one, two),
			expect_exit = true, exit = 69,
		}
		a:close()
		b:close()
		assert.equal(69, d:wait_exit())
		local log = d:log()
		for _, port in ipairs { one, two } do
			assert.matches(("port %d for service 'echo': address already in use"):format(port), log)
		end
		assert.matches("change echo_ports = { … } %(.-gadwall.cfg.lua:3%)", log)
	end)

	it("are on the interface that the service or its listener names, if the config names none",
	function ()
		local d = daemon.start { modules = {
			item = [[module:provides("net", { default_port = 0, listener = {},
				default_interface = "127.0.0.1" })]],
			listener = [[module:provides("net", { default_port = 0, listener = {
				default_interface = "127.0.0.1" } })]],
		}, config = [[
			modules_enabled = { "item", "listener", "admin_socket", "admin_shell" }
		]] }
		local found = 0
		for _, each in ipairs(d:status().services) do
			for _, listener in ipairs(each.class == "client" and each.listeners or {}) do
				assert.equal("127.0.0.1", listener.address)
				found = found + 1
			end
		end
		assert.equal(2, found)
		d:stop()
	end)

	it("follow the options of their service, its class and its interfaces", function ()
		local port = client.free_port()
		local d = daemon.start {
			config = ([[
				modules_enabled = { "admin_socket", "admin_shell", "one", "two", "off" }
				interfaces = { "127.0.0.1" }
				local_interfaces = { "127.0.0.2" }
				one_ports = %d
				one_class = "peer"
				two_interfaces = { "127.0.0.3" }
				off_ports = {}
			]]):format(port),
			modules = { one = source(1), two = source(0, true), off = source(0) },
		}
		d:connect(port):close()
		local found = {}
		for _, entry in ipairs(d:status().services) do found[entry.service] = entry end
		assert.equal("peer", found.one.class)
		assert.equal(1, found.one.accepted)
		assert.equal("127.0.0.3", found.two.listeners[1].address)
		assert.same({}, found.off.listeners)
	end)

	it("may be Unix paths, which are gone after the end", function ()
		local d = daemon.start {
			config = [[
				modules_enabled = { "echo" }
				echo_interfaces = { "/tmp/gw-ports-spec.sock", "@gw-ports-spec" }
			]],
		}
		for _, path in ipairs { "/tmp/gw-ports-spec.sock", "@gw-ports-spec" } do
			local c = d:connect(path)
			c:send("hello\n")
			assert.equal("hello", c:line())
		end
		d:stop()
		assert.is_nil(io.open("/tmp/gw-ports-spec.sock"))
	end)

	it("are held by the keeper under a name made from what was asked for", function ()
		local d = daemon.start {
			config = [[
				modules_enabled = { "admin_socket", "admin_shell", "echo" }
				interfaces = { "127.0.0.1" }
				echo_ports = { 0, 0 }
			]],
		}
		local lines = d:console([[> local n = {} ]]
			.. [[for _, h in ipairs(require "host.keeper".held()) do n[#n + 1] = h.name end ]]
			.. [[table.sort(n) return table.concat(n, " ")]])
		local names = lines[#lines]
		assert.matches("echo/127.0.0.1/0/1 echo/127.0.0.1/0/2", names)
		assert.not_matches(":", (names:gsub("^Result: ", "")))
		local entry
		for _, found in ipairs(d:status().services) do
			entry = found.service == "echo" and found or entry
		end
		assert.not_equal(entry.listeners[1].port, entry.listeners[2].port)
	end)

	it("keep their number over the death of the worker, port 0 too", function ()
		local d = daemon.start {
			config = [[
				modules_enabled = { "admin_socket", "admin_shell", "echo" }
				interfaces = { "127.0.0.1" }
				echo_ports = { 0 }
			]],
			fds = false,
		}
		local port = d:port("echo")
		local worker = d:worker_pid()
		require "posix.signal".kill(worker, 9)
		local c = d:connect(port)
		c:send("again\n")
		assert.equal("again", c:line())
		assert.equal(port, d:port("echo"))
		assert.not_equal(worker, d:worker_pid())
	end)

	it("of a second provider open when the first one goes", function ()
		local port = client.free_port()
		local text = [[
			local listener = { onconnect = function (conn) conn:write(module.name .. "\n") end }
			module:provides("net", { name = "shared", default_port = %d, listener = listener })
		]]
		local d = daemon.start {
			config = 'modules_enabled = { "admin_socket", "admin_shell", "a", "b" }\n'
				.. 'interfaces = { "127.0.0.1" }',
			modules = { a = text:format(port), b = text:format(port) },
		}
		assert.equal("a", d:connect(port):line())
		d:console("module:unload('a')")
		assert.equal("b", d:connect(port):line())
	end)
end)
