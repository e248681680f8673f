#include "bindings/lua_listeners.h"

#include "bindings/lua_guard.h"
#include "net/loop.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[CB_COUNT] = {
    [CB_CONNECT] = "onconnect",
    [CB_INCOMING] = "onincoming",
    [CB_DISCONNECT] = "ondisconnect",
    [CB_DRAIN] = "ondrain",
    [CB_PREDRAIN] = "onpredrain",
    [CB_READTIMEOUT] = "onreadtimeout",
    [CB_LINETOOLONG] = "onlinetoolong",
    [CB_ATTACH] = "onattach",
    [CB_DETACH] = "ondetach",
    [CB_ERROR] = "onerror",
    [CB_STATUS] = "onstatus",
    [CB_STARTTLS] = "onstarttls",
};

lua_CFunction lua_listeners_native;

static const char KEY[] = "gadwall.listeners"; /* registry: listener table -> struct */

const char *lua_callback_name(enum lua_callback which)
{
	return NAMES[which];
}

enum lua_callback lua_callback_by_name(const char *name)
{
	int i = 0;

	if (name[0] == 'o' && name[1] == 'n')
		while (i < CB_COUNT && strcmp(NAMES[i], name) != 0)
			i++;
	else
		i = CB_COUNT;
	return (enum lua_callback)i;
}

bool lua_takes_third(lua_State *L, int index)
{
	lua_Debug about;

	if (!lua_isfunction(L, index))
		return true;
	lua_pushvalue(L, index);
	lua_getinfo(L, ">u", &about);
	return about.nparams > 2 || about.isvararg;
}

unsigned lua_callback_changes;

void lua_callback_changed(enum lua_callback which)
{
	lua_callback_changes++;
	if (which == CB_DRAIN || which == CB_PREDRAIN)
		loop_main()->hears_drain = true;
}

static int name_refs[CB_COUNT]; /* NAMES as Lua's strings: to make them again costs more */

void lua_listeners_init(lua_State *L)
{
	for (int i = 0; i < CB_COUNT; i++) {
		lua_pushstring(L, NAMES[i]);
		name_refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

/* Takes in the function on top, which is new, or nil. */
static void take(lua_State *L, struct lua_listeners *ls, int which)
{
	const void *is = lua_topointer(L, -1);
	int *ref = &ls->fn[which];

	if (which == CB_INCOMING) {
		ls->native = lua_listeners_native && lua_tocfunction(L, -1) == lua_listeners_native;
		ls->hears_end = !ls->native && lua_takes_third(L, -1);
	}
	lua_callback_changed((enum lua_callback)which);
	ls->known[which] = NULL;
	if (lua_isnil(L, -1)) {
		ls->has &= (uint16_t) ~(1u << which);
		luaL_unref(L, LUA_REGISTRYINDEX, *ref);
		*ref = LUA_NOREF;
		lua_pop(L, 1);
		return;
	}
	if (*ref == LUA_NOREF)
		*ref = luaL_ref(L, LUA_REGISTRYINDEX);
	else
		lua_rawseti(L, LUA_REGISTRYINDEX, *ref);
	ls->has |= (uint16_t)(1u << which);
	ls->known[which] = is;
}

/* Each connection that begins comes here, so what is as it was is passed over. */
void lua_check_listeners_fresh(lua_State *L, struct lua_listeners *ls)
{
	bool raw;

	lua_rawgeti(L, LUA_REGISTRYINDEX, ls->table);
	raw = !luaL_getmetafield(L, -1, "__index");
	if (!raw) {
		lua_pop(L, 1);
		ls->looked = 0; /* who knows what it says the next time */
	}
	for (int i = 0; i < CB_COUNT; i++) {
		const void *is;

		lua_rawgeti(L, LUA_REGISTRYINDEX, name_refs[i]);
		if ((raw ? lua_rawget(L, -2) : lua_gettable(L, -2)) == LUA_TNIL &&
		    !(ls->has & (1u << i))) {
			lua_pop(L, 1);
			continue;
		}
		is =
		    lua_topointer(L, -1); /* what is referred to lives: nothing else can be there */
		if (is && is == ls->known[i])
			lua_pop(L, 1);
		else
			take(L, ls, i); /* table */
	}
	lua_pop(L, 1);
}

void lua_check_listeners_again(lua_State *L, struct lua_listeners *ls)
{
	int now = guard_number(), before = ls->looked;

	ls->looked = now; /* before it, because it may raise */
	if (now == 0 || before == 0 || before != now - 1)
		lua_check_listeners_fresh(L, ls);
}

static struct lua_listeners *make(lua_State *L, int index)
{
	struct lua_listeners *ls = malloc(sizeof *ls);

	if (!ls) {
		luaL_error(L, "not enough memory");
		return NULL;
	}
	memset(ls, 0, sizeof *ls);
	for (int i = 0; i < CB_COUNT; i++)
		ls->fn[i] = LUA_NOREF;
	lua_pushvalue(L, index);
	ls->table = luaL_ref(L, LUA_REGISTRYINDEX);
	return ls;
}

struct lua_listeners *lua_check_listeners(lua_State *L, int index)
{
	struct lua_listeners *ls;

	luaL_checktype(L, index, LUA_TTABLE);
	index = lua_absindex(L, index);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, KEY); /* .. map */
	lua_pushvalue(L, index);
	lua_rawget(L, -2); /* .. map known */
	ls = lua_touserdata(L, -1);
	lua_pop(L, 1);
	if (!ls) {
		ls = make(L, index);
		lua_pushvalue(L, index);
		lua_pushlightuserdata(L, ls);
		lua_rawset(L, -3);
	}
	ls->users++;
	lua_pop(L, 1);
	lua_check_listeners_fresh(L, ls);
	return ls;
}

struct lua_listeners *lua_listeners_hold(struct lua_listeners *ls)
{
	ls->users++;
	return ls;
}

void lua_listeners_release(lua_State *L, struct lua_listeners **listeners)
{
	struct lua_listeners *ls = *listeners;

	*listeners = NULL;
	if (!ls || --ls->users > 0)
		return;
	lua_callback_changes++; /* its address may be another's */
	lua_getfield(L, LUA_REGISTRYINDEX, KEY);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ls->table);
	lua_pushnil(L);
	lua_rawset(L, -3); /* assigning nil to a key that exists needs no memory */
	lua_pop(L, 1);
	for (int i = 0; i < CB_COUNT; i++)
		luaL_unref(L, LUA_REGISTRYINDEX, ls->fn[i]);
	luaL_unref(L, LUA_REGISTRYINDEX, ls->table);
	free(ls);
}
