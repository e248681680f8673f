/* Fuzzes the config loader: the input is the text of a config file, and of every file it includes.
 * A state with the runtime is made once; each input is loaded as the reader would do it. */
#include "bindings/lua_host.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RunScript runs with the real globals, so what could reach outside is taken away first. */
static const char loader[] =
    "for _, name in ipairs { 'execute', 'exit', 'remove', 'rename', 'tmpname', 'setlocale' } do\n"
    "	os[name] = nil\n"
    "end\n"
    "for name in pairs(io) do if name ~= 'write' then io[name] = nil end end\n"
    "package.loadlib, require_real, debug.sethook = nil, require, nil\n"
    "local manager = require 'core.configmanager'\n"
    "local source = {}\n"
    "function source:read(path)\n"
    "	self.left = self.left - 1\n"
    "	if self.left < 0 then return nil, 'no such file' end\n"
    "	return self.text, {}\n"
    "end\n"
    "function source:glob(pattern) return { pattern .. '1', pattern .. '2' } end\n"
    "function source:getenv(name) return name end\n"
    "require = function(name) error('no ' .. tostring(name), 0) end\n"
    "return function(text)\n"
    "	source.text, source.left = text, 4\n"
    "	local state = manager.build('fuzz.cfg.lua', source)\n"
    "	for _, fault in ipairs(state.faults) do\n"
    "		assert(type(fault.message) == 'string' and math.type(fault.line) == 'integer')\n"
    "		assert(fault.file and fault.severity and fault.code)\n"
    "	end\n"
    "	assert(state:errors() >= 0 and #state.hosts > 0)\n"
    "end\n";

static lua_State *L;

static void fail(const char *what)
{
	fprintf(stderr, "config_fuzz: %s: %s\n", what, lua_tostring(L, -1));
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
	if (luaL_loadbuffer(L, loader, sizeof loader - 1, "=config_fuzz"))
		fail("loader");
	if (!lua_host_call(L, 0, 1))
		fail("loader");
	lua_setfield(L, LUA_REGISTRYINDEX, "config_fuzz");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "config_fuzz");
	lua_pushlstring(L, (const char *)data, size);
	/* A config may use up its time or its memory; anything else that reaches here is a fault.
	 */
	if (!lua_host_call(L, 1, 0)) {
		const char *text = lua_tostring(L, -1);

		if (!text || (!strstr(text, "memory") && !strstr(text, "time")))
			fail("an error escaped the loader");
		lua_pop(L, 1);
	}
	return 0;
}
