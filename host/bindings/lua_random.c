#include "bindings/lua_util.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/random.h>

/* More in one call is a mistake of the caller: the kernel would be asked for minutes. */
enum { BYTES_MAX = 16 << 20 };

static int l_bytes(lua_State *L)
{
	lua_Integer want = luaL_checkinteger(L, 1);
	size_t have = 0;
	luaL_Buffer b;
	char *out;

	luaL_argcheck(L, want >= 0 && want <= BYTES_MAX, 1, "count out of range");
	out = luaL_buffinitsize(L, &b, (size_t)want);
	while (have < (size_t)want) {
		ssize_t n = getrandom(out + have, (size_t)want - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			return luaL_error(L, "getrandom: %s", strerror(errno));
	}
	luaL_pushresultsize(&b, (size_t)want);
	return 1;
}

int luaopen_host_random(lua_State *L)
{
	static const luaL_Reg random[] = {
	    {"bytes", l_bytes},
	    {NULL, NULL},
	};

	luaL_newlib(L, random);
	lua_pushliteral(L, "getrandom(2)");
	lua_setfield(L, -2, "_source");
	return 1;
}
