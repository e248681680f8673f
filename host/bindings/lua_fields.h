/* Fields of the table on top of the stack. */
#ifndef BINDINGS_LUA_FIELDS_H
#define BINDINGS_LUA_FIELDS_H

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

#endif
