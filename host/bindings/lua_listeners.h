/* A module's listener table (onconnect, onincoming, …) with its functions at hand: a callback costs
 * no look-up by name. The functions are looked up again whenever a connection begins, so a table
 * that is completed or changed after `listen` is honoured for those that come then. */
#ifndef BINDINGS_LUA_LISTENERS_H
#define BINDINGS_LUA_LISTENERS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum lua_callback {
	CB_CONNECT,
	CB_INCOMING,
	CB_DISCONNECT,
	CB_DRAIN,
	CB_PREDRAIN,
	CB_READTIMEOUT,
	CB_LINETOOLONG,
	CB_ATTACH,
	CB_DETACH,
	CB_ERROR,
	CB_STATUS,
	CB_STARTTLS,
	CB_COUNT
};

struct lua_listeners {
	int table;                   /* registry ref of the module's table */
	int fn[CB_COUNT];            /* registry refs, LUA_NOREF: none */
	const void *known[CB_COUNT]; /* private: what they refer to, by lua_topointer */
	uint16_t has;                /* bit n: there is callback n */
	bool hears_end;              /* onincoming can see its third argument */
	bool native;                 /* onincoming is a C function that takes struct lua_input */
	unsigned users;              /* private */
	int looked;                  /* private: of lua_check_listeners_again */
};

/* The C function behind onincoming of the tables with `native`: it hears of no end, and gets, in
 * the place of a string, the address of lua_input (lua_net.h). NULL: none. Set once. */
extern lua_CFunction lua_listeners_native;

/* Before all others. */
void lua_listeners_init(lua_State *L);

/* The functions of the table at `index`, shared by all its users; counted, for
 * lua_listeners_release. May raise. */
struct lua_listeners *lua_check_listeners(lua_State *L, int index);

/* One more user. */
struct lua_listeners *lua_listeners_hold(struct lua_listeners *ls);

/* Looks the functions up again. May raise (an __index of the table may). */
void lua_check_listeners_fresh(lua_State *L, struct lua_listeners *ls);

/* The same, but nothing where no Lua code has run since the last time: those of a batch of
 * newcomers whose listener has no onconnect are looked up once (2,000 of the 8,700 instructions of
 * a connection). Only in a protected call of its own. */
void lua_check_listeners_again(lua_State *L, struct lua_listeners *ls);

/* One user less; the last frees it. Nulls the pointer. */
void lua_listeners_release(lua_State *L, struct lua_listeners **listeners);

/* Whether the function at `index` has a place for a third argument; true of what is not a Lua
 * function. */
bool lua_takes_third(lua_State *L, int index);

/* Somebody has, or has no longer, such a callback: from now on it is asked who. */
void lua_callback_changed(enum lua_callback which);

/* How often that was. */
extern unsigned lua_callback_changes;

/* "onconnect", …; CB_COUNT if the word is none of them. */
const char *lua_callback_name(enum lua_callback which);
enum lua_callback lua_callback_by_name(const char *name);

#endif
