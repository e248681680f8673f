/* What stands in the head of a message as values of Lua: path, url, names, headers; and messages of
 * util.http's parser, which are plain tables. */
#include "bindings/lua_http.h"

#include <lauxlib.h>
#include <string.h>

void lua_push_http_path(lua_State *L, const struct http_target *t)
{
	luaL_Buffer b;
	size_t n;

	if (http_target_is_plain(t->path)) {
		lua_pushlstring(L, t->path.at, t->path.n);
		return;
	}
	luaL_buffinitsize(L, &b, t->path.n + 1);
	n = http_target_decode(luaL_buffaddr(&b), t->path.at, t->path.n);
	if (http_target_is_inside(luaL_buffaddr(&b), n)) {
		luaL_pushresultsize(&b, n);
		return;
	}
	luaL_pushresultsize(&b, 0);
	lua_pop(L, 1);
	lua_pushnil(L);
}

void lua_push_http_url(lua_State *L, const struct http_target *t)
{
	lua_createtable(L, 0, 4);
	lua_pushlstring(L, t->path.n ? t->path.at : "/", t->path.n ? t->path.n : 1);
	lua_setfield(L, -2, "path");
	if (t->has_query && t->query.n) {
		lua_pushlstring(L, t->query.at, t->query.n);
		lua_setfield(L, -2, "query");
	}
	if (t->scheme) {
		lua_pushstring(L, t->scheme);
		lua_setfield(L, -2, "scheme");
		lua_pushlstring(L, t->host.at, t->host.n);
		lua_setfield(L, -2, "host");
	}
}

bool lua_push_http_name(lua_State *L, const char *at, size_t n, char dash)
{
	char small[64];
	luaL_Buffer b;
	char *out = small;

	if (dash != '-' && memchr(at, '_', n))
		return false;
	if (n > sizeof small)
		out = luaL_buffinitsize(L, &b, n);
	for (size_t i = 0; i < n; i++) {
		char c = at[i];

		if (c == '-')
			c = dash;
		else if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		out[i] = c;
	}
	if (out == small)
		lua_pushlstring(L, out, n);
	else
		luaL_pushresultsize(&b, n);
	return true;
}

void lua_push_http_headers(
    lua_State *L, const char *text, const struct http_field *fields, unsigned count, char dash)
{
	lua_createtable(L, 0, (int)count);
	for (const struct http_field *f = fields; f < fields + count; f++) {
		if (!lua_push_http_name(L, text + f->name, f->name_len, dash))
			continue;
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) == LUA_TNIL) { /* headers name nil */
			lua_pop(L, 1);
			lua_pushlstring(L, text + f->value, f->value_len);
		} else {
			lua_pushliteral(L, ",");
			lua_pushlstring(L, text + f->value, f->value_len);
			lua_concat(L, 3);
		}
		lua_rawset(L, -3);
	}
}

void lua_push_http_version(lua_State *L, unsigned minor)
{
	lua_pushstring(L, minor ? "1.1" : "1.0");
}

/* method, target, and path and url if it is one */
static void set_request_line(lua_State *L, const struct http_parser *p)
{
	const char *text = p->text ? p->text : "";
	struct http_target t;

	lua_pushstring(L, llhttp_method_name((llhttp_method_t)p->ll.method));
	lua_setfield(L, -2, "method");
	lua_pushlstring(L, text, p->target_len);
	lua_setfield(L, -2, "target");
	if (!http_target_split(text, p->target_len, &t))
		return;
	lua_push_http_path(L, &t);
	lua_setfield(L, -2, "path");
	lua_push_http_url(L, &t);
	lua_setfield(L, -2, "url");
}

void lua_push_http_packet(lua_State *L, const struct http_parser *p)
{
	lua_createtable(L, 0, 10);
	lua_push_http_version(L, p->ll.http_minor);
	lua_setfield(L, -2, "httpversion");
	lua_push_http_headers(L, p->text, p->fields, p->count, '-');
	lua_setfield(L, -2, "headers");
	if (p->ll.type == HTTP_RESPONSE) {
		lua_pushinteger(L, p->ll.status_code);
		lua_setfield(L, -2, "code");
		lua_pushlstring(L, p->text ? p->text : "", p->target_len);
		lua_setfield(L, -2, "reason");
	} else {
		set_request_line(L, p);
	}
	lua_pushboolean(L, p->chunked);
	lua_setfield(L, -2, "chunked");
	lua_pushboolean(L, p->persistent);
	lua_setfield(L, -2, "persistent");
	if (!p->chunked && !p->until_end) {
		lua_pushinteger(L, (lua_Integer)(p->complete ? 0 : p->length));
		lua_setfield(L, -2, "body_length");
	}
}
