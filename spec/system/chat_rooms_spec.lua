-- contrib/examples/mod_chat.lua, as several people use it through sockets.

local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"
local tls <const> = require "spec.support.tls"
local wait <const> = require "spec.support.wait"

local source <const> = process.read_file("contrib/examples/mod_chat.lua")

local function start(extra, spec)
	spec = spec or {}
	spec.modules = spec.modules or { chat = source }
	spec.config = [[
		modules_enabled = { "chat", "admin_socket", "admin_shell", "graceful_shutdown" }
		chat_ports = { 0 }; interfaces = { "127.0.0.1" }; close_spread = 0
	]] .. (extra or "")
	local d = daemon.start(spec)
	d.config = spec.config
	return d
end

-- A connection that has read its welcome.
local function guest(d, name)
	local c = d:connect("chat")
	c:expect("^%* say something")
	if name then
		c:send("/nick " .. name .. "\n")
		c:expect("^%* you are " .. name .. " now$")
	end
	return c
end

describe("the chat example", function()
	after_each(daemon.finish_all)

	it("carries what one says to all others in the room, and to nobody elsewhere", function()
		local d = start()
		local a, b, c = guest(d, "ann"), guest(d, "bob"), guest(d, "cyd")
		c:send("/join pond\n")
		c:expect("you are cyd; in pond: cyd")
		b:expect("cyd has gone to pond")
		a:expect("cyd has gone to pond")
		a:send("quack\n/me waddles\n")
		assert.equal("<ann> quack", b:line())
		assert.equal("* ann waddles", b:line())
		c:send("/who\n")
		assert.equal("* in pond: cyd", c:line())
		a:send("/rooms\n")
		assert.equal("* rooms: lobby (2), pond (1)", a:line())
	end)

	it("shows newcomers the last lines of a room", function()
		local d = start("chat_history = 3")
		local a = guest(d)
		a:send("one\ntwo\nthree\nfour\n/who\n")
		a:expect("in lobby")
		local b = d:connect("chat")
		for _, word in ipairs { "two", "three", "four" } do
			assert.is_truthy(b:line():find("^%d%d:%d%d <guest1> " .. word .. "$"))
		end
		assert.is_truthy(b:line():find("^%* you are guest2; in lobby: guest1, guest2$"))
	end)

	it("keeps no history with chat_history = 0", function()
		local d = start("chat_history = 0")
		local a = guest(d)
		a:send("one\n/who\n")
		a:expect("in lobby")
		assert.is_truthy(d:connect("chat"):line():find("^%* you are guest2"))
	end)

	it("gives a nickname to one person only, whatever its case, until they leave", function()
		local d = start()
		local a, b = guest(d, "Duck"), guest(d)
		b:send("/nick dUCK\n/nick a b\n/nick " .. ("x"):rep(25) .. "\n/nick\n")
		assert.equal("* dUCK is taken", b:line())
		for _ = 1, 3 do assert.is_truthy(b:line():find("^%* a name has up to 24 letters")) end
		a:send("/quit\n")
		assert.equal("* bye", a:expect("bye"))
		assert.is_true(a:closed())
		b:expect("Duck has left")
		b:send("/nick dUCK\n")
		assert.equal("* you are dUCK now", b:line())
	end)

	it("escapes control characters of others, drops what is not UTF-8, takes CR LF", function()
		local d = start()
		local a, b = guest(d, "ann"), guest(d)
		a:send("\27[2Jred\7\r\n\255\xfe\r\nschön\xC2\x9B1m\ttab\r\n   \r\n/\27x\n")
		assert.equal("<ann> \\x1b[2Jred\\x07", b:line())
		assert.equal("<ann> schön?1m tab", b:line())
		a:expect("not UTF%-8")
		assert.equal("* there is no /\\x1bx; try /help", a:line())
	end)

	it("refuses a line that is too long, says so once, and goes on with the next", function()
		local d = start("chat_max_line = 100")
		local a, b = guest(d, "ann"), guest(d)
		a:send(("x"):rep(100) .. "\n" .. ("y"):rep(101) .. "\n" .. ("z"):rep(70000) .. "\nfine\n")
		assert.equal("<ann> " .. ("x"):rep(100), b:line())
		assert.equal("<ann> fine", b:line())
		a:expect("longer than 100 bytes")
		assert.is_truthy(a:line():find("longer than 100 bytes"))
		a:send("/who\n")
		assert.is_truthy(a:line():find("in lobby"))
	end)

	it("reads who writes too fast more slowly, and loses nothing", function()
		local d = start("chat_rate = 20")
		local a, b = guest(d, "ann"), guest(d)
		local lines, begin = {}, wait.now()
		for i = 1, 130 do lines[i] = "line " .. i end
		a:send(table.concat(lines, "\n") .. "\n")
		for i = 1, 130 do assert.equal("<ann> line " .. i, b:line()) end
		-- A burst of 80, and what came in since the connect, then 20 a second.
		assert.is_true(wait.now() - begin > 1, "it took " .. wait.now() - begin)
		a:expect("read at 20 a second")
	end)

	it("lets go of a reader that does not read, and of nobody else", function()
		local d = start("chat_rate = 100000")
		local a, b, slow = guest(d, "ann"), guest(d, "bob"), guest(d, "slow")
		local lines = (("x"):rep(1000) .. "\n"):rep(50)
		local function people()
			a:send("/rooms\n")
			return tonumber(a:expect("^%* rooms: lobby"):match("%((%d)%)"))
		end
		for _ = 1, 400 do -- 20 MB, more than the kernel's buffers hold
			a:send(lines)
			for _ = 1, 50 do b:expect("^<ann> x+$") end
			if people() == 2 then break end
		end
		assert.equal(2, people())
		assert.is_truthy(slow:read_all():find("* you read too slowly\n", 1, true))
		b:expect("slow has left")
	end)

	it("keeps nicknames, rooms and history over a reload, with every connection open", function()
		local d = start()
		local a, b = guest(d, "ann"), guest(d, "bob")
		a:send("/join pond\n")
		a:expect("in pond: ann")
		b:expect("gone to pond")
		b:send("before\n/who\n")
		b:expect("in lobby: bob")
		d:write_module("chat", (source:gsub('"<%%s> %%s"', '"%%s says: %%s"')))
		local _, last = d:console("module reload chat")
		assert.is_truthy(last:find("^OK:"))
		a:send("/join lobby\n")
		assert.is_truthy(a:line():find("<bob> before$"))
		assert.is_truthy(a:line():find("you are ann; in lobby: ann, bob$"))
		a:send("after\n")
		assert.equal("* ann is here", b:line())
		assert.equal("ann says: after", b:line())
		assert.is_truthy(guest(d):send("/nick ANN\n"))
	end)

	it("goes on with the old code when the new one is wrong", function()
		local d = start(nil, { allow = { "error" } })
		local a, b = guest(d, "ann"), guest(d)
		d:write_module("chat", source .. "\nlocal x = nil + 1\n")
		local lines, last = d:console("module reload chat")
		assert.is_truthy(last:find("^Error:"), last)
		assert.is_truthy(table.concat(lines, "\n"):find("mod_chat.lua:%d+"))
		a:send("still here\n")
		assert.equal("<ann> still here", b:line())
		assert.is_truthy(guest(d))
	end)

	it("says goodbye with the seconds left and where to go, and lets people finish", function()
		local d = start('goodbye = { to = "b.example port 7070", after = 5 }')
		local a, b = guest(d, "ann"), guest(d, "bob")
		local begin = wait.now()
		d:signal("TERM")
		local farewell = a:expect("Goodbye")
		assert.equal("* Goodbye, the server stops (SIGTERM). 3 s left. Go to b.example port 7070."
			.. " Come back in 5 s.", farewell)
		b:expect("Goodbye")
		a:send("see you\n")
		b:expect("<ann> see you")
		a:send("/quit\n")
		assert.is_true(a:closed(1))
		assert.is_true(b:closed(5))
		assert.is_true(wait.now() - begin > 2.5)
		assert.equal(0, d:wait_exit(5))
	end)

	it("closes at once when there is no time left", function()
		local d = start(nil, { exit = false })
		local a = guest(d, "ann")
		d:console("stop --now")
		assert.is_truthy(a:expect("Goodbye"):find("0 s left", 1, true))
		assert.is_true(a:closed(5))
		d:wait_exit(8)
	end)

	it("speaks under TLS with those in the clear, once there is a certificate", function()
		local dir <const> = process.temp_dir()
		local d = start(('certificates = "%s"\n'):format(dir), { fds = false })
		local a = guest(d, "ann")
		assert.same({}, d:log_lines("chat_tls"))
		assert.equal(0, (d:run("status"))) -- no fault: nobody asked for TLS
		tls.make(dir, "chat_tls")
		d:write_config(d.config .. "chat_tls_ports = { 0 }\n")
		assert.equal(0, (d:run("reload")))
		local port <const> = d:port("chat_tls")
		local _, out = process.run { argv = { "openssl", "s_client", "-quiet", "-connect",
			"127.0.0.1:" .. port }, input = "/nick bob\nquack under TLS\n/quit\n", timeout = 20 }
		assert.matches("you are bob now", out)
		assert.matches("%* bye", out)
		a:expect("^%* guest2 is here$")
		a:expect("^<bob> quack under TLS$")
		a:expect("^%* bob has left$")
		process.remove_tree(dir)
	end)
end)
