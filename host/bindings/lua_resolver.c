/* host.resolver: questions to the name servers. What answers mean is net.adns'. */
#include "bindings/lua_fields.h"
#include "bindings/lua_handle.h"
#include "bindings/lua_host.h"
#include "bindings/lua_open.h"
#include "net/addr.h"
#include "net/dns_answer.h"
#include "net/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESOLVER_CLASS "resolver"

struct lua_resolver {
	struct resolver *resolver;
	int pin;        /* registry ref while a question is open, else LUA_NOREF */
	size_t waiting; /* questions open */
	bool ending;    /* no more calls into Lua */
};

struct lua_question {
	struct lua_resolver *lr;
	int fn; /* registry ref */
};

static struct lua_resolver *check(lua_State *L)
{
	struct lua_resolver *lr = luaL_checkudata(L, 1, RESOLVER_CLASS);

	luaL_argcheck(L, lr->resolver, 1, "closed");
	return lr;
}

/* ---- answers ---- */

/* One or two words as LuaSocket or libunbound would have them. */
static const char *words(int status)
{
	switch (status) {
	case ARES_ETIMEOUT: return "timeout";
	/* c-ares has one word for servers that are not there and for SERVFAIL, REFUSED from all */
	case ARES_ECONNREFUSED: return "no name server has an answer";
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION: return "canceled";
	case ARES_EBADNAME: return "invalid name";
	case ARES_EBADRESP: return "malformed answer";
	case ARES_ENOMEM: return "not enough memory";
	default: return ares_strerror(status);
	}
}

/* The response code behind a status that is an answer too, or -1. */
static int rcode_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
	case ARES_ENODATA: return 0;
	case ARES_EFORMERR: return 1;
	case ARES_ESERVFAIL: return 2;
	case ARES_ENOTFOUND: return 3;
	case ARES_ENOTIMP: return 4;
	case ARES_EREFUSED: return 5;
	default: return -1;
	}
}

static void push_addresses(lua_State *L, const struct ares_addrinfo *list)
{
	const struct ares_addrinfo_node *node = list ? list->nodes : NULL;
	lua_Integer i = 0;

	for (; node; node = node->ai_next) {
		struct addr a = {.size = node->ai_addrlen};
		char text[ADDR_TEXT];
		unsigned port;

		if (a.size > sizeof a.sa)
			continue;
		memcpy(&a.sa, node->ai_addr, a.size);
		if (addr_format(&a, text, &port) < 0)
			continue;
		lua_createtable(L, 0, 3);
		lua_pushstring(L, text);
		lua_setfield(L, -2, "address");
		lua_set_integer(L, "family", node->ai_family == AF_INET6 ? 6 : 4);
		lua_set_integer(L, "ttl", node->ai_ttl);
		lua_rawseti(L, -2, ++i);
	}
}

/* false: the packet is none. */
static bool push_records(lua_State *L, const unsigned char *data, size_t size)
{
	static struct dns_record record;
	struct dns_answer answer;
	lua_Integer i = 0;
	int more;

	if (dns_answer_open(&answer, data, size) < 0)
		return false;
	if (answer.truncated) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, "truncated");
	}
	while ((more = dns_answer_next(&answer, &record)) > 0) {
		lua_createtable(L, 0, 5);
		lua_pushlstring(L, (const char *)record.name, record.name_size);
		lua_setfield(L, -2, "name");
		lua_pushlstring(L, (const char *)record.rdata, record.size);
		lua_setfield(L, -2, "rdata");
		lua_set_integer(L, "type", record.type);
		lua_set_integer(L, "class", record.klass);
		lua_set_integer(L, "ttl", record.ttl);
		lua_rawseti(L, -2, ++i);
	}
	return more == 0;
}

struct outcome {
	int fn, status;
	const struct ares_addrinfo *list;
	const unsigned char *answer;
	size_t length;
};

/* l_deliver(outcome): under lua_host_call, as what it makes may not fit into memory. */
static int l_deliver(lua_State *L)
{
	const struct outcome *o = lua_touserdata(L, 1);
	int rcode = rcode_of(o->status);

	lua_settop(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, o->fn);
	if (rcode >= 0) {
		lua_newtable(L);
		lua_set_integer(L, "rcode", rcode);
		push_addresses(L, o->list);
		if (o->answer && !push_records(L, o->answer, o->length)) {
			lua_pop(L, 1);
			rcode = -1;
			lua_pushnil(L);
			lua_pushliteral(L, "malformed answer");
		}
	} else {
		lua_pushnil(L);
		lua_pushstring(L, words(o->status));
	}
	lua_call(L, rcode < 0 ? 2 : 1, 0); /* under lua_host_call */
	return 0;
}

static void deliver(void *data, struct outcome *o)
{
	lua_State *L = lua_handle_state();
	struct lua_question *q = data;
	struct lua_resolver *lr = q->lr;

	o->fn = q->fn;
	free(q);
	if (!lr->ending) {
		lua_pushcfunction(L, l_deliver);
		lua_pushlightuserdata(L, o);
		if (!lua_host_call(L, 1, 0)) {
			lua_handle_log_error(L, "in resolver", lua_tostring(L, -1));
			lua_pop(L, 1);
		}
	}
	luaL_unref(L, LUA_REGISTRYINDEX, o->fn);
	if (--lr->waiting == 0 && lr->pin != LUA_NOREF) {
		luaL_unref(L, LUA_REGISTRYINDEX, lr->pin);
		lr->pin = LUA_NOREF;
	}
}

static void on_addresses(void *data, int status, const struct ares_addrinfo *list)
{
	struct outcome o = {.status = status, .list = list};

	deliver(data, &o);
}

static void on_records(void *data, int status, const unsigned char *answer, size_t length)
{
	struct outcome o = {.status = status, .answer = answer, .length = length};

	deliver(data, &o);
}

/* ---- questions ---- */

/* The question for the function at `fn`, pinned; NULL without memory. */
static struct lua_question *ask(lua_State *L, struct lua_resolver *lr, int fn)
{
	struct lua_question *q;

	luaL_checktype(L, fn, LUA_TFUNCTION);
	if (lr->pin == LUA_NOREF) {
		lua_pushvalue(L, 1);
		lr->pin = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_pushvalue(L, fn);
	fn = luaL_ref(L, LUA_REGISTRYINDEX);
	q = malloc(sizeof *q);
	if (!q) {
		luaL_unref(L, LUA_REGISTRYINDEX, fn);
		return NULL;
	}
	q->lr = lr;
	q->fn = fn;
	return q;
}

static int answer_id(lua_State *L, struct lua_question *q, unsigned long id)
{
	if (id == 0) {
		if (q)
			luaL_unref(L, LUA_REGISTRYINDEX, q->fn);
		free(q);
		return lua_push_error(L, ENOMEM);
	}
	q->lr->waiting++;
	lua_pushinteger(L, (lua_Integer)id);
	return 1;
}

static const char *check_name(lua_State *L, int index)
{
	size_t n;
	const char *name = luaL_checklstring(L, index, &n);

	luaL_argcheck(L, strlen(name) == n, index, "name with a NUL");
	return name;
}

/* addresses(name, family, fn): family 4, 6, 0 for both; fn(list) or fn(nil, words) -> id */
static int l_addresses(lua_State *L)
{
	struct lua_resolver *lr = check(L);
	const char *name = check_name(L, 2);
	lua_Integer which = luaL_checkinteger(L, 3);
	int family = which == 4 ? AF_INET : (which == 6 ? AF_INET6 : AF_UNSPEC);
	struct lua_question *q = ask(L, lr, 4);

	return answer_id(
	    L, q, q ? resolver_addresses(lr->resolver, name, family, on_addresses, q) : 0);
}

/* records(name, class, type, fn): fn(answer) or fn(nil, words) -> id */
static int l_records(lua_State *L)
{
	struct lua_resolver *lr = check(L);
	const char *name = check_name(L, 2);
	int klass = (int)luaL_checkinteger(L, 3), type = (int)luaL_checkinteger(L, 4);
	struct lua_question *q = ask(L, lr, 5);

	return answer_id(
	    L, q, q ? resolver_records(lr->resolver, name, klass, type, on_records, q) : 0);
}

/* cancel(id) -> bool; its function hears nil, "canceled" before this returns */
static int l_cancel(lua_State *L)
{
	struct lua_resolver *lr = check(L);
	lua_Integer id = luaL_checkinteger(L, 2);

	lua_pushboolean(L, id > 0 && resolver_cancel(lr->resolver, (unsigned long)id));
	return 1;
}

static int l_pending(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)resolver_pending(check(L)->resolver));
	return 1;
}

/* Every open question hears nil, "canceled". */
static int l_close(lua_State *L)
{
	struct lua_resolver *lr = luaL_checkudata(L, 1, RESOLVER_CLASS);

	resolver_free(&lr->resolver);
	return 0;
}

static int l_gc(lua_State *L)
{
	struct lua_resolver *lr = luaL_checkudata(L, 1, RESOLVER_CLASS);

	lr->ending = true;
	return l_close(L);
}

/* ---- making one ---- */

static lua_Integer opt_number(lua_State *L, const char *name, lua_Integer fallback)
{
	lua_Integer n;

	lua_getfield(L, 1, name);
	n = luaL_optinteger(L, -1, fallback);
	return n < 0 || n > 1000000 ? fallback : n;
}

static const char *opt_text(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	return luaL_optstring(L, -1, NULL);
}

/* new{ servers =, search =, timeout = ms, tries =, ndots = } -> resolver; or nil, words. The values
 * stay on the stack for as long as the strings are borrowed. */
static int l_new(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	struct resolver_opts opts = {.ndots = -1};
	struct lua_resolver *lr;
	int status;

	lua_settop(L, 1);
	if (!lua_isnil(L, 1)) {
		opts.servers = opt_text(L, "servers");
		opts.search = opt_text(L, "search");
		opts.timeout = (unsigned)opt_number(L, "timeout", 0);
		opts.tries = (unsigned)opt_number(L, "tries", 0);
		opts.ndots = (int)opt_number(L, "ndots", -1);
	}
	lr = lua_newuserdatauv(L, sizeof *lr, 0);
	memset(lr, 0, sizeof *lr);
	lr->pin = LUA_NOREF;
	luaL_setmetatable(L, RESOLVER_CLASS);
	lr->resolver = resolver_new(loop, &opts, &status);
	if (lr->resolver)
		return 1;
	lua_pushnil(L);
	lua_pushstring(L, words(status));
	return 2;
}

int luaopen_host_resolver(lua_State *L);

int luaopen_host_resolver(lua_State *L)
{
	static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
	static const luaL_Reg methods[] = {{"addresses", l_addresses}, {"records", l_records},
	    {"cancel", l_cancel}, {"pending", l_pending}, {"close", l_close}, {NULL, NULL}};

	lua_check_library(L, "cares");
	if (luaL_newmetatable(L, RESOLVER_CLASS)) {
		luaL_newlib(L, methods);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, l_gc);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, l_gc);
		lua_setfield(L, -2, "__close");
	}
	luaL_newlib(L, functions);
	return 1;
}
