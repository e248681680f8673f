/* bare - the least that the way of one read to Lua and back costs: the yardstick of dispatch.c.
 *
 *   bare [-n READS of each connection a batch]
 *
 * Nothing of the host is in it. A read is: 64 bytes are copied to the buffer of reads; function,
 * userdata and string are pushed and called under a traceback handler; Lua calls
 * `conn:write(data)`, a C function that looks at a magic word and copies the bytes to the buffer of
 * writes; that is emptied. 1,000 connections take turns, as in dispatch.c and in the prototype's
 * measurement (facts/performance.md), which had the same on its way: 1,336 instructions of it where
 * this has 1,266. Prints the same line. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 1000, BATCHES = 27, SIZE = 64, MAGIC = 0x67616477 };

struct conn {
	unsigned magic;
	int ref; /* of its userdata */
	size_t unsent;
};

static char message[SIZE], in[65536], out[65536];
static size_t outgoing;
static struct conn *conns[CONNECTIONS];
static int on_incoming; /* reference */

static const char script[] = "return function (conn, data) conn:write(data) end";

static int l_conn_write(lua_State *L)
{
	struct conn *c = lua_touserdata(L, 1);
	size_t n;
	const char *bytes = luaL_checklstring(L, 2, &n);

	if (!c || c->magic != MAGIC || outgoing + n > sizeof out)
		return luaL_error(L, "not a connection, or too much");
	memcpy(out + outgoing, bytes, n);
	outgoing += n;
	lua_pushboolean(L, 1);
	return 1;
}

static int l_traceback(lua_State *L)
{
	luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

static void prepare(lua_State *L)
{
	luaL_openlibs(L);
	luaL_newmetatable(L, "conn");
	lua_newtable(L);
	lua_pushcfunction(L, l_conn_write);
	lua_setfield(L, -2, "write");
	lua_setfield(L, -2, "__index");
	for (int i = 0; i < CONNECTIONS; i++) {
		conns[i] = lua_newuserdatauv(L, sizeof **conns, 0);
		*conns[i] = (struct conn){.magic = MAGIC};
		luaL_setmetatable(L, "conn");
		conns[i]->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	if (luaL_dostring(L, script) != LUA_OK)
		lua_error(L);
	on_incoming = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_settop(L, 0);
	lua_pushcfunction(L, l_traceback); /* stays at 1 */
}

static void read_one(lua_State *L, struct conn *c)
{
	memcpy(in, message, SIZE);
	lua_rawgeti(L, LUA_REGISTRYINDEX, on_incoming);
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
	lua_pushlstring(L, in, SIZE); /* .. traceback function conn data */
	if (lua_pcall(L, 2, 0, 1) != LUA_OK) {
		fprintf(stderr, "bare: %s\n", lua_tostring(L, -1));
		exit(1);
	}
	c->unsent += outgoing;
	outgoing = 0;
}

/* CPU time: what others do meanwhile does not count. */
static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double batch(lua_State *L, int reads)
{
	double begin = now_ns();

	for (int i = 0; i < reads; i++)
		for (int c = 0; c < CONNECTIONS; c++)
			read_one(L, conns[c]);
	return (now_ns() - begin) / reads / CONNECTIONS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	double found[BATCHES];
	int reads = 20;
	size_t wanted;
	lua_State *L = luaL_newstate();

	if (getopt(argc, argv, "n:") == 'n')
		reads = atoi(optarg);
	if (reads < 1 || !L)
		return 2;
	memset(message, 'a', SIZE);
	prepare(L);
	for (int i = 0; i < BATCHES; i++)
		found[i] = batch(L, reads);
	wanted = (size_t)BATCHES * (size_t)reads * SIZE;
	for (int i = 0; i < CONNECTIONS; i++)
		if (conns[i]->unsent != wanted) {
			fprintf(stderr, "bare: %zu bytes were written, not %zu\n", conns[i]->unsent,
			    wanted);
			return 1;
		}
	lua_close(L);
	qsort(found, BATCHES, sizeof *found, compare);
	printf("{\"what\":\"bare\",\"least_ns\":%.1f,\"median_ns\":%.1f}\n", found[0],
	    found[BATCHES / 2]);
	return 0;
}
