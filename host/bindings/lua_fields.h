/* Fields of the table on top of the stack, and a table of handlers. */
#ifndef BINDINGS_LUA_FIELDS_H
#define BINDINGS_LUA_FIELDS_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

static inline void lua_set_integer(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

static inline void lua_set_number(lua_State *L, const char *key, lua_Number value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, key);
}

/* value: copied; NULL: the field is nil. */
static inline void lua_set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static inline void lua_set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

/* For on(name, fn or nil): sets the field in the table with the registry ref `handlers`. Raises on
 * a name that is not in `names` (NULL-terminated), and on a value that is no function. */
static inline void lua_check_handler(lua_State *L, int handlers, const char *const names[])
{
	(void)luaL_checkoption(L, 1, NULL, names);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	lua_insert(L, 1);
	lua_rawset(L, 1);
}

#endif
