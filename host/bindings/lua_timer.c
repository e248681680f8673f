/* host.timer: libev's heap from Lua. What a timer calls stands in a Lua table at its slot + 1, its
 * argument, if it has one, in another, so that the first grows as an array. */
#include "base/clock.h"
#include "bindings/lua_handle.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "net/timer.h"

#include <math.h>

static struct {
	struct timers *timers;
	int tasks, params; /* registry refs */
} state = {.tasks = LUA_NOREF, .params = LUA_NOREF};

/* May be called outside a protected call: rawseti of nil needs no memory. */
static void on_drop(void *data, uint32_t slot)
{
	lua_State *L = lua_handle_state();

	(void)data;
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.tasks);
	lua_pushnil(L);
	lua_rawseti(L, -2, (lua_Integer)slot + 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.params);
	lua_pushnil(L);
	lua_rawseti(L, -2, (lua_Integer)slot + 1);
	lua_pop(L, 2);
}

static double on_fire(void *data, uint64_t id, uint32_t slot)
{
	lua_State *L = lua_handle_state();
	double again = -1;
	int nargs = 3;

	(void)data;
	if (!lua_host_room(0))
		return 1; /* later: Lua's memory is full */
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.params);
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.tasks);
	lua_rawgeti(L, -1, (lua_Integer)slot + 1);
	lua_remove(L, -2);
	lua_pushnumber(L, clock_realtime());
	lua_pushinteger(L, (lua_Integer)id);
	lua_rawgeti(L, -4, (lua_Integer)slot + 1); /* params fn now id param */
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		nargs = 2;
	}
	if (!lua_host_call(L, nargs, 1)) {
		const char *message = lua_tostring(L, -1);

		lua_handle_log_error(L, "in timer", message ? message : "?");
	} else if (lua_type(L, -1) == LUA_TNUMBER) {
		again = lua_tonumber(L, -1);
		again = again > 0 ? again : 0;
	}
	lua_pop(L, 2);
	return again;
}

static int l_add(lua_State *L)
{
	double delay = luaL_checknumber(L, 1);
	uint64_t id;
	lua_Integer slot;

	luaL_argcheck(L, !isnan(delay), 1, "not a number of seconds");
	luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "function expected");
	lua_settop(L, 3);
	id = timer_add(state.timers, delay);
	if (!id)
		return luaL_error(L, "not enough memory");
	slot = TIMER_SLOT(id);
	if (lua_isnil(L, 3))
		lua_settop(L, 2);
	else
		lua_rawseti(L, lua_upvalueindex(2), slot + 1);
	lua_rawseti(L, lua_upvalueindex(1), slot + 1);
	lua_pushinteger(L, (lua_Integer)id);
	return 1;
}

static int l_stop(lua_State *L)
{
	bool found = lua_isinteger(L, 1) && timer_stop(state.timers, (uint64_t)lua_tointeger(L, 1));

	lua_pushboolean(L, found);
	return 1;
}

static int l_reschedule(lua_State *L)
{
	double delay = luaL_checknumber(L, 2);

	luaL_argcheck(L, !isnan(delay), 2, "not a number of seconds");
	lua_pushboolean(L, lua_isinteger(L, 1) && timer_reschedule(state.timers,
						      (uint64_t)lua_tointeger(L, 1), delay));
	return 1;
}

static int l_pending(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)timers_pending(state.timers));
	return 1;
}

/* The sentinel in the registry ends the C side together with the state. */
static int l_gc(lua_State *L)
{
	(void)L;
	timers_free(&state.timers);
	return 0;
}

int luaopen_host_timer(lua_State *L)
{
	static const luaL_Reg functions[] = {{"add", l_add}, {"stop", l_stop},
	    {"reschedule", l_reschedule}, {"pending", l_pending}, {NULL, NULL}};

	lua_push_end(L, l_gc);
	state.timers = timers_new(lua_check_loop(L), on_fire, on_drop, NULL);
	if (!state.timers)
		return luaL_error(L, "not enough memory");
	luaL_newlibtable(L, functions);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	state.tasks = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	state.params = luaL_ref(L, LUA_REGISTRYINDEX);
	luaL_setfuncs(L, functions, 2);
	return 1;
}
