/* The Lua state of a process: made here, called here, limited here.
 *
 * One process has one state. Every call from C into Lua goes through lua_host_call: it is the only
 * place with a lua_pcall, it adds the traceback, and it stands under the time limits of a callback.
 *
 * Time limits cost nothing per call: a kernel timer that ticks only while callbacks run looks
 * whether the same outermost call is still running, and then sets a Lua hook on the coroutine that
 * runs. After `slow` the hook takes a traceback (reported when the call ends), after `timeout` it
 * raises at every instruction until the outermost call has ended, so that a pcall in a loop cannot
 * catch it. A C function that never returns (a pattern, a loop in __gc) is not reached by a hook:
 * the keeper's heartbeat ends the worker. */
#ifndef BINDINGS_LUA_HOST_H
#define BINDINGS_LUA_HOST_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* What host.info shows. Strings are borrowed for the life of the state. */
struct lua_host_info {
	const char *role;   /* "worker", "reader", "command", "lua" */
	const char *root;   /* folder of the checkout, or PREFIX */
	const char *binary; /* path of the program */
	bool checkout;      /* runs from a checkout, not from an installation */
};

/* Fills `info` for this process: the root is the folder above the binary's (build/ in a checkout,
 * bin/ in an installation). 0, or -1 with errno. Storage is static. */
int lua_host_locate(struct lua_host_info *info, const char *role);

/* A state with the standard libraries, host.* in package.preload, LUA_* variables ignored.
 * NULL when memory is out. `memory`: most bytes the state may hold, 0 = no limit. */
lua_State *lua_host_new(const struct lua_host_info *info, size_t memory);

/* Closes the state (finalizers run) and nulls the pointer. */
void lua_host_free(lua_State **L);

/* Calls the function below `nargs` arguments. true: `nresults` results (LUA_MULTRET allowed) stand
 * in their place. false: one string, the error with its traceback, stands there. Never raises. */
bool lua_host_call(lua_State *L, int nargs, int nresults);

/* The same; an error is logged as "Error WHAT: message" and popped. */
bool lua_host_call_logged(lua_State *L, int nargs, int nresults, const char *what);

/* Runs boot.lua with the role and `argc` strings; returns its exit status, 70 when it raised. */
int lua_host_boot(lua_State *L, const char *role, int argc, char *const argv[]);

/* Limits of later calls, in seconds (0 = off) and bytes (0 = no limit). */
void lua_host_limits(double slow, double timeout);
void lua_host_memory(size_t limit);

/* Bytes that the state holds now. */
size_t lua_host_bytes(void);

/* Whether `n` more bytes fit under the limit, after a collection if need be. Outside a protected
 * call Lua may only be given something when this says so: its memory error would find nobody to
 * catch it. */
bool lua_host_room(size_t n);

/* Calls fn(data), data a light userdata, which calls others of its own: each of them stands between
 * guard_enter and guard_leave (lua_guard.h) and has its own time limits, fn itself has none. false:
 * an error, with its traceback on top; of the call that raised it the guard is left. */
bool lua_host_call_each(lua_State *L, lua_CFunction fn, void *data);

/* lua_host_call in two steps, for callers that count nanoseconds: the handler goes first, function
 * and arguments on top of it; the call takes the handler away. */
void lua_host_push_handler(lua_State *L);
bool lua_host_call_above(lua_State *L, int nargs, int nresults);

/* The state of this process (NULL before lua_host_new). */
lua_State *lua_host_state(void);

/* Opens the table host.guard (lua_guard.c) and the coroutine functions that keep track of which
 * coroutine runs; called by lua_host_new. */
int luaopen_host_guard(lua_State *L);
int luaopen_host_info(lua_State *L);

#endif
