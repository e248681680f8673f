#include "bindings/lua_util.h"

#include <lauxlib.h>
#include <limits.h>

/* A wish for more room than this is a mistake; the table grows anyway. */
enum { PREALLOCATE_MAX = 1 << 24 };

static int l_create(lua_State *L)
{
	lua_Integer array = luaL_checkinteger(L, 1);
	lua_Integer hash = luaL_checkinteger(L, 2);

	luaL_argcheck(L, array >= 0 && array <= PREALLOCATE_MAX, 1, "size out of range");
	luaL_argcheck(L, hash >= 0 && hash <= PREALLOCATE_MAX, 2, "size out of range");
	lua_createtable(L, (int)array, (int)hash);
	return 1;
}

static int l_pack(lua_State *L)
{
	int n = lua_gettop(L);

	lua_createtable(L, n, 1);
	lua_insert(L, 1); /* table arg1 .. argn */
	for (int i = n; i >= 1; i--)
		lua_rawseti(L, 1, i);
	lua_pushinteger(L, n);
	lua_setfield(L, 1, "n");
	return 1;
}

static void copy(lua_State *L, int target, lua_Integer from, lua_Integer to)
{
	lua_rawgeti(L, 1, from);
	lua_rawseti(L, target, to);
}

static int l_move(lua_State *L)
{
	lua_Integer first = luaL_checkinteger(L, 2);
	lua_Integer last = luaL_checkinteger(L, 3);
	lua_Integer to = luaL_checkinteger(L, 4);
	int target = lua_isnoneornil(L, 5) ? 1 : 5;
	lua_Integer n;

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, target, LUA_TTABLE);
	if (last >= first) {
		luaL_argcheck(
		    L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
		n = last - first + 1;
		luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
		if (to > last || to <= first || !lua_rawequal(L, 1, target)) {
			for (lua_Integer i = 0; i < n; i++)
				copy(L, target, first + i, to + i);
		} else {
			for (lua_Integer i = n; i-- > 0;)
				copy(L, target, first + i, to + i);
		}
	}
	lua_pushvalue(L, target);
	return 1;
}

int luaopen_host_table(lua_State *L)
{
	static const luaL_Reg table[] = {
	    {"create", l_create},
	    {"pack", l_pack},
	    {"move", l_move},
	    {NULL, NULL},
	};

	luaL_newlib(L, table);
	return 1;
}
