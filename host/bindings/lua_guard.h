/* Time limits of callbacks; see lua_host.h for the idea. */
#ifndef BINDINGS_LUA_GUARD_H
#define BINDINGS_LUA_GUARD_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>

/* private: of the functions below, which every callback runs through */
extern struct guard_call {
	lua_State *volatile current;   /* the coroutine that runs */
	volatile sig_atomic_t depth;   /* nested protected calls */
	volatile sig_atomic_t serial;  /* of the outermost call */
	volatile sig_atomic_t wake;    /* guard_wake is due: the timer stands or has ticked */
	volatile sig_atomic_t slow;    /* the outermost call has been seen slow */
	volatile sig_atomic_t expired; /* 1 + how often it has been raised */
	const char *volatile label;    /* see guard_label */
	const char *callback;          /* see guard_callback */
} guard_call;

/* private: starts the timer if it stands still, and does what guard_between says; ends an outermost
 * call of which there is something to tell */
void guard_wake(void);
void guard_end(lua_State *L);

/* Around each protected call: enter returns what leave needs. leave reports a slow outermost call.
 */
static inline lua_State *guard_enter(lua_State *L)
{
	lua_State *previous = guard_call.current;

	guard_call.current = L;
	if (guard_call.depth++ == 0) {
		guard_call.serial++;
		if (guard_call.wake)
			guard_wake();
	}
	return previous;
}

static inline void guard_leave(lua_State *L, lua_State *previous)
{
	guard_call.current = previous;
	if (--guard_call.depth == 0 && (guard_call.slow || guard_call.expired || guard_call.label))
		guard_end(L);
}

/* Names the callback that is about to be made ("onincoming"), for the report of a slow one that
 * nobody has labelled; static text. Returns the one before, to be set again behind it. */
static inline const char *guard_callback(const char *name)
{
	const char *before = guard_call.callback;

	guard_call.callback = name;
	return before;
}

/* For a protected call that has not entered itself but what it calls: guard_depth before it, and
 * after an error guard_unwind, which leaves what was entered in it. */
static inline int guard_depth(void)
{
	return (int)guard_call.depth;
}

static inline void guard_unwind(lua_State *L, lua_State *previous, int depth)
{
	if (guard_call.depth > depth)
		guard_leave(L, previous);
}

/* Inside a protected call that makes several callbacks, before each: the limits begin anew, if it
 * is the outermost. false: one before was over its time, so that call has to end now. */
static inline bool guard_again(void)
{
	if (guard_call.depth == 1) {
		guard_call.serial++;
		if (guard_call.wake)
			guard_wake();
	}
	return guard_call.depth > 1 || (!guard_call.slow && !guard_call.expired);
}

/* The number of this outermost protected call; 0 inside of another. If it is one more than at an
 * earlier time, no Lua code has run between that call and this one. */
static inline int guard_number(void)
{
	return guard_call.depth == 1 ? (int)guard_call.serial : 0;
}

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

/* Time limits of a callback, in seconds; 0: none. */
void guard_limits(double slow, double timeout);

/* fn is called between two callbacks while there are many, at least every half of `every` seconds
 * (0: only as often as the limits' timer ticks) and the time of one callback: what has to be done
 * also in a long turn. It must not run Lua. */
void guard_between(void (*fn)(void), double every);

#endif
