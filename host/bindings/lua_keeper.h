/* host.keeper; host/README.md lists what it offers to Lua. */
#ifndef BINDINGS_LUA_KEEPER_H
#define BINDINGS_LUA_KEEPER_H

#include <lua.h>

int luaopen_host_keeper(lua_State *L);

/* Delivers a verb as if the keeper had sent it; for a worker whose keeper has died. */
void lua_keeper_local_verb(const char *verb, const char *origin);

#endif
