/* What connection, server and watch handles have in common: they are table keys, take any field,
 * let an assigned field win over a method or a listener's function, and live exactly as long as
 * their descriptor or as Lua refers to them, whichever is longer. */
#ifndef BINDINGS_LUA_HANDLE_H
#define BINDINGS_LUA_HANDLE_H

#include "bindings/lua_host.h"
#include "bindings/lua_listeners.h"
#include "net/loop.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words that tell what a userdata is: cheaper than luaL_checkudata by 21 ns a call. */
enum lua_handle_kind {
	LUA_HANDLE_CONN = 0x6e6f6343,
	LUA_HANDLE_SERVER = 0x76726553,
	LUA_HANDLE_WATCH = 0x63746157,
};

/* The begin of each such userdata. */
struct lua_handle {
	uint32_t kind;
	int pin; /* registry ref while a descriptor is open, else LUA_NOREF */
	struct lua_listeners *listeners; /* NULL for a watch and after the end */
	uint16_t overrides;              /* bit n: callback n stands among the assigned fields */
	bool fields : 1;                 /* something has been assigned */
	bool counted : 1;                /* a connection that the hook `opened` has heard of */
	bool hears_end : 1;              /* the assigned onincoming can see its third argument */
	bool newcomer : 1;               /* its class is that without gc */
	/* of lua_http_serve.c; in struct lua_conn they would take eight bytes, here none */
	uint8_t http;        /* enum lua_http_rest */
	uint32_t http_since; /* a tick */
};

/* private: of the next two */
extern lua_State *lua_handle_current;

/* Where callbacks run: the coroutine that called into us, else the main state. */
static inline lua_State *lua_handle_state(void)
{
	return lua_handle_current ? lua_handle_current : lua_host_state();
}

/* Sets it for the time of a method that may call back; returns the one before, for the same
 * function. */
static inline lua_State *lua_handle_enter(lua_State *L)
{
	lua_State *before = lua_handle_current;

	lua_handle_current = L;
	return before;
}

/* Whether there is such a callback at all. */
static inline bool lua_handle_has(const struct lua_handle *h, enum lua_callback which)
{
	unsigned has = h->overrides | (h->listeners ? h->listeners->has : 0u);

	return (has & (1u << which)) != 0;
}

/* The loop of this process; raises when it cannot be made. */
struct loop *lua_check_loop(lua_State *L);

/* Makes the metatable `name`: methods (a NULL-terminated list), computed fields (functions of the
 * handle, called when no field is assigned), gc. Pushes the methods table: Lua may add to it, but
 * not change what it has once there are handles (lua_handle_class.c).
 * newcomers_r, of connections, else NULL: a registry reference to the same metatable without gc,
 * for those that never own anything while nothing pins them: a finalizer keeps an object for a
 * cycle more and costs 600 of the 8,700 instructions of a connection. */
void lua_push_handle_class(lua_State *L, const char *name, const luaL_Reg *methods,
    const luaL_Reg *computed, lua_CFunction gc, int *newcomers_r);

/* Around callbacks of one pinned connection that come in a row: a method called on it costs 170
 * instructions less, the two calls cost 250. One at a time is near: near does nothing while there
 * is one, or when a field is assigned; far ends it, if there is one. Neither raises. */
void lua_handle_near(lua_State *L, struct lua_handle *handle);
void lua_handle_far(lua_State *L);

/* Pushes a new userdata of `size` bytes, zeroed but for its head, with that metatable. May raise.
 */
void *lua_push_handle_new(lua_State *L, size_t size, enum lua_handle_kind kind, const char *name);

/* As lua_push_handle_new, with the metatable of that reference. */
void *lua_push_handle_of(lua_State *L, size_t size, enum lua_handle_kind kind, int metatable);

/* private: of the next: the handle that was called back last, and lives; the rest of it */
extern struct lua_handle *lua_handle_checked;
void *lua_check_any_handle(lua_State *L, int index, enum lua_handle_kind kind);

/* The handle at `index`, of that kind; raises otherwise. */
static inline void *lua_check_handle(lua_State *L, int index, enum lua_handle_kind kind)
{
	struct lua_handle *h = lua_handle_checked;

	if (h && lua_touserdata(L, index) == h && h->kind == (uint32_t)kind)
		return h;
	return lua_check_any_handle(L, index, kind);
}

/* private: of lua_handle_unpin: it is near no more. */
void lua_handle_gone(lua_State *L, const struct lua_handle *handle);

/* Keeps the userdata at `index` alive / lets it go and releases its listeners. */
void lua_check_handle_pin(lua_State *L, struct lua_handle *handle, int index);
void lua_handle_unpin(struct lua_handle *handle);

/* Pushes message handler, callback and handle, if there is such a callback and memory for `room`
 * bytes more. */
bool lua_push_callback(
    lua_State *L, struct lua_handle *handle, enum lua_callback which, size_t room);

/* Only the function, which there must be. It stays that one as long as
 * lua_callback_changes does. */
void lua_push_callback_function(lua_State *L, struct lua_handle *handle, enum lua_callback which);

/* Calls what lua_push_callback and the caller pushed (`nargs` beside the handle). An error is
 * logged as "Error calling onX: …". true: `nresults` results stand there; false: nothing does. */
bool lua_handle_call(
    lua_State *L, struct lua_handle *handle, enum lua_callback which, int nargs, int nresults);

/* Logs the error on top of the stack as that of the callback, and takes it off. */
void lua_handle_failed(lua_State *L, struct lua_handle *handle, enum lua_callback which);

/* Logs through the runtime's logger (set by net.server), else base/log. */
void lua_handle_log_error(lua_State *L, const char *what, const char *message);

/* host.net.set_logger(fn, init): fn(level, message); init(source) makes the function of the field
 * `log`. */
int l_handle_set_logger(lua_State *L);

/* Pushes init(source), for an l_ function: may raise; returns the number of values. */
int lua_push_logger(lua_State *L, const char *source);

/* Pushes nil, LuaSocket's words and errno; returns 3. */
int lua_push_error(lua_State *L, int error);

#endif
