/* Request objects of host.http: the head as it came, and every field made when it is asked for. */
#include "bindings/lua_http.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

struct request {
	uint32_t text, text_len, target_len; /* text: offset behind the fields */
	uint16_t count;
	uint8_t method, minor;
	bool partial; /* the body has not come */
	bool chunked, expects, persistent;
	bool assigned; /* there are fields */
	uint64_t length;
	struct http_field fields[];
};

static const void *request_class;

enum key {
	KEY_NONE,
	KEY_METHOD,
	KEY_PATH,
	KEY_URL,
	KEY_VERSION,
	KEY_HEADERS,
	KEY_BODY,
	KEY_PARTIAL,
	KEY_CHUNKED,
	KEY_CONN,
};

static const char *const key_names[] = {[KEY_METHOD] = "method",
    [KEY_PATH] = "path",
    [KEY_URL] = "url",
    [KEY_VERSION] = "httpversion",
    [KEY_HEADERS] = "headers",
    [KEY_BODY] = "body",
    [KEY_PARTIAL] = "partial",
    [KEY_CHUNKED] = "chunked",
    [KEY_CONN] = "conn"};

static const char *text_of(const struct request *r)
{
	return (const char *)r + r->text;
}

/* A complete request without a body. */
static struct request *push_request(lua_State *L, const struct http_head *h, int owner, int class)
{
	size_t fields = sizeof(struct http_field) * h->count;
	struct request *r = lua_newuserdatauv(L, sizeof *r + fields + h->text_len, 3);

	*r = (struct request){
	    .text = (uint32_t)(sizeof *r + fields),
	    .text_len = h->text_len,
	    .target_len = h->target_len,
	    .count = h->count,
	    .method = h->method,
	    .minor = h->minor,
	    .persistent = true,
	};
	if (fields)
		memcpy(r->fields, h->fields, fields);
	memcpy((char *)r + r->text, h->text, h->text_len);
	lua_pushvalue(L, class);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, owner);
	lua_setiuservalue(L, -2, LUA_HTTP_OWNER);
	return r;
}

void lua_push_http_request_class(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &request_class);
}

void lua_push_http_request(lua_State *L, const struct http_head *h, int owner, int class)
{
	push_request(L, h, owner, class);
}

void lua_push_http_parsed(lua_State *L, const struct http_parser *p, int owner)
{
	struct http_head h = http_parser_head(p);
	struct request *r;

	lua_push_http_request_class(L); /* class */
	r = push_request(L, &h, owner, lua_gettop(L));
	lua_remove(L, -2);
	r->partial = true;
	r->chunked = p->chunked;
	r->expects = p->expects;
	r->persistent = p->persistent;
	r->length = p->length;
}

void lua_http_request_complete(lua_State *L, int index)
{
	struct request *r = lua_touserdata(L, index);

	r->partial = false;
	lua_setiuservalue(L, index, LUA_HTTP_BODY);
}

static struct request *check(lua_State *L)
{
	return lua_check_http(L, &request_class, LUA_HTTP_REQUEST);
}

/* ---- fields ---- */

static void push_request_headers(lua_State *L, const struct request *r)
{
	struct http_target t;

	lua_push_http_headers(L, text_of(r), r->fields, r->count, '_');
	if (http_target_split(text_of(r), r->target_len, &t) &&
	    t.scheme) { /* RFC 9112 3.2.2: the target's host counts */
		lua_pushlstring(L, t.host.at, t.host.n);
		lua_setfield(L, -2, "host");
	}
}

static void push_body(lua_State *L, const struct request *r)
{
	if (r->partial) {
		lua_pushboolean(L, 0);
	} else if (lua_getiuservalue(L, 1, LUA_HTTP_BODY) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushliteral(L, "");
	}
}

/* Pushes what has not been assigned; true if it is worth keeping. */
static bool push_computed(lua_State *L, const struct request *r, enum key key)
{
	struct http_target t;

	switch (key) {
	case KEY_METHOD:
		lua_pushstring(L, llhttp_method_name((llhttp_method_t)r->method));
		return false;
	case KEY_PATH:
	case KEY_URL:
		if (!http_target_split(text_of(r), r->target_len, &t))
			lua_pushnil(L);
		else if (key == KEY_PATH)
			lua_push_http_path(L, &t);
		else
			lua_push_http_url(L, &t);
		return true;
	case KEY_VERSION: lua_push_http_version(L, r->minor); return false;
	case KEY_HEADERS: push_request_headers(L, r); return true;
	case KEY_BODY: push_body(L, r); return false;
	case KEY_PARTIAL:
		if (r->partial)
			lua_pushboolean(L, 1);
		else
			lua_pushnil(L);
		return false;
	case KEY_CHUNKED: lua_pushboolean(L, r->chunked); return false;
	case KEY_CONN: lua_getiuservalue(L, 1, LUA_HTTP_OWNER); return false;
	case KEY_NONE: break;
	}
	lua_pushnil(L);
	return false;
}

/* Assigns the value on top to the key at 2; leaves the value there. */
static void keep(lua_State *L, struct request *r)
{
	if (lua_getiuservalue(L, 1, LUA_HTTP_FIELDS) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 4);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, LUA_HTTP_FIELDS);
	}
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	r->assigned = true;
}

/* Assigned, then computed (upvalue 1: name -> key), then upvalue 2, a table of functions. */
static int l_index(lua_State *L)
{
	struct request *r = lua_touserdata(L, 1);
	enum key key;

	if (r->assigned) {
		lua_getiuservalue(L, 1, LUA_HTTP_FIELDS);
		lua_pushvalue(L, 2);
		if (lua_rawget(L, -2) != LUA_TNIL)
			return 1;
		lua_settop(L, 2);
	}
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	key = (enum key)lua_tointeger(L, -1);
	if (key != KEY_NONE) {
		if (push_computed(L, r, key))
			keep(L, r);
		return 1;
	}
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL)
		return 1;
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1); /* under lua_host_call: l_* */
	keep(L, r);
	return 1;
}

static int l_newindex(lua_State *L)
{
	lua_settop(L, 3);
	keep(L, lua_touserdata(L, 1));
	return 0;
}

/* ---- functions ---- */

/* Pushes the host's name: without port, in lower case; nil if there is none. */
static void push_host(lua_State *L, const struct request *r, const struct http_target *t)
{
	struct http_span host = t->host;
	size_t n;

	for (unsigned i = 0; i < r->count && !t->scheme; i++) {
		const struct http_field *f = &r->fields[i];

		if (f->name_len == 4 && strncasecmp(text_of(r) + f->name, "host", 4) == 0)
			host = (struct http_span){text_of(r) + f->value, f->value_len};
	}
	n = host.n;
	while (n && host.at[n - 1] >= '0' && host.at[n - 1] <= '9')
		n--;
	if (n && host.at[n - 1] == ':')
		host.n = n - 1;
	if (!host.at || !lua_push_http_name(L, host.at, host.n, '-'))
		lua_pushnil(L);
}

/* target(request): method, path (nil: not a path), host (nil: none) */
static int l_target(lua_State *L)
{
	const struct request *r = check(L);
	struct http_target t;
	bool ok = http_target_split(text_of(r), r->target_len, &t);

	lua_pushstring(L, llhttp_method_name((llhttp_method_t)r->method));
	if (ok)
		lua_push_http_path(L, &t);
	else
		lua_pushnil(L);
	push_host(L, r, &t);
	return 3;
}

/* is_special(request): whether there is something to know, of which framing tells: it is the last,
 * its answer has no body (HEAD), or the version is 1.0. */
static int l_is_special(lua_State *L)
{
	const struct request *r = check(L);

	lua_pushboolean(L, r->method == HTTP_HEAD || !r->minor || !r->persistent);
	return 1;
}

/* Pushes "METHOD hostpath"; host: a string's index, 0: none. */
static void push_event(lua_State *L, const struct request *r, int host, struct http_span path)
{
	const char *method = llhttp_method_name((llhttp_method_t)r->method);
	size_t n = strlen(method), host_n = 0;
	const char *at = host ? lua_tolstring(L, host, &host_n) : "";
	char text[256], *end;

	if (n + 1 + host_n + path.n > sizeof text) {
		lua_pushfstring(L, "%s %s", method, at);
		lua_pushlstring(L, path.at, path.n);
		lua_concat(L, 2);
		return;
	}
	end = mempcpy(text, method, n);
	*end++ = ' ';
	end = mempcpy(end, at, host_n);
	end = mempcpy(end, path.at, path.n);
	lua_pushlstring(L, text, (size_t)(end - text));
}

/* Whether the host at `index` is a key of the table at 2. */
static bool is_host(lua_State *L, int index)
{
	bool is;

	lua_pushvalue(L, index);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return false;
	}
	is = lua_rawget(L, 2) != LUA_TNIL;
	lua_pop(L, 1);
	return is;
}

/* events(request, hosts, fallback): "METHOD path" (nil: not a path); "METHOD hostpath" (nil:
 * neither the request's host nor the fallback is a key of hosts); the request's host (nil: none).
 * Put together here, because in Lua each piece would be a string of its own first. */
static int l_events(lua_State *L)
{
	const struct request *r = check(L);
	struct http_target t;
	int host;

	lua_settop(L, 3);
	if (!http_target_split(text_of(r), r->target_len, &t))
		return 0;
	if (http_target_is_plain(t.path)) {
		lua_pushnil(L);
	} else {
		lua_push_http_path(L, &t);
		if (lua_isnil(L, 4))
			return 1;
		t.path.at = lua_tolstring(L, 4, &t.path.n);
	}
	push_host(L, r, &t);
	push_event(L, r, 0, t.path); /* request hosts fallback path host event */
	host = is_host(L, 5) ? 5 : is_host(L, 3) ? 3 : 0;
	if (host)
		push_event(L, r, host, t.path);
	else
		lua_pushnil(L);
	lua_pushvalue(L, 5);
	return 3;
}

/* framing(request): persistent, httpversion, expects, length, chunked, method */
static int l_framing(lua_State *L)
{
	const struct request *r = check(L);

	lua_pushboolean(L, r->persistent);
	lua_push_http_version(L, r->minor);
	lua_pushboolean(L, r->expects);
	lua_pushinteger(L, (lua_Integer)r->length);
	lua_pushboolean(L, r->chunked);
	lua_pushstring(L, llhttp_method_name((llhttp_method_t)r->method));
	return 6;
}

/* complete(request): a streamed body has ended */
static int l_complete(lua_State *L)
{
	check(L)->partial = false;
	lua_pushboolean(L, 0);
	lua_setiuservalue(L, 1, LUA_HTTP_BODY);
	return 0;
}

static int l_tostring(lua_State *L)
{
	const struct request *r = check(L);

	lua_pushfstring(L, "%s ", llhttp_method_name((llhttp_method_t)r->method));
	lua_pushlstring(L, text_of(r), r->target_len);
	lua_concat(L, 2);
	return 1;
}

void lua_http_open_request(lua_State *L)
{
	lua_push_http_class(L, LUA_HTTP_REQUEST, &request_class); /* http mt */
	lua_newtable(L);
	for (int key = KEY_METHOD; key <= KEY_CONN; key++) {
		lua_pushinteger(L, key);
		lua_setfield(L, -2, key_names[key]);
	}
	lua_newtable(L); /* http mt keys computed */
	lua_pushvalue(L, -1);
	lua_setfield(L, -5, "computed");
	lua_pushcclosure(L, l_index, 2);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushcfunction(L, l_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_target);
	lua_setfield(L, -2, "target");
	lua_pushcfunction(L, l_events);
	lua_setfield(L, -2, "events");
	lua_pushcfunction(L, l_is_special);
	lua_setfield(L, -2, "is_special");
	lua_pushcfunction(L, l_framing);
	lua_setfield(L, -2, "framing");
	lua_pushcfunction(L, l_complete);
	lua_setfield(L, -2, "complete");
}
