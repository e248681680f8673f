/* host.http: parsers. A parser keeps what it was given and has not yet looked at, so that a
 * connection can be answered one request at a time. */
#include "bindings/lua_http.h"

#include <lauxlib.h>
#include <string.h>

enum kind { KIND_REQUEST, KIND_PLAIN, KIND_RESPONSE };

struct lua_http_parser {
	struct http_parser p;
	struct buf *pending; /* input that waits */
	uint64_t body_limit; /* most bytes of a body that is not streamed; 0 = no limit */
	uint8_t kind;        /* enum kind */
	bool stream;         /* the body is told in pieces */
	bool told;           /* "head" has been returned for this message */
	bool over;           /* nothing more is read: the last message was not persistent */
};

/* User values of a parser. */
enum { OWNER = 1, REQUEST };

static const void *parser_class;

void lua_push_http_class(lua_State *L, const char *name, const void **class)
{
	luaL_newmetatable(L, name);
	*class = lua_topointer(L, -1);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, class);
}

void lua_set_http_class(lua_State *L, const void **class)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, class);
	lua_setmetatable(L, -2);
}

void *lua_check_http(lua_State *L, const void *const *class, const char *name)
{
	bool is = lua_getmetatable(L, 1) && lua_topointer(L, -1) == *class;

	if (!is)
		luaL_typeerror(L, 1, name);
	lua_pop(L, 1);
	return lua_touserdata(L, 1);
}

static struct lua_http_parser *check(lua_State *L)
{
	return lua_check_http(L, &parser_class, LUA_HTTP_PARSER);
}

static uint32_t opt_limit(lua_State *L, const char *name, uint32_t fallback)
{
	lua_Integer n;

	lua_getfield(L, 2, name);
	n = luaL_optinteger(L, -1, fallback);
	lua_pop(L, 1);
	luaL_argcheck(L, n > 0 && n <= (1 << 24), 2, name);
	return (uint32_t)n;
}

/* parser(kind, limits, owner): kind "request" (objects, bodies up to limits.body in one piece),
 * "plain" (tables, in pieces), "response" (the same). limits: line, header, headers, body. */
static int l_parser(lua_State *L)
{
	static const char *const kinds[] = {"request", "plain", "response", NULL};
	int kind = luaL_checkoption(L, 1, NULL, kinds);
	struct http_limits limits;
	struct lua_http_parser *lp;

	lua_settop(L, 3);
	luaL_checktype(L, 2, LUA_TTABLE);
	limits.line = opt_limit(L, "line", 8192);
	limits.header = opt_limit(L, "header", 32768);
	limits.headers = opt_limit(L, "headers", 64);
	lua_getfield(L, 2, "body");
	lp = lua_newuserdatauv(L, sizeof *lp, 2); /* kind limits owner body handle */
	memset(lp, 0, sizeof *lp);
	http_parser_init(&lp->p, kind == KIND_RESPONSE ? HTTP_RESPONSE : HTTP_REQUEST, &limits);
	lua_set_http_class(L, &parser_class);
	lp->kind = (uint8_t)kind;
	lp->stream = kind != KIND_REQUEST;
	if (lua_isnumber(L, -2))
		lp->body_limit = (uint64_t)lua_tointeger(L, -2);
	lp->p.body_max = lp->stream ? 0 : lp->body_limit;
	lua_pushvalue(L, 3);
	lua_setiuservalue(L, -2, OWNER);
	return 1;
}

static void push_body(lua_State *L, struct http_parser *p)
{
	if (p->body)
		lua_pushlstring(L, buf_peek(p->body), buf_len(p->body));
	else
		lua_pushliteral(L, "");
	buf_free(&p->body);
}

/* ---- events ---- */

static int tell_head(lua_State *L, struct lua_http_parser *lp)
{
	lp->told = true;
	lua_pushliteral(L, "head");
	if (lp->kind != KIND_REQUEST) {
		lua_push_http_packet(L, &lp->p);
		return 2;
	}
	lua_getiuservalue(L, 1, OWNER);
	lua_push_http_parsed(L, &lp->p, lua_gettop(L));
	lua_pushvalue(L, -1);
	lua_setiuservalue(L, 1, REQUEST);
	lua_remove(L, -2);
	return 2;
}

/* A body that is in order, small and on its way is waited for without a word. */
static bool is_of_interest(const struct lua_http_parser *lp)
{
	const struct http_parser *p = &lp->p;

	return lp->kind != KIND_REQUEST || p->chunked || p->expects ||
	       (lp->body_limit && p->length > lp->body_limit);
}

static int tell_end(lua_State *L, struct lua_http_parser *lp)
{
	bool whole = !lp->stream;

	lp->told = false;
	lp->stream = lp->kind != KIND_REQUEST;
	lp->p.body_max = lp->stream ? 0 : lp->body_limit;
	lp->over = !lp->p.persistent && lp->kind != KIND_RESPONSE;
	if (!whole) {
		lua_pushliteral(L, "end");
		push_body(L, &lp->p);
		lua_pushnil(L);
		lua_setiuservalue(L, 1, REQUEST);
		return 2;
	}
	lua_pushliteral(L, "request");
	if (lua_getiuservalue(L, 1, REQUEST) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_getiuservalue(L, 1, OWNER);
		lua_push_http_parsed(L, &lp->p, lua_gettop(L));
		lua_remove(L, -2);
	} else {
		lua_pushnil(L);
		lua_setiuservalue(L, 1, REQUEST);
	}
	push_body(L, &lp->p); /* word request body */
	lua_http_request_complete(L, lua_gettop(L) - 1);
	http_parser_forget(&lp->p); /* the request has a copy */
	lua_pushnil(L);
	lua_pushboolean(L, !lp->over && !buf_len(lp->pending)); /* word request nil quiet */
	return 4;
}

static int tell_error(lua_State *L, const struct lua_http_parser *lp)
{
	lua_pushliteral(L, "error");
	lua_pushinteger(L, lp->p.status);
	lua_pushstring(L, lp->p.why ? lp->p.why : "bad message");
	return 3;
}

/* What an event means to the caller: results, or -1 to go on. */
static int tell(lua_State *L, struct lua_http_parser *lp, enum http_event event)
{
	switch (event) {
	case HTTP_EV_HEAD: return is_of_interest(lp) ? tell_head(L, lp) : -1;
	case HTTP_EV_BODY:
		if (!lp->stream)
			return -1;
		lua_pushliteral(L, "body");
		push_body(L, &lp->p);
		return 2;
	case HTTP_EV_DONE:
		/* tables: the head first, also without a body */
		if (lp->kind != KIND_REQUEST && !lp->told)
			return tell_head(L, lp);
		return tell_end(L, lp);
	case HTTP_EV_BAD: return tell_error(L, lp);
	case HTTP_EV_MORE: break;
	}
	return 0;
}

static bool is_too_large(const struct lua_http_parser *lp)
{
	return lp->told && !lp->stream && lp->body_limit && lp->p.length > lp->body_limit;
}

/* Parses up to the next thing to tell; the rest waits. */
static int advance(lua_State *L, struct lua_http_parser *lp, const char *bytes, size_t n)
{
	int results = -1;

	while (results < 0) {
		size_t used;
		enum http_event event = http_parser_run(&lp->p, bytes, n, &used);

		bytes += used;
		n -= used;
		if (lp->pending)
			buf_consume(&lp->pending, used);
		if (event == HTTP_EV_BAD)
			n = 0;
		if (n && !lp->pending) {
			if (buf_append(&lp->pending, bytes, n) < 0)
				return luaL_error(L, "out of memory");
			bytes = buf_peek(lp->pending);
		}
		results = tell(L, lp, event);
	}
	if (lp->p.stage == HTTP_REFUSED)
		buf_free(&lp->pending);
	return results;
}

/* next([data]): "request", request, nil, quiet | "head", head | "body", text | "end", text |
 * "error", status, why; nothing: more input is needed. Call it again, without data, until it says
 * nothing, or `quiet`: no byte waits, and another message may come. */
static int l_next(lua_State *L)
{
	struct lua_http_parser *lp = check(L);
	size_t n = 0;
	const char *bytes = luaL_optlstring(L, 2, NULL, &n);

	if (lp->over)
		return 0;
	if (lp->p.stage == HTTP_AT_END && lp->told) /* a message without a body, told as head */
		return tell_end(L, lp);
	if (is_too_large(lp)) {
		lp->p.stage = HTTP_REFUSED;
		lp->p.status = 413;
		lp->p.why = "body too large";
		buf_free(&lp->pending);
		return tell_error(L, lp);
	}
	if (lp->pending) {
		if (n && buf_append(&lp->pending, bytes, n) < 0)
			return luaL_error(L, "out of memory");
		bytes = buf_peek(lp->pending);
		n = buf_len(lp->pending);
	}
	return n || lp->p.stage == HTTP_REFUSED ? advance(L, lp, bytes, n) : 0;
}

/* push(data): keeps it for a later next(). */
static int l_push(lua_State *L)
{
	struct lua_http_parser *lp = check(L);
	size_t n;
	const char *bytes = luaL_checklstring(L, 2, &n);

	if (!lp->over && lp->p.stage != HTTP_REFUSED && buf_append(&lp->pending, bytes, n) < 0)
		return luaL_error(L, "out of memory");
	return 0;
}

/* finish(): the connection has ended; as next(). */
static int l_finish(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	if (lp->over)
		return 0;
	if (lp->p.stage == HTTP_AT_END && lp->told)
		return tell_end(L, lp);
	return tell(L, lp, http_parser_end(&lp->p));
}

/* adopt(owner): what comes from now on is another connection's; raises in the middle of a message.
 */
static int l_adopt(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	lua_settop(L, 2);
	if (lp->over || lp->told || buf_len(lp->pending) || http_parser_begun(&lp->p))
		return luaL_error(L, "a parser with a message of somebody else");
	buf_free(&lp->pending);
	lua_setiuservalue(L, 1, OWNER);
	return 0;
}

/* stream(): the body of the message whose head was told comes in pieces, without a limit. */
static int l_stream(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	lp->stream = true;
	lp->p.body_max = 0;
	return 0;
}

/* skip_body(bool): the next response has none (the request was HEAD). */
static int l_skip_body(lua_State *L)
{
	check(L)->p.skip_body = lua_toboolean(L, 2);
	return 0;
}

/* pending(): bytes that wait; "head" or "body", the part of a message that is under way; whether a
 * last message was read. */
static int l_pending(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	lua_pushinteger(L, (lua_Integer)buf_len(lp->pending));
	if (http_parser_begun(&lp->p))
		lua_pushstring(L, lp->p.stage == HTTP_IN_BODY ? "body" : "head");
	else
		lua_pushnil(L);
	lua_pushboolean(L, lp->over);
	return 3;
}

/* rest(): takes the bytes that wait: they belong to another protocol. */
static int l_rest(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	if (!lp->pending)
		return 0;
	lua_pushlstring(L, buf_peek(lp->pending), buf_len(lp->pending));
	buf_free(&lp->pending);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct lua_http_parser *lp = check(L);

	http_parser_fini(&lp->p);
	buf_free(&lp->pending);
	lp->over = true;
	return 0;
}

int luaopen_host_http(lua_State *L)
{
	static const luaL_Reg methods[] = {{"next", l_next}, {"adopt", l_adopt}, {"push", l_push},
	    {"finish", l_finish}, {"stream", l_stream}, {"skip_body", l_skip_body},
	    {"pending", l_pending}, {"rest", l_rest}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"parser", l_parser}, {NULL, NULL}};

	lua_push_http_class(L, LUA_HTTP_PARSER, &parser_class);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	lua_http_open_request(L);
	lua_http_open_answer(L);
	lua_http_open_serve(L);
	return 1;
}
