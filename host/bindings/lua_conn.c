/* Connection handles: what calls them, what they can be told. Their input: lua_conn_in.c; how they
 * begin: lua_conn_open.c; what they know: lua_conn_info.c. */
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"

#include <errno.h>

/* ---- from net/ to Lua ---- */

static struct lua_server *server_of(const struct conn *c)
{
	if (!c->server)
		return NULL;
	return (struct lua_server *)((char *)c->server - offsetof(struct lua_server, l));
}

static void raised(struct lua_conn *lc)
{
	if (lc->c.loop->settings.fatal_errors)
		conn_destroy(&lc->c);
}

bool lua_conn_call(
    lua_State *L, struct lua_conn *lc, enum lua_callback which, int nargs, int nresults)
{
	bool ok = lua_handle_call(L, &lc->h, which, nargs, nresults);

	if (!ok)
		raised(lc);
	return ok;
}

void lua_conn_failed(lua_State *L, struct lua_conn *lc, enum lua_callback which)
{
	lua_handle_failed(L, &lc->h, which);
	raised(lc);
}

static void notify(struct conn *c, enum lua_callback which)
{
	struct lua_conn *lc = lua_conn_of(c);
	lua_State *L;

	if (!lua_handle_has(&lc->h, which))
		return;
	L = lua_handle_state();
	if (lua_push_callback(L, &lc->h, which, 0))
		lua_conn_call(L, lc, which, 0, 0);
}

static void on_connect(struct conn *c)
{
	notify(c, CB_CONNECT);
}

static void on_predrain(struct conn *c)
{
	notify(c, CB_PREDRAIN);
}

static void on_drain(struct conn *c)
{
	notify(c, CB_DRAIN);
}

/* Calls it and tells whether it answered with something true. */
static bool ask(struct conn *c, enum lua_callback which)
{
	struct lua_conn *lc = lua_conn_of(c);
	lua_State *L = lua_handle_state();
	bool yes;

	if (!lua_push_callback(L, &lc->h, which, 0) || !lua_conn_call(L, lc, which, 0, 1))
		return false;
	yes = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return yes;
}

static bool on_read_timeout(struct conn *c)
{
	return ask(c, CB_READTIMEOUT);
}

static bool on_line_too_long(struct conn *c)
{
	return ask(c, CB_LINETOOLONG);
}

static void on_disconnect(struct conn *c, const char *why)
{
	struct lua_conn *lc = lua_conn_of(c);
	lua_State *L = lua_handle_state();

	if (!lua_push_callback(L, &lc->h, CB_DISCONNECT, 0))
		return;
	if (why)
		lua_pushstring(L, why);
	else
		lua_pushnil(L);
	lua_handle_call(L, &lc->h, CB_DISCONNECT, 1, 0);
}

static void on_securing(struct conn *c)
{
	notify(c, CB_STARTTLS);
}

static void on_secured(struct conn *c)
{
	struct lua_conn *lc = lua_conn_of(c);
	lua_State *L = lua_handle_state();

	if (!lua_push_callback(L, &lc->h, CB_STATUS, 0))
		return;
	lua_pushliteral(L, "ssl-handshake-complete");
	lua_conn_call(L, lc, CB_STATUS, 1, 0);
}

static void on_released(struct conn *c)
{
	struct lua_conn *lc = lua_conn_of(c);

	if (lc->h.counted)
		lua_net_closed(server_of(c));
	lc->h.counted = false;
	lua_handle_unpin(&lc->h);
}

static const struct conn_ops ops = {
    .connect = on_connect,
    .incoming = lua_conn_incoming,
    .reads = lua_conn_reads,
    .lines = lua_conn_lines,
    .hears_end = lua_conn_hears_end,
    .predrain = on_predrain,
    .drain = on_drain,
    .read_timeout = on_read_timeout,
    .line_too_long = on_line_too_long,
    .disconnect = on_disconnect,
    .securing = on_securing,
    .secured = on_secured,
    .released = on_released,
};

/* ---- methods ---- */

static struct lua_conn *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_CONN);
}

/* write(data): #data; nothing after close; false when the queue is full. */
static int l_write(lua_State *L)
{
	struct lua_conn *lc = check(L);
	size_t n;
	const char *bytes = luaL_checklstring(L, 2, &n);
	lua_State *before = lua_handle_enter(L);
	int r = conn_write(&lc->c, bytes, n);

	lua_handle_enter(before);
	if (r == 0) {
		lua_pushinteger(L, (lua_Integer)n);
		return 1;
	}
	if (errno == EPIPE)
		return 0;
	lua_pushboolean(L, 0);
	return 1;
}

static int l_close(lua_State *L)
{
	struct lua_conn *lc = check(L);
	lua_State *before = lua_handle_enter(L);

	conn_close(&lc->c, NULL);
	lua_handle_enter(before);
	return 0;
}

static int l_destroy(lua_State *L)
{
	struct lua_conn *lc = check(L);
	lua_State *before = lua_handle_enter(L);

	conn_destroy(&lc->c);
	lua_handle_enter(before);
	return 0;
}

static void call_with_data(lua_State *L, struct lua_conn *lc, enum lua_callback which, int data)
{
	if (!lua_push_callback(L, &lc->h, which, 0))
		return;
	if (data)
		lua_pushvalue(L, data);
	lua_conn_call(L, lc, which, data ? 1 : 0, 0);
}

/* setlistener(listeners, data): ondetach of the old, onattach(conn, data) of the new; onconnect is
 * not called. */
static int l_setlistener(lua_State *L)
{
	struct lua_conn *lc = check(L);
	struct lua_listeners *ls;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 3);
	if (lc->c.state == CONN_CLOSED)
		return 0;
	conn_hold(&lc->c);
	call_with_data(L, lc, CB_DETACH, 0);
	if (lc->c.state != CONN_CLOSED) {
		ls = lua_check_listeners(L, 2);
		lua_listeners_release(L, &lc->h.listeners);
		lc->h.listeners = ls;
		lua_callback_changes++;
		call_with_data(L, lc, CB_ATTACH, 3);
	}
	conn_release(&lc->c);
	return 0;
}

static int l_pause(lua_State *L)
{
	conn_pause(&check(L)->c);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_resume(lua_State *L)
{
	conn_resume(&check(L)->c);
	lua_pushboolean(L, 1);
	return 1;
}

/* pausefor(seconds | false) */
static int l_pausefor(lua_State *L)
{
	struct lua_conn *lc = check(L);

	conn_pause_for(&lc->c, lua_toboolean(L, 2) ? luaL_checknumber(L, 2) : -1);
	return 0;
}

static int l_pause_writes(lua_State *L)
{
	conn_lock_writes(&check(L)->c);
	return 0;
}

static int l_resume_writes(lua_State *L)
{
	conn_unlock_writes(&check(L)->c);
	return 0;
}

/* setlimit(bytes per second), 0 = off */
static int l_setlimit(lua_State *L)
{
	struct lua_conn *lc = check(L);
	double rate = luaL_checknumber(L, 2);

	lc->c.rate = rate > 0 ? (float)(1 / rate) : 0;
	return 0;
}

/* set_mode(bytes | "*a" | "*l" | "*L" [, longest line]) */
static int l_set_mode(lua_State *L)
{
	struct lua_conn *lc = check(L);
	size_t size;
	enum conn_mode mode = lua_check_mode(L, 2, &size);

	if (mode != CONN_BYTES && !lua_isnoneornil(L, 3))
		size = (size_t)luaL_checkinteger(L, 3);
	conn_set_mode(&lc->c, mode, size);
	return 0;
}

/* The argument of setreadtimeout and setwritetimeout: false = off, nil = the setting. */
static double opt_timeout(lua_State *L, double fallback)
{
	if (lua_isboolean(L, 2))
		return lua_toboolean(L, 2) ? fallback : -1;
	return luaL_optnumber(L, 2, fallback);
}

static int l_setreadtimeout(lua_State *L)
{
	struct conn *c = &check(L)->c;

	conn_set_read_timeout(c, opt_timeout(L, conn_read_timeout(c)));
	return 0;
}

static int l_setwritetimeout(lua_State *L)
{
	struct conn *c = &check(L)->c;

	conn_set_write_timeout(c, opt_timeout(L, c->loop->settings.send_timeout));
	return 0;
}

static int l_gc(lua_State *L)
{
	struct lua_conn *lc = check(L);

	conn_fini(&lc->c);
	lua_listeners_release(L, &lc->h.listeners);
	return 0;
}

/* The state closes: newcomers' handles have no gc. The list is walked anew each time, because it is
 * conn_fini that takes one out. */
static int l_end(lua_State *L)
{
	struct loop *loop = loop_main();

	while (loop && loop->conns) {
		struct lua_conn *lc = lua_conn_of(loop->conns);

		conn_fini(&lc->c);
		lua_listeners_release(L, &lc->h.listeners);
	}
	return 0;
}

int lua_conn_newcomers = LUA_NOREF;

void lua_push_conn_class(lua_State *L)
{
	static const luaL_Reg methods[] = {{"write", l_write}, {"send", l_write},
	    {"close", l_close}, {"destroy", l_destroy}, {"setlistener", l_setlistener},
	    {"pause", l_pause}, {"resume", l_resume}, {"pausefor", l_pausefor},
	    {"pause_writes", l_pause_writes}, {"resume_writes", l_resume_writes},
	    {"setlimit", l_setlimit}, {"set_mode", l_set_mode},
	    {"setreadtimeout", l_setreadtimeout}, {"setwritetimeout", l_setwritetimeout},
	    {NULL, NULL}};
	static luaL_Reg all[64];
	size_t n = 0;

	for (const luaL_Reg *r = methods; r->name; r++)
		all[n++] = *r;
	for (const luaL_Reg *r = lua_conn_info_methods; r->name; r++)
		all[n++] = *r;
	for (const luaL_Reg *r = lua_conn_tls_methods; r->name; r++)
		all[n++] = *r;
	all[n] = (luaL_Reg){NULL, NULL};
	lua_check_loop(L)->ops = &ops;
	lua_conn_input_init(L);
	lua_push_handle_class(L, LUA_CONN_CLASS, all, lua_conn_computed, l_gc, &lua_conn_newcomers);
	lua_push_end(L, l_end);
}
