/* host.reader: what the config said, handed to the keeper when the role returns. */
#ifndef BINDINGS_LUA_READER_H
#define BINDINGS_LUA_READER_H

#include <lua.h>
#include <stdbool.h>

/* The arguments of this reader; borrowed. */
struct lua_reader_args {
	const char *config_file; /* or NULL */
	bool passive, for_reload;
};

void lua_reader_init(const struct lua_reader_args *args);

/* Sends settings and bundle, or the faults, over the channel; 0, or -1 with errno (ENODATA: Lua
 * gave neither). */
int lua_reader_send(int channel);

int luaopen_host_reader(lua_State *L);

#endif
