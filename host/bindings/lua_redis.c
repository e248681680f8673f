/* host.redis: the reader of Redis' replies. Trees of values become Lua values here, after hiredis
 * has returned: nothing raises through it. */
#include "bindings/lua_open.h"
#include "net/resp.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define READER "redis reader"

enum { BYTES_MAX = 1 << 26, VALUES_MAX = 1 << 20 };

int luaopen_host_redis(lua_State *L);

struct reader {
	struct resp resp;
	struct resp_value *value; /* the reply that is being shown: freed if that raises */
};

static struct reader *check(lua_State *L)
{
	return luaL_checkudata(L, 1, READER);
}

/* reader(bytes, values): limits of one reply. */
static int l_reader(lua_State *L)
{
	lua_Integer bytes = luaL_checkinteger(L, 1), values = luaL_checkinteger(L, 2);
	struct reader *r;

	luaL_argcheck(L, bytes > 0 && bytes <= BYTES_MAX, 1, "out of range");
	luaL_argcheck(L, values > 0 && values <= VALUES_MAX, 2, "out of range");
	r = lua_newuserdatauv(L, sizeof *r, 0);
	memset(r, 0, sizeof *r);
	luaL_setmetatable(L, READER);
	if (resp_init(&r->resp, (size_t)bytes, (size_t)values) < 0)
		return luaL_error(L, "not enough memory");
	return 1;
}

static int l_reader_gc(lua_State *L)
{
	struct reader *r = check(L);

	resp_value_free(&r->value);
	resp_fini(&r->resp);
	return 0;
}

static void push(lua_State *L, const struct resp_value *v)
{
	luaL_checkstack(L, 4, "reply");
	switch (v->type) {
	case RESP_INTEGER: lua_pushinteger(L, (lua_Integer)v->number); return;
	case RESP_STRING: lua_pushlstring(L, v->text, v->len); return;
	case RESP_ERROR:
		lua_createtable(L, 0, 1);
		lua_pushlstring(L, v->text, v->len);
		lua_setfield(L, -2, "err");
		return;
	case RESP_ARRAY:
		lua_createtable(L, (int)v->len, 0);
		for (size_t i = 0; i < v->len; i++) {
			push(L, v->items[i]);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
		return;
	case RESP_NULL: break;
	}
	lua_pushboolean(L, 0);
}

static int broken(lua_State *L, const struct reader *r)
{
	lua_pushliteral(L, "broken");
	lua_pushstring(L, r->resp.why ? r->resp.why : "not enough memory");
	return 2;
}

/* reader:next([data]): "reply", value; "failure", text (an error reply); "broken", why; or nothing:
 * needs more. Null is false, an error inside an array is { err = text }. */
static int l_reader_next(lua_State *L)
{
	struct reader *r = check(L);
	size_t size = 0;
	const char *data = luaL_optlstring(L, 2, "", &size);
	int got;

	resp_value_free(&r->value);
	if (!r->resp.reader || (size && resp_feed(&r->resp, data, size) < 0))
		return broken(L, r);
	got = resp_next(&r->resp, &r->value);
	if (got < 0)
		return broken(L, r);
	if (got == 0)
		return 0;
	if (r->value->type == RESP_ERROR) {
		lua_pushliteral(L, "failure");
		lua_pushlstring(L, r->value->text, r->value->len);
	} else {
		lua_pushliteral(L, "reply");
		push(L, r->value);
	}
	resp_value_free(&r->value);
	return 2;
}

static const luaL_Reg reader_methods[] = {{"next", l_reader_next}, {NULL, NULL}};
static const luaL_Reg reader_meta[] = {
    {"__gc", l_reader_gc}, {"__close", l_reader_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"reader", l_reader}, {NULL, NULL}};

int luaopen_host_redis(lua_State *L)
{
	lua_check_library(L, "hiredis");
	luaL_newmetatable(L, READER);
	luaL_setfuncs(L, reader_meta, 0);
	luaL_newlib(L, reader_methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
