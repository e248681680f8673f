/* host.peers: what the workers of a generation say to each other (worker_peers.h). Other roles
 * cannot require it; core/peers.lua is what the host's own code uses. */
#include "bindings/lua_fields.h"
#include "bindings/lua_host.h"
#include "bindings/worker_channel.h"
#include "bindings/worker_peers.h"
#include "net/loop.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

static int handlers = LUA_NOREF; /* table: "message", "change" -> function */

struct heard {
	uint32_t from;
	const char *text; /* NULL: a change */
	size_t length;
};

int luaopen_host_peers(lua_State *L);

/* struct heard as light userdata; in a protected call because it allocates. */
static int l_deliver(lua_State *L)
{
	const struct heard *h = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	if (lua_getfield(L, -1, h->text ? "message" : "change") != LUA_TFUNCTION)
		return 0;
	lua_pushinteger(L, h->from);
	if (h->text)
		lua_pushlstring(L, h->text, h->length);
	else
		lua_pushboolean(L, peers_has(h->from));
	lua_call(L, 2, 0); /* under lua_host_call */
	return 0;
}

static void on_heard(uint32_t from, const char *text, size_t length)
{
	lua_State *L = lua_host_state();
	struct heard h = {from, text, length};
	struct loop *loop = loop_main();

	if (!L)
		return;
	loop_enter(loop);
	lua_pushcfunction(L, l_deliver);
	lua_pushlightuserdata(L, &h);
	(void)lua_host_call_logged(L, 1, 0, "in a handler of another worker's message");
	loop_leave(loop);
}

/* on("message", fn(from, text)), on("change", fn(number, here)); nil takes it off. Messages wait in
 * their channels until the first on(). */
static int l_on(lua_State *L)
{
	static const char *const names[] = {"message", "change", NULL};

	lua_check_handler(L, handlers, names);
	peers_listen(on_heard);
	return 0;
}

/* send(number, text) -> true; nil, why, errno. Never waits. */
static int l_send(lua_State *L)
{
	lua_Integer number = luaL_checkinteger(L, 1);
	size_t n;
	const char *text = luaL_checklstring(L, 2, &n);

	luaL_argcheck(L, number >= 1 && number <= SETTINGS_WORKERS, 1, "no number of a worker");
	if (peers_send((uint32_t)number, text, n) == 0) {
		lua_pushboolean(L, true);
		return 1;
	}
	luaL_pushfail(L);
	lua_pushstring(L, strerror(errno));
	lua_pushinteger(L, errno);
	return 3;
}

/* list() -> numbers of the other workers to which there is a channel, ascending */
static int l_list(lua_State *L)
{
	lua_Integer count = 0;

	lua_newtable(L);
	for (uint32_t i = 1; i <= SETTINGS_WORKERS; i++) {
		if (!peers_has(i))
			continue;
		lua_pushinteger(L, i);
		lua_rawseti(L, -2, ++count);
	}
	return 1;
}

int luaopen_host_peers(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"on", l_on}, {"send", l_send}, {"list", l_list}, {NULL, NULL}};

	if (worker_channel.generation == 0)
		return luaL_error(L, "host.peers: no keeper stands behind this process");
	luaL_newlib(L, functions);
	lua_pushinteger(L, PEERS_TEXT_MAX);
	lua_setfield(L, -2, "text_max");
	if (handlers == LUA_NOREF) {
		lua_newtable(L);
		handlers = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	return 1;
}
