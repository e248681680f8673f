/* Input of connections: a callback for each read, all plain reads of a turn in one protected call,
 * a callback for each line. net/conn_in.c says what has come, net/conn_out.c takes what is written.
 */
#include "bindings/lua_guard.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"

static int word_timeout = LUA_NOREF; /* the commonest third argument */
struct lua_input lua_input;

void lua_conn_input_init(lua_State *L)
{
	lua_pushstring(L, CONN_SHORT);
	word_timeout = luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool is_native(const struct lua_handle *h)
{
	return h->listeners && h->listeners->native && !(h->overrides & (1u << CB_INCOMING));
}

/* Whether onincoming sees its third argument. */
bool lua_conn_hears_end(struct conn *c)
{
	const struct lua_handle *h = &lua_conn_of(c)->h;

	if (h->overrides & (1u << CB_INCOMING))
		return h->hears_end;
	return h->listeners && h->listeners->hears_end;
}

/* Pushes what onincoming gets behind the handle; returns how many values that are. */
static int push_input(lua_State *L, struct conn *c, const char *bytes, size_t n, const char *err)
{
	if (is_native(&lua_conn_of(c)->h)) {
		lua_input = (struct lua_input){bytes, n};
		lua_pushlightuserdata(L, &lua_input);
		return 1;
	}
	lua_pushlstring(L, bytes, n);
	if (!err)
		return 1;
	if (err == CONN_SHORT)
		lua_rawgeti(L, LUA_REGISTRYINDEX, word_timeout);
	else
		lua_pushstring(L, err);
	return 2;
}

void lua_conn_incoming(struct conn *c, const char *bytes, size_t n, const char *err)
{
	struct lua_conn *lc = lua_conn_of(c);
	lua_State *L = lua_handle_state();

	if (err && !lua_conn_hears_end(c))
		err = NULL;
	if (lua_push_callback(L, &lc->h, CB_INCOMING, n))
		lua_conn_call(L, lc, CB_INCOMING, push_input(L, c, bytes, n, err), 0);
	else if (!lua_host_room(n))
		conn_fail(c, "out of memory");
}

struct lines {
	struct lua_conn *lc;
	struct conn_lines *in;
	bool no_room;
};

/* Under lua_host_call: a callback for each line, until one is over its time. */
static int l_lines(lua_State *L)
{
	struct lines *lines = lua_touserdata(L, 1);
	struct lua_handle *h = &lines->lc->h;
	unsigned changes = lua_callback_changes - 1;
	const char *line;
	size_t n;

	lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin);
	lua_handle_checked = h;
	while (guard_again() && conn_next_line(lines->in, &line, &n)) {
		if (!lua_host_room(n)) {
			lines->no_room = true;
			return 0;
		}
		if (!lua_handle_has(h, CB_INCOMING))
			continue;
		if (changes != lua_callback_changes) {
			changes = lua_callback_changes;
			lua_settop(L, 2);
			lua_push_callback_function(L, h, CB_INCOMING); /* lines handle fn */
		}
		lua_pushvalue(L, 3);
		lua_pushvalue(L, 2);
		lua_pushlstring(L, line, n);
		lua_call(L, 2, 0); /* under lua_host_call */
	}
	return 0;
}

/* All lines of a read in one protected call: one for each cost 400 of the 2,000 instructions
 * of a line (contrib/bench/dispatch.c). An error ends it and costs its own line only: the next
 * call goes on behind it. */
void lua_conn_lines(struct conn *c, struct conn_lines *in)
{
	struct lines lines = {lua_conn_of(c), in, false};
	lua_State *L = lua_handle_state();
	size_t before;

	lua_handle_near(L, &lines.lc->h);
	do {
		before = in->done;
		if (!lua_host_room(0)) {
			conn_fail(c, "out of memory");
			break;
		}
		lua_host_push_handler(L);
		lua_pushcfunction(L, l_lines);
		lua_pushlightuserdata(L, &lines); /* in the place of the handle */
		lua_conn_call(L, lines.lc, CB_INCOMING, 0, 0);
		if (lines.no_room)
			conn_fail(c, "out of memory");
	} while (in->done > before && in->done < in->n && c->lines && c->state == CONN_OPEN);
	lua_handle_far(L);
}

/* ---- the reads of a turn ---- */

/* Whose function stands at 2: to push that costs 40 instructions less than to look it up. */
struct last_function {
	const struct lua_listeners *of; /* NULL: nobody's */
	unsigned changes;
};

static void push_incoming(lua_State *L, struct lua_handle *h, struct last_function *last)
{
	bool own = h->overrides & (1u << CB_INCOMING);

	if (last->of == h->listeners && last->changes == lua_callback_changes && !own) {
		lua_pushvalue(L, 2);
		return;
	}
	lua_push_callback_function(L, h, CB_INCOMING);
	if (own)
		return;
	*last = (struct last_function){h->listeners, lua_callback_changes};
	lua_copy(L, -1, 2);
}

/* Under lua_host_call_each: their callbacks, until one raises. */
static int l_reads(lua_State *L)
{
	struct conn_reads *reads = lua_touserdata(L, 1);
	struct last_function last = {NULL, 0};

	lua_settop(L, 2);
	while (conn_next_read(reads)) {
		struct lua_handle *h = &lua_conn_of(reads->conn)->h;
		lua_State *previous;
		int nargs;

		if (!lua_handle_has(h, CB_INCOMING) || h->pin == LUA_NOREF)
			continue;
		if (!lua_host_room(reads->n)) {
			conn_fail(reads->conn, "out of memory");
			continue;
		}
		previous = guard_enter(L);
		push_incoming(L, h, &last);
		lua_rawgeti(L, LUA_REGISTRYINDEX, h->pin);
		lua_handle_checked = h;
		nargs = 1 + push_input(L, reads->conn, reads->bytes, reads->n, reads->err);
		lua_call(L, nargs, 0); /* under lua_host_call_each */
		guard_leave(L, previous);
	}
	return 0;
}

/* One protected call for all of them: one for each cost 230 of the 2,000 instructions of a read
 * (contrib/bench/dispatch.c). An error ends it and is that of the connection whose turn it was: the
 * next call goes on behind it. */
void lua_conn_reads(struct conn_reads *reads)
{
	lua_State *L = lua_handle_state(), *caller = lua_handle_enter(NULL);
	const char *callback = guard_callback(lua_callback_name(CB_INCOMING));

	while (!lua_host_call_each(L, l_reads, reads)) {
		lua_handle_enter(NULL);
		/* nothing but a callback raises: what conn_next_read calls is protected itself */
		lua_conn_failed(L, lua_conn_of(reads->conn), CB_INCOMING);
	}
	guard_callback(callback);
	lua_handle_enter(caller);
}
