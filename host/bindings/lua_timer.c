/* host.timer: net/timer.h from Lua. What a timer calls stands in a Lua table at its slot + 1, its
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

/* The same tables, upvalues of each function. */
enum { TASKS = lua_upvalueindex(1), PARAMS = lua_upvalueindex(2) };

/* rawseti of nil needs no memory: may be called outside a protected call. */
static void forget(lua_State *L, int tasks, int params, uint32_t slot, bool marked)
{
	lua_pushnil(L);
	lua_rawseti(L, tasks, (lua_Integer)slot + 1);
	if (!marked)
		return;
	lua_pushnil(L);
	lua_rawseti(L, params, (lua_Integer)slot + 1);
}

static void on_drop(void *data, uint32_t slot, bool marked)
{
	lua_State *L = lua_handle_state();
	int top = lua_gettop(L);

	(void)data;
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.tasks);
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.params);
	forget(L, top + 1, top + 2, slot, marked);
	lua_settop(L, top);
}

static double on_fire(void *data, uint64_t id, bool marked)
{
	lua_State *L = lua_handle_state();
	lua_Integer at = (lua_Integer)TIMER_SLOT(id) + 1;
	double again = -1;

	(void)data;
	if (!lua_host_room(0))
		return 1; /* later: Lua's memory is full */
	lua_rawgeti(L, LUA_REGISTRYINDEX, state.tasks);
	lua_rawgeti(L, -1, at);
	lua_remove(L, -2);
	lua_pushnumber(L, clock_realtime());
	lua_pushinteger(L, (lua_Integer)id);
	if (marked) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, state.params);
		lua_rawgeti(L, -1, at);
		lua_remove(L, -2); /* fn now id param */
	}
	if (!lua_host_call(L, marked ? 3 : 2, 1)) {
		const char *message = lua_tostring(L, -1);

		lua_handle_log_error(L, "in timer", message ? message : "?");
	} else if (lua_type(L, -1) == LUA_TNUMBER) {
		again = lua_tonumber(L, -1);
		again = again > 0 ? again : 0;
	}
	lua_pop(L, 1);
	return again;
}

static int l_add(lua_State *L)
{
	double delay = luaL_checknumber(L, 1);
	bool marked = !lua_isnoneornil(L, 3);
	uint32_t slot;

	luaL_argcheck(L, !isnan(delay), 1, "not a number of seconds");
	luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "function expected");
	slot = timer_next_slot(state.timers);
	if (slot == TIMER_NO_SLOT)
		return luaL_error(L, "not enough memory");
	lua_settop(L, marked ? 3 : 2);
	if (marked)
		lua_rawseti(L, PARAMS, (lua_Integer)slot + 1);
	lua_rawseti(L, TASKS, (lua_Integer)slot + 1);
	lua_pushinteger(L, (lua_Integer)timer_add(state.timers, delay, marked));
	return 1;
}

static int l_stop(lua_State *L)
{
	uint64_t id = (uint64_t)lua_tointeger(L, 1);
	enum timer_stop how = lua_isinteger(L, 1) ? timer_stop(state.timers, id) : TIMER_UNKNOWN;

	if (how >= TIMER_STOPPED)
		forget(L, TASKS, PARAMS, TIMER_SLOT(id), how == TIMER_STOPPED_MARKED);
	lua_pushboolean(L, how != TIMER_UNKNOWN);
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
