/* Time limits of callbacks; see lua_host.h for the idea. */
#ifndef BINDINGS_LUA_GUARD_H
#define BINDINGS_LUA_GUARD_H

#include <lua.h>
#include <stdbool.h>

/* Around each protected call: enter returns what leave needs. leave reports a slow outermost call.
 */
lua_State *guard_enter(lua_State *L);
void guard_leave(lua_State *L, lua_State *previous);

/* Inside a protected call that makes several callbacks, before each: the limits begin anew, if it
 * is the outermost. false: one before was over its time, so that call has to end now. */
bool guard_again(void);

/* Whether no Lua code runs in a protected call or coroutine: then the main state may be used. */
bool guard_is_idle(void);

/* For lua_profile.c, also in a signal handler: the coroutine that runs, NULL if none does; whether
 * a time limit has a hook to set or has set one; what guard_label said, or NULL. */
lua_State *guard_running(void);
bool guard_hooks(void);
const char *guard_what(void);

/* Names what runs now ("conn.onincoming"), for the slow-callback report; borrowed, static text. */
void guard_label(const char *label);

/* Runs `co` with the `n` values on top of L's stack (its function, if it is to begin, stands on its
 * own stack); results or the error are moved to L. Returns the count of results, or -1 for an error
 * (one value). */
int guard_resume(lua_State *L, lua_State *co, int n);

/* Replaces coroutine.resume, wrap and close by forms that say which coroutine runs. */
void guard_track_coroutines(lua_State *L);

void guard_limits(double slow, double timeout);

#endif
