-- net.server as a program uses it: quitting, signals, the clean end of a process.

local process <const> = require "spec.support.process"
local unistd <const> = require "posix.unistd"

local gadwall <const> = unistd.readlink("/proc/self/exe")
local prelude <const> = [[
local server, timer = require "net.server", require "util.timer"
local signal, loop = require "util.signal", require "host.loop"
local started = loop.monotonic()
local function took() return loop.monotonic() - started end
timer.add_task(10, function () print("too late") os.exit(9) end)
]]

local function run(script)
	local dir = process.temp_dir()
	process.write_file(dir .. "/script.lua", prelude .. script)
	local code, out, err = process.run {
		argv = { gadwall, "lua", dir .. "/script.lua" }, timeout = 20,
	}
	process.remove_tree(dir)
	return code, out, err
end

describe("net.server", function ()
	it("closes everything on setquitting and leaves the loop when all has gone", function ()
		local code, out, err = run [[
			local l = { ondisconnect = function (c, why) print("gone", why) end }
			local s = server.listen("127.0.0.1", 0, l)
			server.addclient("127.0.0.1", s:serverport(), {
				onconnect = function ()
					timer.add_task(0.05, function () server.setquitting(true) end)
				end,
			})
			print(server.loop())
			-- well before shutdown_deadline, which is 5 s, also on a machine that is busy
			print(took() < 4.5, #server.handles(), #server.servers())
		]]
		assert.equal("", err)
		assert.equal(0, code)
		assert.equal("gone\tnil\ngone\tnil\nquitting\ntrue\t0\t0\n", out)
	end)

	it("sends what is queued before it leaves", function ()
		local code, out = run [[
			local got = 0
			local s = server.listen("127.0.0.1", 0, { onconnect = function (c)
				c:write(("x"):rep(8 << 20))
				server.setquitting(true)
			end })
			local peer = server.addclient("127.0.0.1", s:serverport(), {
				onincoming = function (c, data) got = got + #data end,
			})
			peer.close = function () end
			print(server.loop(), got == 8 << 20)
		]]
		assert.equal(0, code)
		assert.equal("quitting\ttrue\n", out)
	end)

	it("cuts who does not read after shutdown_deadline", function ()
		local code, out, err = run [[
			server.set_config { shutdown_deadline = 0.3 }
			local s = server.listen("127.0.0.1", 0, { onconnect = function (c)
				c:write(("x"):rep(8 << 20))
				server.setquitting(true)
			end })
			local peer = server.addclient("127.0.0.1", s:serverport(), {})
			peer:pause()
			peer.close = function () end
			print(server.loop(), took() > 0.25 and took() < 4.5)
		]]
		assert.equal(0, code)
		assert.equal("quitting\ttrue\n", out)
		assert.equal("", err)
	end)

	it("goes on after setquitting(false)", function ()
		local code, out = run [[
			local s = server.listen("127.0.0.1", 0, {})
			server.setquitting(true)
			server.setquitting(false)
			local lived
			timer.add_task(0.1, function () lived = true loop.quit() end)
			print(server.loop(), lived)
		]]
		assert.equal(0, code)
		assert.equal("quitting\ttrue\n", out)
	end)

	it("hands signals to handlers, by name and number, with who sent them", function ()
		local code, out = run [[
			local heard = {}
			local me = require "posix.unistd".getpid()
			assert(signal.signal("sigusr1", function (n, sender)
				heard[1] = n == signal.SIGUSR1 and sender == me
			end))
			assert(server.hook_signal(signal.SIGUSR2, function (h, n) heard[2] = n h:close() end))
			print(signal.signal("SIGNONE", print))
			print(signal.signal(signal.SIGKILL, function () end))
			assert(signal.raise("SIGUSR1"))
			assert(signal.kill(me, "SIGUSR2"))
			timer.add_task(0.05, function () loop.quit() end)
			server.loop()
			print(heard[1], heard[2] == signal.SIGUSR2, signal.handler(signal.SIGUSR2))
		]]
		assert.equal(0, code)
		assert.equal("false\tinvalid-signal\nnil\tinvalid argument\t22\ntrue\ttrue\tnil\n", out)
	end)

	it("gives the keeper's signals to a router once there is one", function ()
		local code, out = run [[
			local log = {}
			signal.signal("SIGHUP", function () end)
			signal.signal("SIGCHLD", function () print("child") end)
			signal._set_router(function (n, fn) log[#log + 1] = n .. type(fn) end)
			signal.signal("SIGTERM", function () end)
			signal.signal("SIGTERM", "default")
			signal.raise("SIGCHLD")
			timer.add_task(0.02, function () loop.quit() end)
			server.loop()
			print(table.concat(log, " "), type(signal.handler(1)))
		]]
		assert.equal(0, code)
		assert.equal("child\n1function 15function 15nil\tfunction\n", out)
	end)

	it("reads signals from a descriptor", function ()
		local code, out = run [[
			local sfd = assert(signal.signalfd("SIGUSR1"))
			server.watchfd(sfd, function (watch)
				print(sfd:read() == signal.SIGUSR1, sfd:read())
				watch:close()
				sfd:close()
				loop.quit()
			end)
			signal.raise("SIGUSR1")
			server.loop()
		]]
		assert.equal(0, code)
		assert.equal("true\tnil\n", out)
	end)

	it("ignores SIGPIPE", function ()
		local code, out = run [[
			signal.raise("SIGPIPE")
			print("alive")
		]]
		assert.equal(0, code)
		assert.equal("alive\n", out)
	end)

	it("ends cleanly with connections, timers and watches open", function ()
		local code, out, err = run [[
			local s = server.listen("127.0.0.1", 0, { onconnect = function (c) c:write("x") end,
				ondisconnect = function () print("a callback after the end") end })
			for i = 1, 20 do server.addclient("127.0.0.1", s:serverport(), {}) end
			for i = 1, 100 do timer.add_task(i, print) end
			server.watchfd(0, function () end)
			loop.nexttick(function () end)
			timer.add_task(0.05, function ()
				for _, c in ipairs(server.handles()) do c:write("unsent") end
				loop.quit()
			end)
			server.loop()
			server.handles()[1]:write("also")
		]]
		assert.equal("", err)
		assert.equal("", out)
		assert.equal(0, code)
	end)

	it("answers TLS questions with words", function ()
		local code, out = run [[
			print(server.tls_builder():apply({ ciphers = "none" }):build())
			print(server.get_backend(),
				server.addserver("127.0.0.1", 0, {}, nil, { ciphers = "none" }))
			print(server.addclient("127.0.0.1", 1, {}, nil, { ciphers = "none" }))
		]]
		assert.equal(0, code)
		assert.equal("nil\terror setting cipher list (no cipher match)\n"
			.. "epoll\tnil\terror setting cipher list (no cipher match)\n"
			.. "nil\terror setting cipher list (no cipher match)\n", out)
	end)
end)
