/* host.loop: running, the end of a turn, descriptors that somebody else owns. */
#include "base/clock.h"
#include "bindings/lua_handle.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "net/watch.h"

#include <errno.h>
#include <fcntl.h>

#define WATCH_CLASS "watch"

struct lua_watch {
	struct lua_handle h;
	struct watch w;
};

/* ---- watches ---- */

/* The callbacks are fields of the handle, so that a caller may exchange them. */
static void call_field(lua_State *L, struct lua_watch *lw, const char *name)
{
	if (lw->h.pin == LUA_NOREF || !lua_host_room(0))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, lw->h.pin);
	lua_getiuservalue(L, -1, 1);
	lua_pushstring(L, name);
	lua_rawget(L, -2);
	lua_remove(L, -2); /* handle fn */
	if (lua_isnil(L, -1)) {
		lua_pop(L, 2);
		return;
	}
	lua_insert(L, -2);
	if (!lua_host_call(L, 1, 0)) {
		lua_handle_log_error(L, "in watch", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
}

static void on_watch(struct watch *w, bool readable, bool writable)
{
	struct lua_watch *lw = (struct lua_watch *)((char *)w - offsetof(struct lua_watch, w));

	if (readable)
		call_field(lua_handle_state(), lw, "onreadable");
	if (writable)
		call_field(lua_handle_state(), lw, "onwritable");
}

static void on_released(struct watch *w)
{
	struct lua_watch *lw = (struct lua_watch *)((char *)w - offsetof(struct lua_watch, w));

	lua_handle_unpin(&lw->h);
}

/* watch(fd, on_readable, on_writable) */
static int l_watch(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct loop *loop = lua_check_loop(L);
	struct lua_watch *lw;

	if (fcntl(fd, F_GETFD) < 0)
		return lua_push_error(L, errno);
	lua_settop(L, 3);
	lw = lua_push_handle_new(L, sizeof *lw, LUA_HANDLE_WATCH, WATCH_CLASS);
	watch_init(&lw->w, loop, on_watch, on_released);
	lua_pushvalue(L, 2);
	lua_setfield(L, 4, "onreadable");
	lua_pushvalue(L, 3);
	lua_setfield(L, 4, "onwritable");
	lua_check_handle_pin(L, &lw->h, 4);
	watch_open(&lw->w, fd, !lua_isnil(L, 2), !lua_isnil(L, 3));
	return 1;
}

static struct lua_watch *check(lua_State *L)
{
	return lua_check_handle(L, 1, LUA_HANDLE_WATCH);
}

static int l_watch_close(lua_State *L)
{
	watch_close(&check(L)->w);
	return 0;
}

/* setflags(read, write): nil leaves that one as it is. */
static int l_watch_setflags(lua_State *L)
{
	struct watch *w = &check(L)->w;
	bool r = lua_isnoneornil(L, 2) ? (w->io.events & EV_READ) != 0 : lua_toboolean(L, 2);
	bool wr = lua_isnoneornil(L, 3) ? (w->io.events & EV_WRITE) != 0 : lua_toboolean(L, 3);

	watch_flags(w, r, wr);
	lua_pushboolean(L, w->io.fd >= 0);
	return 1;
}

static int l_watch_getfd(lua_State *L)
{
	lua_pushinteger(L, check(L)->w.io.fd);
	return 1;
}

static int l_watch_tostring(lua_State *L)
{
	lua_pushfstring(L, "FD %d", check(L)->w.io.fd);
	return 1;
}

static int l_watch_gc(lua_State *L)
{
	watch_fini(&check(L)->w);
	return 0;
}

/* ---- the loop ---- */

/* run([once]): "quitting"; run(true): true, or nil, "timeout" if nothing happened. */
static int l_run(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	int r = lua_toboolean(L, 1) ? loop_step(loop) : loop_run(loop);

	if (r < 0)
		return luaL_error(L, "the loop runs already: a callback cannot run it");
	if (!lua_toboolean(L, 1)) {
		lua_pushliteral(L, "quitting");
		return 1;
	}
	if (r > 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushliteral(L, "timeout");
	return 2;
}

static int l_quit(lua_State *L)
{
	loop_quit(lua_check_loop(L), lua_isnone(L, 1) || lua_toboolean(L, 1));
	return 0;
}

/* leave(bool): run returns once every connection and listener has gone; false takes it back. */
static int l_leave(lua_State *L)
{
	loop_leave_when_empty(lua_check_loop(L), lua_toboolean(L, 1));
	return 0;
}

static int l_now(lua_State *L)
{
	lua_pushnumber(L, clock_realtime());
	return 1;
}

static int l_monotonic(lua_State *L)
{
	lua_pushnumber(L, clock_monotonic());
	return 1;
}

static int l_coarse(lua_State *L)
{
	lua_pushnumber(L, clock_coarse());
	return 1;
}

static void on_tick(void *data, intptr_t ref)
{
	lua_State *L = lua_handle_state();

	(void)data;
	lua_rawgeti(L, LUA_REGISTRYINDEX, (int)ref);
	luaL_unref(L, LUA_REGISTRYINDEX, (int)ref);
	if (!lua_host_room(0)) {
		lua_pop(L, 1);
	} else if (!lua_host_call(L, 0, 0)) {
		lua_handle_log_error(L, "in nexttick", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
}

/* lag(): seconds within which 99 % of the last half minute's turns ended */
static int l_lag(lua_State *L)
{
	lua_pushnumber(L, lag_p99(&lua_check_loop(L)->lag));
	return 1;
}

/* lag_histogram(limits): { turns within each limit }, all turns, their seconds, since the start.
 * Limits: seconds, powers of two of microseconds. */
static int l_lag_histogram(lua_State *L)
{
	const struct lag *lag = &lua_check_loop(L)->lag;
	lua_Integer n;

	luaL_checktype(L, 1, LUA_TTABLE);
	n = luaL_len(L, 1);
	lua_createtable(L, n < 100 ? (int)n : 100, 0); /* .. counts */
	for (lua_Integer i = 1; i <= n; i++) {
		lua_geti(L, 1, i);
		lua_pushinteger(L, (lua_Integer)lag_within(lag, lua_tonumber(L, -1)));
		lua_seti(L, -3, i);
		lua_pop(L, 1);
	}
	lua_pushinteger(L, (lua_Integer)lag->turns);
	lua_pushnumber(L, lag->sum);
	return 3;
}

static int l_nexttick(lua_State *L)
{
	struct loop *loop = lua_check_loop(L);
	int ref;

	luaL_checkany(L, 1);
	lua_settop(L, 1);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	if (loop_nexttick(loop, on_tick, NULL, ref) < 0) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		return luaL_error(L, "not enough memory");
	}
	return 0;
}

int luaopen_host_loop(lua_State *L)
{
	static const luaL_Reg functions[] = {{"run", l_run}, {"quit", l_quit}, {"leave", l_leave},
	    {"now", l_now}, {"monotonic", l_monotonic}, {"coarse", l_coarse},
	    {"nexttick", l_nexttick}, {"watch", l_watch}, {"lag", l_lag},
	    {"lag_histogram", l_lag_histogram}, {NULL, NULL}};
	static const luaL_Reg methods[] = {{"close", l_watch_close}, {"setflags", l_watch_setflags},
	    {"set", l_watch_setflags}, {"getfd", l_watch_getfd}, {"__tostring", l_watch_tostring},
	    {NULL, NULL}};
	static const luaL_Reg computed[] = {{NULL, NULL}};

	lua_check_loop(L);
	lua_push_handle_class(L, WATCH_CLASS, methods, computed, l_watch_gc, NULL);
	luaL_newlib(L, functions);
	return 1;
}
