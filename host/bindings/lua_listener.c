/* Server handles: listening sockets with their listener table, class, gate and counts. */
#include "bindings/lua_fields.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "net/addr.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- from net/ to Lua ---- */

static struct lua_server *of(struct listener *l)
{
	return (struct lua_server *)((char *)l - offsetof(struct lua_server, l));
}

static void on_accepted(struct listener *l, int fd, struct limits_peer *peer)
{
	lua_conn_accepted(of(l), fd, peer);
}

/* opts.on_close(ended): ended is false if others who hold the socket serve on. */
static void tell_opts(lua_State *L, struct lua_server *s)
{
	if (!lua_host_room(0) || lua_rawgeti(L, LUA_REGISTRYINDEX, s->opts) != LUA_TTABLE)
		return;
	lua_pushliteral(L, "on_close");
	lua_rawget(L, -2);
	lua_remove(L, -2);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	lua_pushboolean(L, !s->left);
	lua_host_call_logged(L, 1, 0, "after closing a listener");
}

/* Prosody: ondisconnect(server) on the listener table; then whoever asked for the close. */
static void on_closed(struct listener *l)
{
	struct lua_server *s = of(l);
	lua_State *L = lua_handle_state();

	tell_opts(L, s);
	if (!s->silent && lua_push_callback(L, &s->h, CB_DISCONNECT, 0))
		lua_handle_call(L, &s->h, CB_DISCONNECT, 0, 0);
	if (s->on_close == LUA_NOREF || !lua_host_room(0))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->on_close);
	luaL_unref(L, LUA_REGISTRYINDEX, s->on_close);
	s->on_close = LUA_NOREF;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->h.pin);
	if (!lua_host_call(L, 1, 0)) {
		lua_handle_log_error(L, "after closing a listener", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
}

static void on_released(struct listener *l)
{
	struct lua_server *s = of(l);
	lua_State *L = lua_handle_state();

	luaL_unref(L, LUA_REGISTRYINDEX, s->opts);
	luaL_unref(L, LUA_REGISTRYINDEX, s->on_close);
	s->opts = s->on_close = LUA_NOREF;
	lua_handle_unpin(&s->h);
}

static const struct listener_ops ops = {
    .accepted = on_accepted,
    .closed = on_closed,
    .released = on_released,
};

/* ---- serve ---- */

struct serve_opts {
	enum conn_class klass;
	bool gate, unlink;
};

static bool opt_bool(lua_State *L, int index, const char *name, bool fallback)
{
	bool value;

	lua_getfield(L, index, name);
	value = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

static struct serve_opts check_opts(lua_State *L, int index, struct lua_server *s)
{
	struct serve_opts o = {CONN_CLIENT, true, true};
	size_t size = 0;

	if (lua_isnil(L, index))
		return o;
	luaL_checktype(L, index, LUA_TTABLE);
	lua_getfield(L, index, "class");
	o.klass = lua_check_class(L, -1, CONN_CLIENT);
	lua_getfield(L, index, "read_size");
	s->mode = lua_check_mode(L, -1, &size);
	s->read_size = (uint32_t)size;
	lua_getfield(L, index, "read_timeout");
	s->read_timeout = (float)luaL_optnumber(L, -1, 0);
	lua_pop(L, 3);
	o.gate = opt_bool(L, index, "gate", true);
	o.unlink = opt_bool(L, index, "unlink", true);
	lua_pushvalue(L, index);
	s->opts = luaL_ref(L, LUA_REGISTRYINDEX);
	return o;
}

/* serve(fd, listeners, opts): opts.class, service, module, name, read_size, read_timeout, gate
 * (false: shut), unlink (false: never removes its Unix path). Takes the fd, also on failure. */
int l_server_serve(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct loop *loop = lua_check_loop(L);
	struct lua_server *s;
	struct serve_opts o;

	lua_settop(L, 3);
	s = lua_push_handle_new(L, sizeof *s, LUA_HANDLE_SERVER, LUA_SERVER_CLASS);
	s->opts = s->on_close = LUA_NOREF; /* fd listeners opts handle */
	listener_init(&s->l, loop, &ops);
	o = check_opts(L, 3, s);
	s->h.listeners = lua_check_listeners(L, 2);
	lua_check_handle_pin(L, &s->h, 4);
	if (listener_serve_take(&s->l, fd, o.klass, o.gate, o.unlink) < 0) {
		int error = errno;

		on_released(&s->l);
		return lua_push_error(L, error);
	}
	return 1;
}

/* ---- methods ---- */

static struct lua_server *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_SERVER);
}

/* close(): in the order that loses nobody; ondisconnect(server) follows in a later turn. */
static int l_close(lua_State *L)
{
	listener_close(&check(L)->l, false);
	return 0;
}

/* close_gracefully(fn): the same; fn(server) when it has closed, at once if it has already. */
static int l_close_gracefully(lua_State *L)
{
	struct lua_server *s = check(L);

	if (lua_isfunction(L, 2) && s->l.state != LISTENER_CLOSED) {
		lua_settop(L, 2);
		luaL_unref(L, LUA_REGISTRYINDEX, s->on_close);
		s->on_close = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	listener_close(&s->l, false);
	lua_pushboolean(L, s->l.state != LISTENER_CLOSED);
	return 1;
}

/* close_now(): without the pause of 2 ms. */
static int l_close_now(lua_State *L)
{
	struct lua_server *s = check(L);
	lua_State *before = lua_handle_enter(L);

	listener_close(&s->l, true);
	lua_handle_enter(before);
	return 0;
}

/* abort_close(): true if it serves on. */
static int l_abort_close(lua_State *L)
{
	struct lua_server *s = check(L);
	bool serves = listener_abort(&s->l);

	if (serves) {
		luaL_unref(L, LUA_REGISTRYINDEX, s->on_close);
		s->on_close = LUA_NOREF;
	}
	lua_pushboolean(L, serves);
	return 1;
}

/* destroy(): lets go of our descriptor only; others who hold the socket serve on. */
static int l_destroy(lua_State *L)
{
	struct lua_server *s = check(L);
	lua_State *before = lua_handle_enter(L);

	s->left = true;
	s->silent = s->l.state != LISTENER_CLOSING;
	listener_leave(&s->l);
	lua_handle_enter(before);
	return 0;
}

/* gate(open): whether it accepts; gate(): asks. */
static int l_gate(lua_State *L)
{
	struct lua_server *s = check(L);

	if (!lua_isnoneornil(L, 2))
		listener_gate(&s->l, lua_toboolean(L, 2));
	lua_pushboolean(L, s->l.state == LISTENER_OPEN);
	return 1;
}

static int l_pause(lua_State *L)
{
	listener_gate(&check(L)->l, false);
	return 0;
}

static int l_resume(lua_State *L)
{
	listener_gate(&check(L)->l, true);
	return 0;
}

/* setlistener(listeners): for those who come from now on. */
static int l_setlistener(lua_State *L)
{
	struct lua_server *s = check(L);
	struct lua_listeners *ls;

	if (s->l.state == LISTENER_CLOSED)
		return 0;
	ls = lua_check_listeners(L, 2);
	lua_listeners_release(L, &s->h.listeners);
	s->h.listeners = ls;
	return 0;
}

/* set_tls(ctx | nil): what newcomers begin with from now on. */
static int l_set_tls(lua_State *L)
{
	struct lua_server *s = check(L);
	struct tls_ctx *ctx = lua_opt_tls_ctx(L, 2);

	if (ctx)
		tls_ctx_hold(ctx);
	tls_ctx_release(&s->tls);
	s->tls = ctx;
	s->l.secure = ctx != NULL;
	return 0;
}

static int l_setclass(lua_State *L)
{
	struct lua_server *s = check(L);

	listener_set_class(&s->l, lua_check_class(L, 2, s->l.klass));
	return 0;
}

static int l_class(lua_State *L)
{
	lua_pushstring(L, conn_class_name(check(L)->l.klass));
	return 1;
}

static int l_state(lua_State *L)
{
	lua_pushstring(L, listener_state_name(check(L)->l.state));
	return 1;
}

/* stats(): { accepted, refused, connections, wakeups } */
static int l_stats(lua_State *L)
{
	struct lua_server *s = check(L);

	lua_createtable(L, 0, 4);
	lua_set_integer(L, "accepted", (lua_Integer)s->l.accepted);
	lua_set_integer(L, "refused", (lua_Integer)s->l.refused);
	lua_set_integer(L, "connections", (lua_Integer)s->l.current);
	lua_set_integer(L, "wakeups", (lua_Integer)s->l.wakeups);
	return 1;
}

static int opt(lua_State *L, const char *name)
{
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, check(L)->opts) != LUA_TTABLE)
		return 0;
	lua_getfield(L, -1, name);
	return 1;
}

static int l_name(lua_State *L)
{
	return opt(L, "name");
}

static int l_service(lua_State *L)
{
	return opt(L, "service");
}

static int l_module(lua_State *L)
{
	return opt(L, "module");
}

static int push_address(lua_State *L)
{
	char text[ADDR_TEXT];
	unsigned port;

	if (addr_of(check(L)->l.io.fd, false, text, &port) < 0)
		return 0;
	lua_pushstring(L, text);
	lua_pushinteger(L, port);
	return 2;
}

static int l_ip(lua_State *L)
{
	return push_address(L) ? (lua_pop(L, 1), 1) : 0;
}

static int l_port(lua_State *L)
{
	return push_address(L) ? 1 : 0;
}

static int l_getfd(lua_State *L)
{
	lua_pushinteger(L, check(L)->l.io.fd);
	return 1;
}

static int l_server(lua_State *L)
{
	check(L);
	lua_settop(L, 1);
	return 1;
}

static int l_queued(lua_State *L)
{
	check(L);
	lua_pushinteger(L, 0);
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct lua_server *s = check(L);

	if (push_address(L) != 2)
		lua_pushfstring(L, "FD %d", s->l.io.fd);
	else
		lua_pushfstring(
		    L, "FD %d (%s, %I)", s->l.io.fd, lua_tostring(L, -2), lua_tointeger(L, -1));
	return 1;
}

static int l_listeners(lua_State *L)
{
	struct lua_server *s = check(L);

	if (!s->h.listeners)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->h.listeners->table);
	return 1;
}

/* Callers of Prosody ask whether it is still there. */
static int l_conn(lua_State *L)
{
	if (check(L)->l.state == LISTENER_CLOSED)
		return 0;
	lua_settop(L, 1);
	return 1;
}

static int l_gc(lua_State *L)
{
	struct lua_server *s = check(L);

	listener_fini(&s->l);
	tls_ctx_release(&s->tls);
	luaL_unref(L, LUA_REGISTRYINDEX, s->opts);
	luaL_unref(L, LUA_REGISTRYINDEX, s->on_close);
	s->opts = s->on_close = LUA_NOREF;
	lua_listeners_release(L, &s->h.listeners);
	return 0;
}

void lua_push_server_class(lua_State *L)
{
	static const luaL_Reg methods[] = {{"close", l_close},
	    {"close_gracefully", l_close_gracefully}, {"close_now", l_close_now},
	    {"abort_close", l_abort_close}, {"destroy", l_destroy}, {"gate", l_gate},
	    {"pause", l_pause}, {"resume", l_resume}, {"setlistener", l_setlistener},
	    {"setclass", l_setclass}, {"set_tls", l_set_tls}, {"class", l_class},
	    {"state", l_state}, {"stats", l_stats}, {"name", l_name}, {"service", l_service},
	    {"module", l_module}, {"ip", l_ip}, {"port", l_port}, {"serverport", l_port},
	    {"clientport", l_port}, {"getsockname", push_address}, {"getfd", l_getfd},
	    {"server", l_server}, {"queued", l_queued}, {"__tostring", l_tostring}, {NULL, NULL}};
	static const luaL_Reg computed[] = {
	    {"listeners", l_listeners}, {"conn", l_conn}, {NULL, NULL}};

	lua_push_handle_class(L, LUA_SERVER_CLASS, methods, computed, l_gc, NULL);
}
