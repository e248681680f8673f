#include "bindings/lua_handle.h"

#include "base/log.h"
#include "bindings/lua_guard.h"
#include "net/neterr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

lua_State *lua_handle_current;
static int logger = LUA_NOREF, init_logger = LUA_NOREF;

struct loop *lua_check_loop(lua_State *L)
{
	struct loop *loop = loop_main();

	if (!loop)
		luaL_error(L, "cannot make the event loop: %s", strerror(errno));
	return loop;
}

int lua_push_error(lua_State *L, int error)
{
	lua_pushnil(L);
	lua_pushstring(L, net_strerror(error));
	lua_pushinteger(L, error);
	return 3;
}

/* ---- life ---- */

static void *push_new(lua_State *L, size_t size, enum lua_handle_kind kind)
{
	struct lua_handle *h = lua_newuserdatauv(L, size, 1);

	memset(h, 0, size);
	h->kind = (uint32_t)kind;
	h->pin = LUA_NOREF;
	return h;
}

void *lua_push_handle_new(lua_State *L, size_t size, enum lua_handle_kind kind, const char *name)
{
	void *h = push_new(L, size, kind);

	luaL_setmetatable(L, name);
	return h;
}

void *lua_push_handle_of(lua_State *L, size_t size, enum lua_handle_kind kind, int metatable)
{
	void *h = push_new(L, size, kind);

	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
	lua_setmetatable(L, -2);
	return h;
}

struct lua_handle *lua_handle_checked;

void *lua_check_any_handle(lua_State *L, int index, enum lua_handle_kind kind)
{
	struct lua_handle *h = lua_touserdata(L, index);

	if (!h || lua_rawlen(L, index) < sizeof *h || /* a light userdata has no length */
	    h->kind != (uint32_t)kind)
		luaL_typeerror(L, index,
		    kind == LUA_HANDLE_CONN     ? "connection"
		    : kind == LUA_HANDLE_SERVER ? "server"
						: "watch");
	return h;
}

/* References that are given back come here first, with a number in their place, and are used again:
 * luaL_ref and luaL_unref keep their list in the table itself, which took 520 of the 8,700
 * instructions of a connection, and this 150. */
static struct {
	int ref[256];
	int n;
} spare_pins;

void lua_check_handle_pin(lua_State *L, struct lua_handle *h, int index)
{
	lua_pushvalue(L, index);
	if (spare_pins.n == 0) {
		h->pin = luaL_ref(L, LUA_REGISTRYINDEX);
		return;
	}
	h->pin = spare_pins.ref[--spare_pins.n];
	lua_rawseti(L, LUA_REGISTRYINDEX, h->pin); /* a slot that exists: cannot fail */
}

static void give_pin_back(lua_State *L, int ref)
{
	if (ref == LUA_NOREF)
		return;
	if (spare_pins.n == (int)(sizeof spare_pins.ref / sizeof *spare_pins.ref)) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		return;
	}
	lua_pushinteger(L, 0); /* as luaL_unref leaves a number; nil would give it to luaL_ref */
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
	spare_pins.ref[spare_pins.n++] = ref;
}

void lua_handle_unpin(struct lua_handle *h)
{
	lua_State *L = lua_handle_state();

	if (!L)
		return;
	lua_handle_gone(L, h);
	give_pin_back(L, h->pin);
	h->pin = LUA_NOREF;
	if (lua_handle_checked == h)
		lua_handle_checked = NULL; /* from here on it may be collected */
	lua_listeners_release(L, &h->listeners);
}

/* ---- callbacks ---- */

/* What the handle was given itself wins over the listener table. */
static void push_override(lua_State *L, struct lua_handle *h, enum lua_callback which)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin);
	lua_getiuservalue(L, -1, 1);
	lua_pushstring(L, lua_callback_name(which));
	lua_rawget(L, -2); /* handle fields fn */
	lua_replace(L, -3);
	lua_pop(L, 1);
}

void lua_push_callback_function(lua_State *L, struct lua_handle *h, enum lua_callback which)
{
	if (h->overrides & (1u << which))
		push_override(L, h, which);
	else
		lua_rawgeti(L, LUA_REGISTRYINDEX, h->listeners->fn[which]);
}

bool lua_push_callback(lua_State *L, struct lua_handle *h, enum lua_callback which, size_t room)
{
	if (!lua_handle_has(h, which) || h->pin == LUA_NOREF || !lua_host_room(room))
		return false;
	lua_host_push_handler(L);
	lua_push_callback_function(L, h, which);
	lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin); /* handler fn handle */
	lua_handle_checked = h;
	return true;
}

void lua_handle_log_error(lua_State *L, const char *what, const char *message)
{
	if (logger == LUA_NOREF) {
		log_error("Error %s: %s", what, message);
		return;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, logger);
	lua_pushliteral(L, "error");
	lua_pushfstring(L, "Error %s: %s", what, message);
	lua_host_call_logged(L, 2, 0, "in the logger");
}

/* Prosody gives the error to listeners.onerror, whose result is what is logged. */
static void report(lua_State *L, struct lua_handle *h, enum lua_callback which)
{
	char what[48];
	const char *message; /* stack: .. error */

	if (h->listeners && h->listeners->fn[CB_ERROR] != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, h->listeners->fn[CB_ERROR]);
		lua_insert(L, -2);
		lua_host_call(L, 1, 1); /* .. text, or the error of onerror itself */
	}
	message = lua_tostring(L, -1);
	snprintf(what, sizeof what, "calling %s", lua_callback_name(which));
	if (message)
		lua_handle_log_error(L, what, message);
	lua_pop(L, 1);
}

void lua_handle_failed(lua_State *L, struct lua_handle *h, enum lua_callback which)
{
	if (lua_host_room(0))
		report(L, h, which);
	else
		lua_pop(L, 1);
}

bool lua_handle_call(
    lua_State *L, struct lua_handle *h, enum lua_callback which, int nargs, int nresults)
{
	/* what it calls in turn says where it runs itself */
	lua_State *before = lua_handle_enter(NULL);
	const char *callback = guard_callback(lua_callback_name(which));
	bool ok = lua_host_call_above(L, nargs + 1, nresults);

	guard_callback(callback);
	lua_handle_enter(before);
	if (!ok)
		lua_handle_failed(L, h, which);
	return ok;
}

int l_handle_set_logger(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	luaL_unref(L, LUA_REGISTRYINDEX, logger);
	luaL_unref(L, LUA_REGISTRYINDEX, init_logger);
	lua_settop(L, 2);
	init_logger = luaL_ref(L, LUA_REGISTRYINDEX);
	logger = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int lua_push_logger(lua_State *L, const char *source)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, init_logger);
	if (lua_isnil(L, -1))
		return 0;
	lua_pushstring(L, source);
	if (!lua_host_call(L, 1, 1))
		return lua_error(L);
	return 1;
}
