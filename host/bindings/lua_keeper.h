/* host.keeper; host/README.md lists what it offers to Lua. */
#ifndef BINDINGS_LUA_KEEPER_H
#define BINDINGS_LUA_KEEPER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

int luaopen_host_keeper(lua_State *L);

/* Adds on(what, fn) to the table on top, and begins to hear the keeper. */
void lua_keeper_open_heard(lua_State *L);

/* Pushes the text of a sealed memfd, whose offset is shared with other processes and not used;
 * false, with nothing pushed: it cannot be read, or is longer than `limit` bytes. */
bool lua_keeper_push_text(lua_State *L, int fd, size_t limit);

/* Delivers a verb as if the keeper had sent it; for a worker whose keeper has died. */
void lua_keeper_local_verb(const char *verb, const char *origin);

#endif
