#include "bindings/lua_open.h"

#include "base/late.h"

/* One word for each table; the files that hold them have nothing else in common. */
#define HOST_TABLES(X)                                                                             \
	X(cipher)                                                                                  \
	X(collector)                                                                               \
	X(crypto)                                                                                  \
	X(datagram)                                                                                \
	X(edit)                                                                                    \
	X(encodings)                                                                               \
	X(guard)                                                                                   \
	X(hashes)                                                                                  \
	X(http)                                                                                    \
	X(inet)                                                                                    \
	X(info)                                                                                    \
	X(keeper)                                                                                  \
	X(lock)                                                                                    \
	X(loop)                                                                                    \
	X(net)                                                                                     \
	X(peers)                                                                                   \
	X(process)                                                                                 \
	X(profile)                                                                                 \
	X(random)                                                                                  \
	X(reader)                                                                                  \
	X(redis)                                                                                   \
	X(resolver)                                                                                \
	X(signals)                                                                                 \
	X(sys)                                                                                     \
	X(table)                                                                                   \
	X(timer)                                                                                   \
	X(tls)

#define DECLARE(name) int luaopen_host_##name(lua_State *L);
HOST_TABLES(DECLARE)

#define ENTRY(name) {"host." #name, luaopen_host_##name},
const luaL_Reg lua_open_host[] = {HOST_TABLES(ENTRY){NULL, NULL}};

void lua_check_library(lua_State *L, const char *name)
{
	const char *why = late_load(name);

	if (why)
		luaL_error(L, "the library %s cannot be used: %s", name, why);
}
