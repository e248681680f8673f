#include "bindings/lua_handle.h"

#include "base/log.h"
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

/* ---- fields ---- */

/* The table of methods (upvalue 1) has the computed fields too, as pointers to their functions.
 * This is what most calls of a method go through, and 300 of the 2,300 instructions of a read:
 * __index as a table would take 50, but could not ask the handle for a computed field. */
static int l_index(lua_State *L)
{
	const luaL_Reg *computed;

	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TLIGHTUSERDATA)
		return 1;
	computed = lua_touserdata(L, -1);
	lua_settop(L, 1);
	return computed->func(L);
}

/* The same for a handle with assigned fields, which come first. */
static int l_index_fields(lua_State *L)
{
	lua_getiuservalue(L, 1, 1);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TNIL)
		return 1;
	lua_settop(L, 2);
	return l_index(L);
}

static void note_override(lua_State *L, struct lua_handle *h)
{
	enum lua_callback which;

	if (lua_type(L, 2) != LUA_TSTRING)
		return;
	which = lua_callback_by_name(lua_tostring(L, 2));
	if (which == CB_COUNT)
		return;
	if (which == CB_INCOMING)
		h->hears_end = lua_takes_third(L, 3);
	if (lua_isnil(L, 3))
		h->overrides &= (uint16_t) ~(1u << which);
	else
		h->overrides |= (uint16_t)(1u << which);
	lua_callback_wanted(which);
}

/* Upvalue: the metatable of handles with assigned fields. */
static int l_newindex(lua_State *L)
{
	struct lua_handle *h = lua_touserdata(L, 1);

	if (!h->fields) {
		lua_pushvalue(L, lua_upvalueindex(1));
		lua_setmetatable(L, 1);
	}
	if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, 1);
	}
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_rawset(L, -3);
	h->fields = true;
	note_override(L, h);
	return 0;
}

/* ---- life ---- */

/* Fills the metatable on top, for handles whose methods are at `methods` and which get the
 * metatable at `full` with their first field. */
static void fill(lua_State *L, int methods, int full, const char *name, lua_CFunction index)
{
	lua_pushvalue(L, methods);
	lua_pushcclosure(L, index, 1);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, full);
	lua_pushcclosure(L, l_newindex, 1);
	lua_setfield(L, -2, "__newindex");
	lua_getfield(L, methods, "__tostring");
	lua_setfield(L, -2, "__tostring");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__metatable"); /* a module cannot take it apart */
}

/* Pushes the two metatables of a class, the one for handles without fields on top. */
static void push_metatables(lua_State *L, int methods, const char *name)
{
	int full = lua_gettop(L) + 1;

	lua_newtable(L);
	fill(L, methods, full, name, l_index_fields);
	lua_newtable(L); /* full plain */
	fill(L, methods, full, name, l_index);
}

void lua_push_handle_class(lua_State *L, const char *name, const luaL_Reg *methods,
    const luaL_Reg *computed, lua_CFunction gc)
{
	int at = lua_gettop(L) + 1;

	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	for (; computed->name; computed++) {
		lua_pushlightuserdata(L, (void *)computed);
		lua_setfield(L, at, computed->name);
	}
	push_metatables(L, at, name); /* methods full plain */
	for (int i = at + 1; i <= at + 2; i++) {
		lua_pushcfunction(L, gc);
		lua_setfield(L, i, "__gc");
	}
	lua_setfield(L, LUA_REGISTRYINDEX, name);
	lua_settop(L, at);
}

int lua_handle_class_without_gc(lua_State *L, const char *name, int methods)
{
	int ref;

	methods = lua_absindex(L, methods);
	push_metatables(L, methods, name);
	ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	return ref;
}

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

void *lua_check_handle(lua_State *L, int index, enum lua_handle_kind kind)
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

/* References that are given back come here first, with `false` in their place, and are used again:
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
	lua_pushboolean(L, 0); /* not nil: luaL_ref would find the place free */
	lua_rawseti(L, LUA_REGISTRYINDEX, ref);
	spare_pins.ref[spare_pins.n++] = ref;
}

void lua_handle_unpin(struct lua_handle *h)
{
	lua_State *L = lua_handle_state();

	if (!L)
		return;
	give_pin_back(L, h->pin);
	h->pin = LUA_NOREF;
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

static void push_function(lua_State *L, struct lua_handle *h, enum lua_callback which)
{
	if (h->overrides & (1u << which))
		push_override(L, h, which);
	else
		lua_rawgeti(L, LUA_REGISTRYINDEX, h->listeners->fn[which]);
}

bool lua_push_callback_of(lua_State *L, struct lua_handle *h, enum lua_callback which, int index)
{
	if (!lua_handle_has(h, which))
		return false;
	push_function(L, h, which);
	lua_pushvalue(L, index); /* fn handle */
	return true;
}

bool lua_push_callback(lua_State *L, struct lua_handle *h, enum lua_callback which, size_t room)
{
	if (!lua_handle_has(h, which) || h->pin == LUA_NOREF || !lua_host_room(room))
		return false;
	lua_host_push_handler(L);
	push_function(L, h, which);
	lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin); /* handler fn handle */
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

bool lua_handle_call(
    lua_State *L, struct lua_handle *h, enum lua_callback which, int nargs, int nresults)
{
	lua_State *before =
	    lua_handle_enter(NULL); /* what it calls in turn says where it runs itself */
	bool ok;

	ok = lua_host_call_above(L, nargs + 1, nresults);
	lua_handle_enter(before);
	if (ok)
		return true;
	if (lua_host_room(0))
		report(L, h, which);
	else
		lua_pop(L, 1);
	return false;
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
