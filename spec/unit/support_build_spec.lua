-- plain lua too
local process <const> = require "spec.support.process"
local stat <const> = require "posix.sys.stat"

describe("contrib/deps.sh", function()
	local function deps(env, ...)
		return process.run { argv = { "sh", "contrib/deps.sh", ... }, env = env }
	end

	it("is silent when nothing is missing", function()
		local code, out, err = deps({ DEPS = "no" }, "build", "test")
		assert.equal("", out .. err)
		assert.equal(0, code)
	end)

	it("names with DEPS=no what is missing and what it would run, and fails", function()
		local code, _, err = deps({ DEPS = "no", LUA = "lua5.4-is-not-here" }, "build")
		assert.equal(1, code)
		assert.matches("missing packages:.* lua5%.4", err)
		assert.matches("apt%-get install %-y %-%-no%-install%-recommends .*lua5%.4", err)
		assert.matches("DEPS=no: nothing was installed", err)
	end)

	it("takes an unanswered DEPS=ask for a no", function()
		local code, _, err = deps({ DEPS = "ask", LUA = "lua5.4-is-not-here" }, "build")
		assert.equal(1, code)
		assert.matches("go on%?", err)
	end)

	it("refuses an unknown group", function()
		local code, _, err = deps({}, "bulid")
		assert.equal(2, code)
		assert.matches("unknown group 'bulid'", err)
	end)
end)

describe("contrib/dev/check-layers.sh", function()
	local dir

	before_each(function()
		dir = process.temp_dir()
		for _, below in ipairs { "/contrib", "/contrib/dev", "/host", "/host/base", "/host/net",
			"/host/proc", "/host/bindings", "/modules" } do
			stat.mkdir(dir .. below)
		end
		process.write_file(dir .. "/contrib/dev/check-layers.sh",
			process.read_file("contrib/dev/check-layers.sh"))
	end)
	after_each(function() process.remove_tree(dir) end)

	local function check(path, text)
		process.write_file(dir .. path, text)
		local code, out = process.run { argv = { "sh", dir .. "/contrib/dev/check-layers.sh" } }
		return code, out
	end

	it("passes code that keeps to its layer", function()
		process.write_file(dir .. "/host/net/a.h", "\n")
		local code, out = check("/host/net/a.c", '#include "net/a.h"\n\n#include "base/log.h"\n')
		assert.equal("", out)
		assert.equal(0, code)
	end)

	local breaches <const> = {
		{ "/host/base/a.c", '#include "net/conn.h"', "may include base/" },
		{ "/host/net/a.c", "#include <lua.h>", "lua.h belongs to bindings/" },
		{ "/host/proc/a.c", "#include <ev.h>", "ev.h belongs to net/" },
		{ "/host/proc/a.c", "#include <openssl/ssl.h>", "no OpenSSL" },
		{ "/host/net/a.c", "\tpid = fork();", "in proc/ only" },
		{ "/host/bindings/a.c", "\tlua_call(L, 0, 0);", "lua_call raises" },
		{ "/host/bindings/a.c", "\tif (lua_pcall(L, 0, 0, 0))", "exactly one function pcalls" },
		{ "/modules/mod_a.lua", 'local net = require "host.net"', "never host" },
		{ "/modules/mod_a.lua", 'require("mod_b")', "does not require another" },
		{ "/modules/mod_a.lua", ("\n"):rep(351), "longer than 350 lines" },
	}
	for _, breach in ipairs(breaches) do
		it(("refuses %q in %s"):format(breach[2]:sub(1, 40), breach[1]), function()
			local code, out = check(breach[1], breach[2] .. "\n")
			assert.equal(1, code)
			assert.matches(breach[3], out, 1, true)
			assert.matches(breach[1]:sub(2), out, 1, true)
		end)
	end

	it("refuses a .c file that does not include its own header first", function()
		process.write_file(dir .. "/host/net/a.h", "\n")
		local code, out = check("/host/net/a.c", '#include <stdio.h>\n#include "net/a.h"\n')
		assert.equal(1, code)
		assert.matches("own header first", out)
	end)
end)
