/* The list of C tables that the Lua runtime can require: "host.loop", "host.net", … */
#ifndef BINDINGS_LUA_OPEN_H
#define BINDINGS_LUA_OPEN_H

#include <lauxlib.h>

/* Ends with { NULL, NULL }; one entry for each bindings file. */
extern const luaL_Reg lua_open_host[];

/* For the opener of a table whose functions call a library of base/late.h: loads it, or raises with
 * what is missing. */
void lua_check_library(lua_State *L, const char *name);

#endif
