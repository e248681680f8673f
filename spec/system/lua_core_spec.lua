-- One Lua core in the process, and the runtime's bytecode as good as its text.

local binary <const> = require "posix.stdlib".realpath(os.getenv "GADWALL")

local function run(command)
	local f <const> = assert(io.popen(command .. " 2>&1"))
	local text <const> = f:read "a"
	return f:close() and true or false, text
end

describe("the Lua in the program", function ()
	local folder <const> = require "posix.stdlib".mkdtemp("/tmp/gadwall-core-XXXXXX")

	teardown(function ()
		os.execute("rm -rf " .. folder)
	end)

	it("is the only one that runs, also for a C module that names the shared library", function ()
		local source <const> = io.open(folder .. "/where.c", "w")
		source:write [[
			#define _GNU_SOURCE
			#include <dlfcn.h>
			#include <lua.h>
			int luaopen_where(lua_State *L);
			int luaopen_where(lua_State *L)
			{
				Dl_info at;
				lua_pushstring(L, dladdr((void *)lua_newuserdatauv, &at) ? at.dli_fname : "?");
				lua_pushboolean(L, dlsym(RTLD_DEFAULT, "lua_newstate") == (void *)lua_newstate);
				lua_setglobal(L, "one_core");
				return 1;
			}]]
		source:close()
		assert.same({ true, "" }, { run(("cd %s && cc -shared -fPIC -o where.so where.c "
			.. "$(pkg-config --cflags lua5.4) -Wl,--no-as-needed $(pkg-config --libs lua5.4)")
			:format(folder)) })
		local _, libraries <const> = run("ldd " .. binary)
		local ok, text = run(([[%s lua -e 'package.cpath = "%s/?.so" print(require "where", one_core)']])
			:format(binary, folder))
		assert.is_true(ok, text)
		local where, one = text:match("^(%S+)%s.-(%l+)\n$")
		assert.equal("true", one)
		if not libraries:find("liblua", 1, true) then
			assert.equal(binary, require "posix.stdlib".realpath(where))
		end
	end)

	it("loads each file of the runtime with the names and lines of its text", function ()
		local script <const> = io.open(folder .. "/lines.lua", "w")
		script:write [[
			local info <const> = require "host.info"
			local function lines(chunk)
				local about <const>, list <const> = debug.getinfo(chunk, "SL"), {}
				for line in pairs(about.activelines) do list[#list + 1] = line end
				table.sort(list)
				return about.source .. " " .. about.short_src .. " " .. table.concat(list, ",")
			end
			local n = 0
			for _, name in ipairs(info.embedded_names()) do
				local path <const> = name:gsub("%.", "/") .. ".lua"
				local chunk <const> = (name == "boot" and "=" or "@") .. path
				local text <const> = assert(load(io.open(arg[1] .. "/" .. path):read "a", chunk))
				local code <const> = assert(info.load_embedded(name, chunk))
				if lines(code) ~= lines(text) then print(name, lines(code), lines(text)) end
				n = n + 1
			end
			print(n > 100, info.load_embedded("no.such", "@no"))
		]]
		script:close()
		assert.same({ true, "true\n" }, { run(("%s lua %s/lines.lua host/lua"):format(binary, folder)) })
	end)
end)
