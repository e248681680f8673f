/* The metatables of handles: what `handle.name` gives and `handle.name = value` does.
 *
 * A class has three. A handle begins with the plain one; its first assigned field gives it the full
 * one, which looks among those first; the near one is a connection's while its lines are delivered.
 *
 * Most calls of a method come through __index, a function, because a table could not ask the handle
 * for a computed field: 270 instructions, where a table takes 50. But only one handle at a time is
 * near, so there __index can be the table of methods, and what is not in it is asked of that one.
 */
#include "bindings/lua_handle.h"

#include <string.h>

/* Upvalues of the functions below. */
enum { METHODS = 1, COMPUTED, OTHER };

/* ---- reading ---- */

/* The handle is at 1, upvalue COMPUTED maps the name at 2 to a luaL_Reg of it. */
static int push_computed(lua_State *L)
{
	const luaL_Reg *computed;

	lua_settop(L, 2);
	if (lua_rawget(L, lua_upvalueindex(COMPUTED)) == LUA_TNIL)
		return 1;
	computed = lua_touserdata(L, -1);
	lua_settop(L, 1);
	return computed->func(L);
}

static bool push_method(lua_State *L)
{
	lua_pushvalue(L, 2);
	return lua_rawget(L, lua_upvalueindex(METHODS)) != LUA_TNIL;
}

static int l_index(lua_State *L)
{
	return push_method(L) ? 1 : push_computed(L);
}

static int l_index_full(lua_State *L)
{
	lua_getiuservalue(L, 1, 1);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TNIL)
		return 1;
	lua_settop(L, 2);
	return l_index(L);
}

/* Methods of connections by the address of their name, which stays where it is because it is a key
 * in the table of methods. To look there costs 45 instructions more. */
static struct method {
	const void *name;
	lua_CFunction fn;
} known[32];

static struct method *place_of(const void *name)
{
	return &known[(uintptr_t)name / 32 % 32];
}

static int l_index_known(lua_State *L)
{
	const void *name = lua_topointer(L, 2);
	struct method *m = place_of(name);
	lua_CFunction fn;

	if (m->name == name && name) {
		lua_pushcfunction(L, m->fn);
		return 1;
	}
	if (!push_method(L))
		return push_computed(L);
	fn = lua_tocfunction(L, -1);
	if (fn && !lua_getupvalue(L, -1, 1))
		*m = (struct method){name, fn};
	return 1;
}

/* ---- near ---- */

/* One that is near has this class and a pin. The classes are registry references. */
static struct {
	struct lua_handle *handle; /* NULL: none */
	int class;
	int far[2]; /* the class of others; of newcomers */
} near;

static bool can_be_near(const struct lua_handle *h)
{
	return !h->fields && h->pin != LUA_NOREF;
}

/* The method table's own __index: at 1 is that table, and the handle is the near one. */
static int l_index_near(lua_State *L)
{
	if (!near.handle)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, near.handle->pin);
	lua_replace(L, 1);
	return push_computed(L);
}

static void set_class(lua_State *L, const struct lua_handle *h, int class)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin);
	lua_rawgeti(L, LUA_REGISTRYINDEX, class);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

void lua_handle_near(lua_State *L, struct lua_handle *h)
{
	if (near.handle || !can_be_near(h))
		return;
	set_class(L, h, near.class);
	near.handle = h;
}

void lua_handle_far(lua_State *L)
{
	if (near.handle)
		set_class(L, near.handle, near.far[near.handle->newcomer]);
	near.handle = NULL;
}

void lua_handle_gone(lua_State *L, const struct lua_handle *h)
{
	if (near.handle == h)
		lua_handle_far(L);
}

/* ---- writing ---- */

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
	lua_callback_changed(which);
}

/* Upvalue 1: the full class. */
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

/* The near one gets its first field: it is as the others again. */
static int l_newindex_near(lua_State *L)
{
	lua_handle_far(L);
	lua_settable(L, 1);
	return 0;
}

/* ---- making ---- */

/* Where the parts of a class stand on the stack while it is made. */
struct parts {
	int methods, computed;
	const char *name;
	lua_CFunction index;
};

/* Pushes `index` over methods and computed fields. */
static void push_index(lua_State *L, const struct parts *p, lua_CFunction index)
{
	lua_pushvalue(L, p->methods);
	lua_pushvalue(L, p->computed);
	lua_pushcclosure(L, index, 2);
}

/* Fills the metatable below __index and __newindex, which are on top. */
static void fill(lua_State *L, const struct parts *p)
{
	lua_setfield(L, -3, "__newindex");
	lua_setfield(L, -2, "__index");
	lua_getfield(L, p->methods, "__tostring");
	lua_setfield(L, -2, "__tostring");
	lua_pushstring(L, p->name);
	lua_setfield(L, -2, "__metatable"); /* a module cannot take it apart */
}

/* Pushes the full and the plain metatable; gc may be NULL. */
static void push_metatables(lua_State *L, const struct parts *p, lua_CFunction gc)
{
	int full = lua_gettop(L) + 1;

	for (int i = 0; i < 2; i++) {
		lua_newtable(L);
		push_index(L, p, i == 0 ? l_index_full : p->index);
		lua_pushvalue(L, full);
		lua_pushcclosure(L, l_newindex, 1);
		fill(L, p);
		if (!gc)
			continue;
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__gc");
	}
}

static void make_near(lua_State *L, const struct parts *p)
{
	memset(known, 0, sizeof known); /* of another state, all three */
	lua_handle_checked = NULL;
	near.handle = NULL;
	lua_newtable(L);
	lua_pushvalue(L, p->methods);
	lua_pushcfunction(L, l_newindex_near);
	fill(L, p);
	near.class = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L); /* the metatable of the methods */
	push_index(L, p, l_index_near);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, p->methods);
}

void lua_push_handle_class(lua_State *L, const char *name, const luaL_Reg *methods,
    const luaL_Reg *computed, lua_CFunction gc, int *newcomers_r)
{
	int at = lua_gettop(L) + 1;
	struct parts p = {at, at + 1, name, newcomers_r ? l_index_known : l_index};

	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	lua_newtable(L);
	for (; computed->name; computed++) {
		lua_pushlightuserdata(L, (void *)computed);
		lua_setfield(L, p.computed, computed->name);
	}
	push_metatables(L, &p, gc);
	if (newcomers_r) {
		lua_pushvalue(L, -1);
		near.far[0] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_setfield(L, LUA_REGISTRYINDEX, name);
	if (newcomers_r) {
		push_metatables(L, &p, NULL);
		*newcomers_r = near.far[1] = luaL_ref(L, LUA_REGISTRYINDEX);
		make_near(L, &p);
	}
	lua_settop(L, at);
}
