/* What the fuzz targets of Lua code share: one state with the runtime, one function of Lua that is
 * called with every input. Included once by a target, after it has defined `loader`, the text of a
 * chunk that returns that function. */
#ifndef FUZZ_LUA_FUZZ_H
#define FUZZ_LUA_FUZZ_H

#include "bindings/lua_host.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs may be programs that run with the real globals: what reaches outside is taken away. */
static const char disarm[] =
    "for _, name in ipairs { 'execute', 'exit', 'remove', 'rename', 'tmpname', 'setlocale' } do\n"
    "	os[name] = nil\n"
    "end\n"
    "for name in pairs(io) do if name ~= 'write' then io[name] = nil end end\n"
    "io.write = function() end\n"
    "print, package.loadlib, debug.sethook, debug.debug = io.write, nil, nil, nil\n"
    "require = function(name) error('no ' .. tostring(name), 0) end\n";

static lua_State *L;

static void fail(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, lua_tostring(L, -1));
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct lua_host_info info;
	static char *boot_args[] = {"lua", "-e", ""};

	(void)argc;
	(void)argv;
	if (lua_host_locate(&info, "command") < 0)
		abort();
	L = lua_host_new(&info, (size_t)128 << 20);
	if (!L || lua_host_boot(L, "command", 3, boot_args) != 0)
		abort();
	lua_host_limits(0, 2);
	if (luaL_loadstring(L, loader) || !lua_host_call(L, 0, 1))
		fail("loader");
	lua_setfield(L, LUA_REGISTRYINDEX, "fuzz");
	if (luaL_loadstring(L, disarm) || !lua_host_call(L, 0, 0))
		fail("disarm");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "fuzz");
	lua_pushlstring(L, (const char *)data, size);
	/* A config may use up its time or its memory; anything else that reaches here is a fault.
	 */
	if (!lua_host_call(L, 1, 0)) {
		const char *text = lua_tostring(L, -1);

		if (!text || (!strstr(text, "memory") && !strstr(text, "time")))
			fail("an error got out");
		lua_pop(L, 1);
	}
	return 0;
}

#endif
