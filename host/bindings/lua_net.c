/* host.net: binding, serving, connecting, settings, limits, counts. */
#include "bindings/lua_net.h"

#include "bindings/lua_host.h"
#include "net/addr.h"
#include "net/limits.h"
#include "net/share.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- words ---- */

enum conn_class lua_check_class(lua_State *L, int index, enum conn_class fallback)
{
	const char *word;

	if (lua_isnoneornil(L, index))
		return fallback;
	word = luaL_checkstring(L, index);
	for (int i = CONN_CLIENT; i <= CONN_ADMIN; i++)
		if (strcmp(word, conn_class_name((enum conn_class)i)) == 0)
			return (enum conn_class)i;
	luaL_error(L, "unknown class '%s' (client, peer or admin)", word);
	return fallback;
}

enum conn_mode lua_check_mode(lua_State *L, int index, size_t *size_r)
{
	const char *word;

	*size_r = 0;
	if (lua_isnoneornil(L, index))
		return CONN_BYTES;
	if (lua_isnumber(L, index)) {
		lua_Number n = lua_tonumber(L, index);

		luaL_argcheck(L, n >= 1, index, "a read size is at least 1");
		*size_r = n < LOOP_BUFFER ? (size_t)n : LOOP_BUFFER;
		return CONN_BYTES;
	}
	word = luaL_checkstring(L, index);
	if (strcmp(word, "*l") == 0)
		return CONN_LINES;
	if (strcmp(word, "*L") == 0)
		return CONN_WHOLE_LINES;
	if (strcmp(word, "*a") != 0)
		luaL_error(L, "unknown read mode '%s' (a number, \"*a\", \"*l\" or \"*L\")", word);
	*size_r = LOOP_BUFFER;
	return CONN_BYTES;
}

void lua_push_end(lua_State *L, lua_CFunction end)
{
	lua_newuserdatauv(L, 0, 0);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, end);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	luaL_ref(L, LUA_REGISTRYINDEX);
}

/* ---- hooks of net.server ---- */

/* Servers that have open connections of class client, and how many there are in all. */
static struct lua_server *counted;
static size_t counted_total;
static int closed_hook = LUA_NOREF;
static bool closed_at_zero; /* only the last connection of a server is told */

void lua_net_opened(struct lua_server *s)
{
	counted_total++;
	if (s->counted++)
		return;
	s->counted_next = counted;
	s->counted_at = &counted;
	if (counted)
		counted->counted_at = &s->counted_next;
	counted = s;
}

void lua_net_closed(struct lua_server *s)
{
	lua_State *L = lua_handle_state();

	counted_total--;
	if (--s->counted == 0) {
		*s->counted_at = s->counted_next;
		if (s->counted_next)
			s->counted_next->counted_at = s->counted_at;
	}
	if (closed_hook == LUA_NOREF || (closed_at_zero && s->counted) || !lua_host_room(0))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, closed_hook);
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, s->opts) != LUA_TTABLE) {
		lua_pop(L, 2);
		return;
	}
	lua_host_call_logged(L, 1, 0, "counting a connection");
}

/* on_closed(fn [, at_zero]): fn gets the opts table of the server whose connection of class client
 * has closed, after it was counted out; at_zero: only when it was the server's last. nil: nobody
 * asks, and a connection costs no call into Lua. */
static int l_on_closed(lua_State *L)
{
	luaL_unref(L, LUA_REGISTRYINDEX, closed_hook);
	closed_hook = LUA_NOREF;
	if (!lua_isnoneornil(L, 1)) {
		luaL_checktype(L, 1, LUA_TFUNCTION);
		closed_at_zero = lua_toboolean(L, 2);
		lua_settop(L, 1);
		closed_hook = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	return 0;
}

/* counted([details]): how many connections of class client are open; with details also a list of
 * { opts table of the server, how many }. */
static int l_counted(lua_State *L)
{
	int n = 0;

	lua_pushinteger(L, (lua_Integer)counted_total);
	if (!lua_toboolean(L, 1))
		return 1;
	lua_newtable(L); /* total list */
	for (const struct lua_server *s = counted; s; s = s->counted_next) {
		lua_createtable(L, 2, 0);
		lua_rawgeti(L, LUA_REGISTRYINDEX, s->opts);
		lua_rawseti(L, -2, 1);
		lua_pushinteger(L, s->counted);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, ++n);
	}
	return 2;
}

/* ---- sockets ---- */

/* A listener of ours on the same address that is still in the 2 ms of its close is in nobody's way.
 */
static bool end_closing(struct loop *loop)
{
	for (struct listener *l = loop->listeners; l; l = l->next)
		if (l->state == LISTENER_CLOSING) {
			listener_close(l, true);
			return true;
		}
	return false;
}

/* bind(addr, port, opts): fd. opts.type "unix": addr is a path without a slash. */
static int l_bind(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);
	lua_Integer port = luaL_optinteger(L, 2, 0);
	struct loop *loop = lua_check_loop(L);
	struct addr addr;
	int fd;

	if (lua_istable(L, 3)) {
		lua_getfield(L, 3, "type");
		if (lua_isstring(L, -1) && strcmp(lua_tostring(L, -1), "unix") == 0 &&
		    text[0] != '@' && !strchr(text, '/'))
			text = lua_pushfstring(L, "./%s", text);
	}
	if (port < 0 || port > 65535)
		return lua_push_error(L, EINVAL);
	if (addr_parse(&addr, text, (unsigned)port) < 0)
		return lua_push_error(L, errno);
	fd = addr_bind(&addr);
	while (fd < 0 && errno == EADDRINUSE && end_closing(loop)) {
		fd = addr_bind(&addr);
		if (fd < 0)
			errno = EADDRINUSE;
	}
	if (fd < 0)
		return lua_push_error(L, errno);
	lua_pushinteger(L, fd);
	return 1;
}

/* listen(fd, backlog) */
static int l_listen(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct loop *loop = lua_check_loop(L);
	int backlog = (int)luaL_optinteger(L, 2, loop->settings.tcp_backlog);
	int on = 0;
	socklen_t size = sizeof on;

	/* one that was handed over listens already; a second listen(2) would change its backlog
	 * only */
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on) {
		lua_pushboolean(L, 1);
		return 1;
	}
	if (listen(fd, backlog) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_close(lua_State *L)
{
	if (close((int)luaL_checkinteger(L, 1)) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- settings ---- */

/* The table is at 1. false, nil and math.huge switch a number of seconds off (0). */
static double opt_seconds(lua_State *L, const char *key, double fallback)
{
	double value = fallback;

	lua_getfield(L, 1, key);
	if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
		value = 0;
	else if (lua_isnumber(L, -1))
		value = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return isfinite(value) && value > 0 ? value : 0;
}

static size_t opt_size(lua_State *L, const char *key, size_t fallback)
{
	double value = opt_seconds(L, key, (double)fallback);

	return value >= 1 ? (size_t)value : fallback;
}

static bool opt_bool(lua_State *L, const char *key, bool fallback)
{
	bool value;

	lua_getfield(L, 1, key);
	value = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

/* settings(tbl): network_settings; what is missing goes back to its default. */
static int l_settings(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	struct net_settings s = net_settings_default;

	luaL_checktype(L, 1, LUA_TTABLE);
	s.read_timeout = opt_seconds(L, "read_timeout", s.read_timeout);
	s.send_timeout = opt_seconds(L, "send_timeout", s.send_timeout);
	s.connect_timeout = opt_seconds(L, "connect_timeout", s.connect_timeout);
	s.handshake_timeout = opt_seconds(L, "ssl_handshake_timeout", s.handshake_timeout);
	s.min_wait = opt_seconds(L, "min_wait", s.min_wait);
	s.read_size = opt_size(L, "read_size", s.read_size);
	s.line_limit = opt_size(L, "line_limit", s.line_limit);
	s.max_send_buffer_size = opt_size(L, "max_send_buffer_size", s.max_send_buffer_size);
	s.max_send_chunk = opt_size(L, "max_send_chunk", s.max_send_chunk);
	s.tcp_backlog = (int)opt_size(L, "tcp_backlog", (size_t)s.tcp_backlog);
	s.defer_accept = (int)opt_seconds(L, "tcp_defer_accept", 0);
	s.fastopen = (int)opt_seconds(L, "tcp_fastopen", 0);
	s.keepalive = opt_bool(L, "tcp_keepalive", s.keepalive);
	s.keepalive_idle = opt_seconds(L, "tcp_keepalive", 0);
	s.nagle = opt_bool(L, "nagle", s.nagle);
	s.fatal_errors = opt_bool(L, "fatal_errors", s.fatal_errors);
	loop_set(loop, &s);
	for (struct listener *l = loop->listeners; l; l = l->next)
		listener_options(l);
	return 0;
}

static bool set_exempt(lua_State *L, struct limits *limits)
{
	limits_exempt_none(limits);
	lua_getfield(L, 1, "limits_exempt");
	if (lua_istable(L, -1))
		for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
			if (!lua_isstring(L, -1) || !limits_exempt(limits, lua_tostring(L, -1)))
				return false;
			lua_pop(L, 1);
		}
	return true;
}

/* limits(tbl): max_connections, max_connections_per_ip, max_connection_rate_per_ip, max_handshakes,
 * limits_exempt. Missing or false: no limit. nil, message when a network of limits_exempt cannot be
 * read. */
static int l_limits(lua_State *L)
{
	struct limits *limits = lua_check_loop(L)->limits;

	luaL_checktype(L, 1, LUA_TTABLE);
	limits->max_connections = (size_t)opt_seconds(L, "max_connections", 0);
	limits->max_per_ip = (unsigned)opt_seconds(L, "max_connections_per_ip", 0);
	limits->max_rate = opt_seconds(L, "max_connection_rate_per_ip", 0);
	limits->max_handshakes = (size_t)opt_seconds(L, "max_handshakes", 0);
	limits_changed(limits);
	if (!set_exempt(L, limits)) {
		const char *what = luaL_tolstring(L, -1, NULL);

		lua_pushnil(L);
		lua_pushfstring(L, "limits_exempt: not a network: %s", what);
		return 2;
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- counts ---- */

static void push_limit(lua_State *L, const struct limits *limits, enum limit limit)
{
	lua_createtable(L, 0, 3);
	lua_pushstring(L, limits_name(limit));
	lua_setfield(L, -2, "limit");
	lua_pushinteger(L, (lua_Integer)limits->hit[limit].hits);
	lua_setfield(L, -2, "hits");
	lua_pushnumber(L, limits->hit[limit].last);
	lua_setfield(L, -2, "last");
}

/* stats(): { connections, counted, handshakes, listeners, corked, limits = { { limit, hits, last },
 * … } } */
static int l_stats(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	lua_Integer listeners = 0;

	for (struct listener *l = loop->listeners; l; l = l->next)
		listeners++;
	lua_createtable(L, 0, 4);
	lua_pushinteger(L, (lua_Integer)loop->open_conns);
	lua_setfield(L, -2, "connections");
	lua_pushinteger(L, (lua_Integer)loop->limits->connections);
	lua_setfield(L, -2, "counted");
	lua_pushinteger(L, (lua_Integer)loop->limits->handshakes);
	lua_setfield(L, -2, "handshakes");
	lua_pushinteger(L, listeners);
	lua_setfield(L, -2, "listeners");
	lua_createtable(L, LIMIT_COUNT, 0);
	for (int i = 0; i < LIMIT_COUNT; i++) {
		push_limit(L, loop->limits, (enum limit)i);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "limits");
	return 1;
}

/* handles(): every connection that is not closed. */
static int l_handles(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	lua_Integer i = 0;

	lua_createtable(L, (int)loop->open_conns, 0);
	for (struct conn *c = loop->conns; c; c = c->next) {
		struct lua_conn *lc = (struct lua_conn *)((char *)c - offsetof(struct lua_conn, c));

		lua_rawgeti(L, LUA_REGISTRYINDEX, lc->h.pin);
		lua_rawseti(L, -2, ++i);
	}
	return 1;
}

/* servers(): every listener that is not closed. */
static int l_servers(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	lua_Integer i = 0;

	lua_newtable(L);
	for (struct listener *l = loop->listeners; l; l = l->next) {
		struct lua_server *s =
		    (struct lua_server *)((char *)l - offsetof(struct lua_server, l));

		lua_rawgeti(L, LUA_REGISTRYINDEX, s->h.pin);
		lua_rawseti(L, -2, ++i);
	}
	return 1;
}

/* refresh(listeners): looks the functions of a listener table up again, for those who use it
 * already. */
static int l_refresh(lua_State *L)
{
	struct lua_listeners *ls = lua_check_listeners(L, 1);

	lua_listeners_release(L, &ls);
	return 0;
}

/* share(path, worker): true; nil, why, errno. See net/share.h */
static int l_share(lua_State *L)
{
	lua_Integer worker = luaL_checkinteger(L, 2);

	luaL_argcheck(L, worker >= 0 && worker <= UINT_MAX, 2, "not the number of a worker");
	if (share_open(lua_check_loop(L)->ev, luaL_checkstring(L, 1), (unsigned)worker) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

int luaopen_host_net(lua_State *L)
{
	static const luaL_Reg functions[] = {{"bind", l_bind}, {"listen", l_listen},
	    {"close", l_close}, {"serve", l_server_serve}, {"connect", l_conn_connect},
	    {"adopt", l_conn_adopt}, {"settings", l_settings}, {"limits", l_limits},
	    {"stats", l_stats}, {"handles", l_handles}, {"servers", l_servers},
	    {"refresh", l_refresh}, {"on_closed", l_on_closed}, {"counted", l_counted},
	    {"share", l_share}, {"set_logger", l_handle_set_logger}, {NULL, NULL}};

	lua_check_loop(L);
	lua_listeners_init(L);
	luaL_newlib(L, functions);
	lua_push_conn_class(L);
	lua_setfield(L, -2, "conn_methods");
	lua_push_server_class(L);
	lua_setfield(L, -2, "server_methods");
	return 1;
}
