local daemon <const> = require "spec.support.daemon"
local process <const> = require "spec.support.process"

local function lua(input, ...)
	return process.run { argv = { daemon.binary(), "lua", ... }, input = input, timeout = 10 }
end

describe("gadwall lua", function()
	it("runs text with arguments", function()
		local code, out = lua(nil, "-e", "print(arg[0], arg[1], ...)", "a", "-b")
		assert.equal(0, code)
		assert.equal("(command line)\ta\ta\t-b\n", out)
	end)

	it("runs a file and standard input, as lua does", function()
		local dir <const> = process.temp_dir()
		process.write_file(dir .. "/a.lua", "#!/usr/bin/env gadwall\nprint(arg[0]:match('[^/]+$'), ...)")
		local code, out = lua(nil, dir .. "/a.lua", "--x")
		assert.equal(0, code)
		assert.equal("a.lua\t--x\n", out)
		code, out = lua("print(arg[0], ...)", "-", "y")
		assert.equal(0, code)
		assert.equal("-\ty\n", out)
		process.remove_tree(dir)
	end)

	it("has the status that the script asks for, and 1 with a traceback if it raises", function()
		assert.equal(7, (lua(nil, "-e", "os.exit(7)")))
		local code, _, err = lua(nil, "-e", "local function f() error('boom') end f()")
		assert.equal(1, code)
		assert.matches("boom\nstack traceback:", err)
		code, _, err = lua(nil, "-e", "for")
		assert.equal(1, code)
		assert.matches("%(command line%):1:", err)
		assert.equal(1, (lua(nil, "/nowhere/at/all.lua")))
	end)

	it("has the loop and the libraries, in both spellings", function()
		local code, out, err = lua(nil, "-e", [[
			local server, timer = require "net.server", require "prosody.util.timer"
			assert(timer == require "util.timer")
			timer.add_task(0.01, function () print "tick" server.setquitting(true) end)
			print(server.loop())
		]])
		assert.equal(0, code, err)
		assert.matches("^tick\nquitting", out)
	end)

	it("loads text only and ignores LUA_ variables", function()
		local code, out = process.run { argv = { daemon.binary(), "lua", "-e",
			"print(string.dump, load('\\27Lua'))" }, env = { LUA_INIT = "error('init')",
			LUA_PATH = "/nowhere/?.lua" } }
		assert.equal(0, code)
		assert.matches("^nil\tnil\t.*attempt to load a binary chunk", out)
	end)

	it("has every manager and library, though there is no host", function()
		local code, out, err = lua(nil, "-e", [[
			for _, name in ipairs { "storagemanager", "statsmanager", "certmanager", "hostmanager",
				"modulemanager", "portmanager", "configmanager", "loggingmanager", "moduleapi" } do
				assert(require("core." .. name))
			end
			print(require "core.storagemanager".open("localhost", "notes"))
		]])
		assert.equal(0, code, err)
		assert.equal("nil\tunknown-host\n", out)
	end)

	it("gives host.sys what luaposix has not", function()
		local code, out, err = lua(nil, "-e", [[
			local sys = require "host.sys"
			local fd = assert(sys.memfd("x", "hello"))
			assert(sys.readfd(fd) == "hello" and sys.stat_fd(fd).size == 5)
			assert(sys.close(fd))
			local ok, message, errno = sys.connect_unix("/nowhere/sock")
			print(ok, message, errno)
			print(sys.flock_test("/etc/passwd"))
			assert(sys.rss() > 100000 and sys.lua_bytes() > 1000)
			print(sys.isatty(0), select("#", sys.winsize(0)))
			print(pcall(sys.close, -1))
		]])
		assert.equal(0, code, err)
		assert.matches("^nil\tno such file or directory\t2\nnil\tnot locked\nfalse\t3\n"
			.. "false\tbad argument #1 to '[%l.]*close' %(not a descriptor%)\n$", out)
	end)
end)
