/* Which of Lua's two collectors runs, and when memory goes back (lua_collector.c says how). */
#ifndef BINDINGS_LUA_COLLECTOR_H
#define BINDINGS_LUA_COLLECTOR_H

#include <lua.h>

/* With each of the worker's heartbeats: after many connections have gone, memory goes back. */
void lua_collector_beat(void);

/* host.collector. */
int luaopen_host_collector(lua_State *L);

#endif
