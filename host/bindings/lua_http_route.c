/* Which handlers a request meets, remembered by what it says: method, path and Host as they came.
 *
 * Lua decides (net.http.server) and is asked once. Names of events, the host in lower case and the
 * path without escapes are not made again for a request like one before: 2,800 instructions of a
 * GET. What is remembered is forgotten whenever handlers, hosts or wrappers change. */
#include "bindings/lua_http.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROUTES = 256,
	LONGEST = 240, /* bytes of path and host together that are remembered */
};

struct route {
	uint32_t hash;
	uint8_t method, path, host;
	int handlers; /* registry ref */
	char text[LONGEST];
};

static struct route *routes[ROUTES];

/* What a request is asked by: borrowed from the head. */
struct question {
	const char *path, *host;
	size_t path_n, host_n;
	uint8_t method;
	uint32_t hash;
};

static uint32_t mix(uint32_t hash, const char *at, size_t n)
{
	for (const char *end = at + n; at < end; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	return hash;
}

/* false: it is not remembered. */
static bool ask(struct question *q, const struct http_head *h)
{
	const struct http_field *host = &h->fields[h->host];
	const char *query = memchr(h->text, '?', h->target_len);

	*q = (struct question){
	    .path = h->text,
	    .host = h->text + host->value,
	    .path_n = query ? (size_t)(query - h->text) : h->target_len,
	    .host_n = host->value_len,
	    .method = h->method,
	};
	if (q->path_n + q->host_n > LONGEST || !q->path_n || q->path[0] != '/')
		return false;
	q->hash = mix(mix(q->method, q->path, q->path_n), q->host, q->host_n);
	return true;
}

static bool answers(const struct route *r, const struct question *q)
{
	return r && r->hash == q->hash && r->method == q->method && r->path == q->path_n &&
	       r->host == q->host_n && memcmp(r->text, q->path, q->path_n) == 0 &&
	       memcmp(r->text + q->path_n, q->host, q->host_n) == 0;
}

/* The list on top of the stack answers it from now on. */
static void remember(lua_State *L, struct route **slot, const struct question *q)
{
	struct route *r = *slot;

	if (!r) {
		r = malloc(sizeof *r);
		if (!r)
			return; /* then it is asked again */
		r->handlers = LUA_NOREF;
		r->path = r->host = 0;
		*slot = r;
	}
	luaL_unref(L, LUA_REGISTRYINDEX, r->handlers);
	r->handlers = LUA_NOREF;
	r->hash = ~q->hash; /* no answer, should the next line raise */
	lua_pushvalue(L, -1);
	r->handlers = luaL_ref(L, LUA_REGISTRYINDEX);
	r->hash = q->hash;
	r->method = q->method;
	r->path = (uint8_t)q->path_n;
	r->host = (uint8_t)q->host_n;
	memcpy(r->text, q->path, q->path_n);
	memcpy(r->text + q->path_n, q->host, q->host_n);
}

bool lua_push_http_route(lua_State *L, const struct http_head *h, int request, int resolve)
{
	struct route **slot;
	struct question q;

	if (!ask(&q, h))
		return false;
	slot = &routes[(q.hash ^ q.hash >> 16) % ROUTES];
	if (answers(*slot, &q)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, (*slot)->handlers);
		return true;
	}
	lua_pushvalue(L, resolve);
	lua_pushvalue(L, request);
	lua_call(L, 1, 1); /* under lua_host_call */
	if (lua_istable(L, -1)) {
		remember(L, slot, &q);
		return true;
	}
	lua_pop(L, 1);
	return false;
}

void lua_http_drop_routes(void)
{
	for (unsigned i = 0; i < ROUTES; i++) {
		free(routes[i]);
		routes[i] = NULL;
	}
}

int l_http_forget_routes(lua_State *L)
{
	for (unsigned i = 0; i < ROUTES; i++)
		if (routes[i])
			luaL_unref(L, LUA_REGISTRYINDEX, routes[i]->handlers);
	lua_http_drop_routes();
	return 0;
}
