/* The usual request of the HTTP service, from the bytes of a read to its handlers.
 *
 * Usual is: whole in one read, nothing behind it, without a body, of HTTP/1.1, not the last of its
 * connection, with handlers, and nothing being drained. Such a request has no session: the
 * connection says in one byte what it does.
 *
 *   NEW, RESTING ──> SERVING [serve] ──> RESTING: answered before its handlers returned
 *        │              └──> NONE, with a session: not answered yet, or anything else was wanted
 *        └──> NONE, with a session [l_take]: an unusual request
 *   NONE ──> NEW, RESTING [l_rest]: the session is given up (net.http.resting)
 *
 * Everything unusual goes to net.http.listener as the string it is. The parser here starts anew at
 * every read and is the one that sessions have, and what is read without it is held to it
 * (http_plain.h): so neither way accepts what the other refuses. */
#include "bindings/lua_guard.h"
#include "bindings/lua_http.h"
#include "bindings/lua_net.h"

#include "base/clock.h"
#include "net/wheel.h"

#include <lauxlib.h>
#include <string.h>

enum { SPARE_MOST = 64 };

struct lua_http_serving lua_http_serving;

static struct {
	struct http_parser parser;
	bool on;          /* the usual way is open */
	double keepalive; /* seconds */
	unsigned n_spare; /* coroutines that have ended their work */
	struct thread {
		lua_State *co;
		int ref;
	} spare[SPARE_MOST];
} usual;

/* Upvalues of l_incoming: functions that net.http.listener gave; metatables and keys, which cost a
 * fifth there of what a look-up costs. */
enum {
	UNUSUAL = 1,
	RESOLVE,
	SERVE,
	ENDED,
	FUNCTIONS = ENDED,
	REQUEST_CLASS,
	RESPONSE_CLASS,
	REQUEST,
	CONN,
	HEADERS,
	UPVALUES = HEADERS
};

static const char *const function_names[] = {
    [UNUSUAL] = "unusual", [RESOLVE] = "resolve", [SERVE] = "serve", [ENDED] = "ended"};

/* ---- coroutines ---- */

/* A coroutine whose function has returned can be given another: that is a jump less than one that
 * yields between its pieces of work. */
static struct thread take_thread(lua_State *L)
{
	struct thread t;

	if (usual.n_spare)
		return usual.spare[--usual.n_spare];
	t.co = lua_newthread(L);
	t.ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return t;
}

static void give_thread(lua_State *L, struct thread t)
{
	if (usual.n_spare < SPARE_MOST)
		usual.spare[usual.n_spare++] = t;
	else
		luaL_unref(L, LUA_REGISTRYINDEX, t.ref);
}

/* ---- one request ---- */

/* What is not plain, to the letter: a parser that starts anew. */
static bool parse(const char *bytes, size_t n, struct http_head *head_r)
{
	struct http_parser *p = &usual.parser;
	size_t used;

	if (p->stage != HTTP_AT_END) {
		struct http_limits limits = p->limits;

		http_parser_fini(p);
		http_parser_init(p, HTTP_REQUEST, &limits);
	}
	if (http_parser_run(p, bytes, n, &used) != HTTP_EV_DONE || used != n || p->body ||
	    !p->persistent || p->ll.http_minor != 1 || p->ll.method == HTTP_HEAD)
		return false;
	*head_r = http_parser_head(p);
	return true;
}

/* Whether the bytes are one usual request; the head points into them or into the parser. */
static bool read_head(const char *bytes, size_t n, struct http_head *head_r)
{
	static struct http_field fields[HTTP_PLAIN_FIELDS];

	return http_plain_read(bytes, n, &usual.parser.limits, fields, head_r) ||
	       parse(bytes, n, head_r);
}

/* ENDED(conn, response, thread, ok, error): thread is nil when the work in it has ended well; when
 * it waits, what it has yielded stands in the place of the error. */
static void ended(lua_State *L, bool ok) /* conn data request handlers response error thread */
{
	lua_pushvalue(L, lua_upvalueindex(ENDED));
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 5);
	lua_pushvalue(L, 7);
	lua_pushboolean(L, ok);
	lua_pushvalue(L, 6);
	lua_call(L, 5, 0); /* under lua_host_call */
}

/* A field of the response on top of the stack, as net.http.response.new sets them. */
static void set_field(lua_State *L, int key, int value)
{
	lua_pushvalue(L, lua_upvalueindex(key));
	lua_pushvalue(L, value);
	lua_rawset(L, 5);
}

static void push_response(lua_State *L) /* conn data request handlers */
{
	enum { OWN = 4, HEADERS_ROOM = 4 };

	lua_createtable(L, 0, OWN);
	lua_createtable(L, 0, HEADERS_ROOM); /* .. response headers */
	set_field(L, HEADERS, 6);
	set_field(L, REQUEST, 3);
	set_field(L, CONN, 1);
	lua_pushvalue(L, lua_upvalueindex(RESPONSE_CLASS));
	lua_setmetatable(L, 5);
	lua_settop(L, 5);
}

/* Runs SERVE(handlers, request, response) where it may wait. */
static void serve(lua_State *L, struct lua_conn *lc) /* conn data request handlers */
{
	struct lua_http_serving before = lua_http_serving;
	struct thread t;
	int n;

	push_response(L);
	t = take_thread(L);
	lua_pushvalue(L, lua_upvalueindex(SERVE));
	lua_xmove(L, t.co, 1);
	lua_pushvalue(L, 4);
	lua_pushvalue(L, 3);
	lua_pushvalue(L, 5);
	lua_http_serving = (struct lua_http_serving){lc, L, lua_topointer(L, 5), 5};
	lc->h.http = LUA_HTTP_SERVING;
	n = guard_resume(L, t.co, 3);
	lua_http_serving = before;
	if (n >= 0 && lua_status(t.co) == LUA_OK) {
		lua_settop(L, 5);
		give_thread(L, t);
		if (lc->h.http == LUA_HTTP_RESTING)
			return; /* it has been answered */
		lua_settop(L, 7);
	} else {
		lua_settop(L, 6);
		lua_rawgeti(L, LUA_REGISTRYINDEX, t.ref);
		luaL_unref(L, LUA_REGISTRYINDEX, t.ref);
	}
	ended(L, n >= 0);
}

/* incoming(conn, data): what the listener has as onincoming. */
static int l_incoming(lua_State *L)
{
	struct lua_conn *lc = lua_check_handle(L, 1, LUA_HANDLE_CONN);
	struct http_head head;
	const char *bytes;
	size_t n;

	lua_settop(L, 2);
	if (lua_touserdata(L, 2) == &lua_input) {
		bytes = lua_input.bytes;
		n = lua_input.n;
	} else {
		bytes = luaL_checklstring(L, 2, &n);
	}
	if (usual.on && (lc->h.http == LUA_HTTP_NEW || lc->h.http == LUA_HTTP_RESTING) &&
	    read_head(bytes, n, &head)) {
		lua_push_http_request(L, &head, 1, lua_upvalueindex(REQUEST_CLASS));
		if (lua_push_http_route(L, &head, 3, lua_upvalueindex(RESOLVE))) {
			serve(L, lc);
			return 0;
		}
	}
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(UNUSUAL));
	lua_insert(L, 1);
	lua_pushlstring(L, bytes, n);
	lua_call(L, 2, 0); /* under lua_host_call */
	return 0;
}

bool lua_http_answered(struct lua_conn *lc)
{
	if (lc->h.http != LUA_HTTP_SERVING)
		return false;
	lc->h.http = LUA_HTTP_RESTING;
	lc->h.http_since = loop_tick_now(lc->c.loop);
	conn_set_read_timeout(&lc->c, usual.keepalive);
	return true;
}

/* answered(response): the answer to the request that is being served has gone out, and the
 * connection rests; false: it has a session, or is none of ours. */
static int l_answered(lua_State *L)
{
	const struct lua_http_serving *s = &lua_http_serving;

	lua_pushboolean(
	    L, s->conn && lua_topointer(L, 1) == s->response && lua_http_answered(s->conn));
	return 1;
}

/* ---- at rest ---- */

static struct lua_conn *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_CONN);
}

/* came(conn): a new connection, or one that was given to us; it has sent nothing yet. */
static int l_came(lua_State *L)
{
	struct lua_conn *lc = check(L);

	lc->h.http = LUA_HTTP_NEW;
	lc->h.http_since = loop_tick_now(lc->c.loop);
	return 0;
}

/* rest(conn, since, count): its session is given up. since: monotonic seconds. */
static int l_rest(lua_State *L)
{
	struct lua_conn *lc = check(L);
	double ago = clock_coarse() - luaL_checknumber(L, 2);

	lc->h.http = luaL_checkinteger(L, 3) == 0 ? LUA_HTTP_NEW : LUA_HTTP_RESTING;
	lc->h.http_since = loop_tick_now(lc->c.loop) - (ago > 0 ? loop_ticks_in(ago) : 0);
	return 0;
}

/* Pushes the response of the request that the connection is being served; false: none. */
static bool push_served(lua_State *L, const struct lua_conn *lc)
{
	const struct lua_http_serving *s = &lua_http_serving;

	if (lc->h.http != LUA_HTTP_SERVING || s->conn != lc || !lua_checkstack(s->L, 1))
		return false;
	lua_pushvalue(s->L, s->index);
	if (s->L != L)
		lua_xmove(s->L, L, 1);
	return true;
}

/* take(conn): it is at rest no more. Returns since when it has been idle (monotonic seconds); how
 * many requests it has sent (1 for any number), whether one is being served, and the response to
 * it if its handlers run. Nothing, if it was not at rest. */
static int l_take(lua_State *L)
{
	struct lua_handle *h = lua_touserdata(L, 1);
	struct lua_conn *lc = (struct lua_conn *)h;
	uint32_t ago;
	bool serving;

	if (!h || h->kind != LUA_HANDLE_CONN || lc->h.http == LUA_HTTP_NONE)
		return 0; /* a listener hears of its servers, too */
	ago = loop_tick_now(lc->c.loop) - lc->h.http_since;
	serving = lc->h.http == LUA_HTTP_SERVING;
	lua_pushnumber(L, clock_coarse() - (double)ago / WHEEL_TICKS_PER_SECOND);
	lua_pushinteger(L, serving || lc->h.http == LUA_HTTP_RESTING);
	lua_pushboolean(L, serving);
	if (!push_served(L, lc))
		lua_pushnil(L);
	lc->h.http = LUA_HTTP_NONE;
	return 4;
}

/* served(conn): the response to the request of the connection whose handlers run, or nil. */
static int l_served(lua_State *L)
{
	if (!push_served(L, check(L)))
		lua_pushnil(L);
	return 1;
}

/* ---- settings ---- */

static uint32_t check_limit(lua_State *L, const char *name)
{
	lua_Integer n;

	lua_getfield(L, 1, name);
	n = luaL_checkinteger(L, -1);
	lua_pop(L, 1);
	luaL_argcheck(L, n > 0 && n <= (1 << 24), 1, name);
	return (uint32_t)n;
}

/* usual(settings): settings.on: whether the usual way is open; line, header, headers (limits, as of
 * parser); keepalive (seconds). */
static int l_usual(lua_State *L)
{
	struct http_limits limits;

	luaL_checktype(L, 1, LUA_TTABLE);
	limits.line = check_limit(L, "line");
	limits.header = check_limit(L, "header");
	limits.headers = check_limit(L, "headers");
	lua_getfield(L, 1, "keepalive");
	usual.keepalive = luaL_checknumber(L, -1);
	lua_getfield(L, 1, "on");
	usual.on = lua_toboolean(L, -1);
	http_parser_fini(&usual.parser);
	http_parser_init(&usual.parser, HTTP_REQUEST, &limits);
	return 0;
}

/* incoming(functions): the native onincoming. unusual(conn, data); resolve(request): a list of
 * handlers, nil: there are none, or it is unusual; serve(handlers, request, response);
 * ended(conn, response, thread, ok, error): it has not been answered yet, waits, or has raised. */
static int l_incoming_new(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	for (int i = 1; i <= FUNCTIONS; i++)
		if (lua_getfield(L, 1, function_names[i]) != LUA_TFUNCTION)
			return luaL_error(L, "%s is no function", function_names[i]);
	lua_push_http_request_class(L);
	lua_push_http_response_class(L);
	lua_pushliteral(L, "request");
	lua_pushliteral(L, "conn");
	lua_pushliteral(L, "headers");
	lua_pushcclosure(L, l_incoming, UPVALUES);
	return 1;
}

void lua_http_open_serve(lua_State *L)
{
	static const luaL_Reg functions[] = {{"incoming", l_incoming_new}, {"usual", l_usual},
	    {"came", l_came}, {"rest", l_rest}, {"take", l_take}, {"served", l_served},
	    {"answered", l_answered}, {"forget_routes", l_http_forget_routes}, {NULL, NULL}};

	lua_listeners_native = l_incoming;
	usual.n_spare = 0; /* those of another state */
	lua_http_drop_routes();
	luaL_setfuncs(L, functions, 0);
}
