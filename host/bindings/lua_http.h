/* What the files behind host.http share. */
#ifndef BINDINGS_LUA_HTTP_H
#define BINDINGS_LUA_HTTP_H

#include "net/http_plain.h"
#include "net/http_target.h"

#include <lua.h>
#include <stdbool.h>

#define LUA_HTTP_PARSER  "http parser"
#define LUA_HTTP_REQUEST "http request"

/* User values of a request: who it came from, assigned fields, body. */
enum { LUA_HTTP_OWNER = 1, LUA_HTTP_FIELDS, LUA_HTTP_BODY };

/* Makes the metatable `name` and pushes it; lua_set_http_class and lua_check_http find it by
 * *class: by name it takes five times as long. */
void lua_push_http_class(lua_State *L, const char *name, const void **class);

/* Gives the userdata on top that metatable. */
void lua_set_http_class(lua_State *L, const void **class);

/* The userdata at 1, if it has that metatable; else raises. */
void *lua_check_http(lua_State *L, const void *const *class, const char *name);

/* Pushes a request with a copy of the head: complete, without a body, not the last of its
 * connection. Field `conn` is the value at `owner`. The fields that Prosody's modules read are made
 * when they are asked for. `class`: where the metatable of requests stands. */
void lua_push_http_request(lua_State *L, const struct http_head *head, int owner, int class);

/* Push the metatables of requests, and of responses that are as they were made. */
void lua_push_http_request_class(lua_State *L);
void lua_push_http_response_class(lua_State *L);

/* The same of the head that a parser holds, with all that it knows; its body is yet to come. */
void lua_push_http_parsed(lua_State *L, const struct http_parser *p, int owner);

/* The request at `index` is complete; the body (a string) is on top of the stack and is popped. */
void lua_http_request_complete(lua_State *L, int index);

/* The parts of a head (lua_http_packet.c); texts are copied. Each pushes one value:
 * the path as handlers see it, nil if it is none; { path, query, scheme, host }; "1.0" or "1.1". */
void lua_push_http_path(lua_State *L, const struct http_target *target);
void lua_push_http_url(lua_State *L, const struct http_target *target);
void lua_push_http_version(lua_State *L, unsigned minor);

/* The name as a key: lower case, '-' as `dash`; false (nothing pushed) for names with an underscore
 * of their own where dash is one: they would be mistaken for another header. */
bool lua_push_http_name(lua_State *L, const char *at, size_t n, char dash);

/* name → value of `count` fields, whose offsets are into `text`; several lines of one name are one
 * list (RFC 9110 5.3). */
void lua_push_http_headers(
    lua_State *L, const char *text, const struct http_field *fields, unsigned count, char dash);

/* Pushes a plain table of the head: method, target or code, httpversion, headers (lower case). */
void lua_push_http_packet(lua_State *L, const struct http_parser *p);

/* What lua_conn.http says: what a connection of the HTTP service that has no session does. */
enum lua_http_rest {
	LUA_HTTP_NONE, /* it has one, or is none of the service */
	LUA_HTTP_NEW,  /* it has sent nothing yet */
	LUA_HTTP_RESTING,
	LUA_HTTP_SERVING, /* the handlers of its request run */
};

struct lua_conn;

/* The request whose handlers run without a session; conn is NULL: there is none. The response
 * stands at `index` of L. */
extern struct lua_http_serving {
	struct lua_conn *conn;
	lua_State *L;
	const void *response;
	int index;
} lua_http_serving;

/* The answer to the request that is served has gone out: the connection rests. false: it has a
 * session by now, or has ended. */
bool lua_http_answered(struct lua_conn *conn);

/* Pushes the handlers for a head, as the function at `resolve` has told for it or
 * tells now of the request at `request`; false (nothing pushed): it has none to tell. */
bool lua_push_http_route(lua_State *L, const struct http_head *head, int request, int resolve);

/* forget_routes(): who answers has changed. The other: with the state that they were of. */
int l_http_forget_routes(lua_State *L);
void lua_http_drop_routes(void);

/* Adds functions to the table on top. */
void lua_http_open_serve(lua_State *L);
void lua_http_open_request(lua_State *L);
void lua_http_open_answer(lua_State *L);

int luaopen_host_http(lua_State *L);

#endif
