/* host.collector: which of Lua's two collectors runs, where the config does not say.
 *
 *	start()   from now on as the work asks for it, see below
 *	stop()    leaves collector and mode to others (an explicit `gc` of the config)
 *	mode()    "incremental", "generational"; nil while it is left to others
 *	defaults  of both modes, by the names of the option `gc`
 *
 *          much garbage in a short time,                   a rest, or
 *          and the heap is small                           the heap has grown large
 *	incremental ---------------------> generational ---------------------> incremental
 *
 * Measured with the 4 MiB of a worker under load: marking and sweeping all of it again and again
 * takes 13 % of the CPU of echo-16 and 24 % of line-16 in the incremental mode, next to nothing in
 * the generational one (line-16: 0.55 of raw libev becomes 0.71). But that one's major collections
 * stop the world: 28 ms at 24 MiB, 700 ms at 200 MiB, where the incremental mode's longest pause is
 * 50 to 90 ms. So LARGE is what a major collection may cost. To go over marks the whole heap at
 * once, 0.4 ms a MiB; SMALL keeps the two apart. More garbage a cycle instead (pause = 1000) is
 * slower: what is allocated is in no cache any more.
 *
 * Nobody looks at a clock for it: a sentinel, garbage from its birth, is finalized once in each
 * cycle, and the first cycle starts the timer that counts the others. The collector pauses behind
 * that cycle, so what the heap grows by at first is what is allocated. (30,000 newcomers a second
 * are 11 MiB of garbage, which is 1.3 cycles between two looks; marking took 5 % of their CPU.)
 *
 * When no cycle has ended for a while the rest of a cycle is done in small steps and memory goes
 * back to the system; then the timer stops, and an idle worker is not woken.
 *
 * Lua 5.4.4 (Debian 12): of the faults found later one is of the generational mode, "set correct
 * pause when (re)entering gen. collection" (fixed in 5.4.5): the first minor collection comes too
 * early or too late by what was owed in the other mode. The step after the switch settles it. */
#include "bindings/lua_collector.h"

#include "base/embedded.h"
#include "base/slab.h"
#include "bindings/lua_fields.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"

#include <lauxlib.h>
#include <malloc.h>

#define SENTINEL "collector sentinel"

/* Seconds between two looks while there is work, from the first cycle to the first of them, and
 * between two steps at rest. */
static const double look_every = 0.25, look_first = 0.05, step_every = 0.01;

enum {
	SMALL = 12 << 20, /* bytes: below it may become generational */
	LARGE = 24 << 20, /* bytes: above it does not stay generational */
	MUCH = 100 << 10, /* bytes from the first cycle to the first look: worth the switch */
	MANY = 1,         /* further cycles between two looks: worth it too */
	BACK = 2,         /* cycles at rest: more than the rest's own, work has come back */
	FEW = 1,          /* fewer minor collections between two looks: is this a rest? */
	GONE = 256,       /* connections that have closed: worth a rest, see lua_collector_beat */
	QUIET = 4,        /* looks in a row that say so end the generational mode */
	/* of the incremental mode, chosen by contrib/bench/gc.lua */
	PAUSE = 150,
	SPEED = 200,
	STEP = 13,
	/* of the generational mode: Lua's own */
	MINOR = 20,
	MAJOR = 100,
};

static struct {
	ev_timer timer;
	bool on, watched, generational, resting;
	bool first; /* the timer's first look is to come */
	unsigned cycles, quiet;
	size_t most_conns; /* open connections: the most since the last rest that they led to */
	size_t ended;      /* what Lua held at the end of the first cycle */
	size_t before;     /* what Lua held when the rest began, or at the last cycle's end in it */
	size_t rested;     /* what Lua held when the last rest was over */
} collector;

static void watch_next(lua_State *L)
{
	lua_newuserdatauv(L, 0, 0);
	luaL_setmetatable(L, SENTINEL);
	lua_pop(L, 1);
}

static void set_timer(double delay)
{
	struct ev_loop *ev = loop_main()->ev;

	if (ev_is_active(&collector.timer)) {
		ev_ref(ev);
		ev_timer_stop(ev, &collector.timer);
	}
	if (delay <= 0)
		return;
	ev_timer_set(&collector.timer, delay, delay);
	ev_timer_start(ev, &collector.timer);
	ev_unref(ev); /* nothing that a loop stays for */
}

/* A cycle has ended. Within a finalizer the collector cannot be told anything. */
static int l_cycle(lua_State *L)
{
	collector.watched = false;
	if (!collector.on)
		return 0;
	watch_next(L);
	collector.watched = true;
	collector.cycles++;
	if (!ev_is_active(&collector.timer)) {
		collector.first = true;
		collector.ended = lua_host_bytes();
		set_timer(look_first);
	}
	return 0;
}

static void go_incremental(lua_State *L)
{
	lua_gc(L, LUA_GCINC, PAUSE, SPEED, STEP);
	collector.generational = false;
}

static void go_generational(lua_State *L)
{
	lua_gc(L, LUA_GCGEN, MINOR, MAJOR);
	lua_gc(L, LUA_GCSTEP, 0); /* a minor collection, after which 5.4.4 too knows the next */
	collector.generational = true;
	collector.quiet = 0;
}

/* One step of the cycle at rest. Objects with a finalizer take two cycles to go, so there is
 * another as long as one frees something. */
static void rest(lua_State *L)
{
	size_t now;

	if (!lua_gc(L, LUA_GCSTEP, 0))
		return;
	collector.cycles = 0; /* that one was ours */
	now = lua_host_bytes();
	if (now < collector.before - collector.before / 16) {
		collector.before = now;
		return;
	}
	collector.resting = false;
	collector.rested = now;
	slab_trim();
	malloc_trim(0);
	embedded_trim();
	set_timer(0);
}

static void begin_rest(void)
{
	collector.resting = true;
	collector.before = lua_host_bytes();
	set_timer(step_every);
}

static void look(lua_State *L)
{
	unsigned cycles = collector.cycles;
	size_t used = lua_host_bytes();

	collector.cycles = 0;
	if (collector.generational) {
		collector.quiet = cycles < FEW ? collector.quiet + 1 : 0;
		if (used > LARGE || collector.quiet >= QUIET)
			go_incremental(L);
	} else if (cycles >= MANY && used < SMALL) {
		go_generational(L);
	} else if (cycles == 0) {
		begin_rest();
	}
}

static void look_at_once(lua_State *L)
{
	size_t used = lua_host_bytes();

	collector.first = false;
	collector.cycles = 0;
	set_timer(look_every);
	if (!collector.generational && used < SMALL && used > collector.ended + MUCH)
		go_generational(L);
}

static int l_look(lua_State *L)
{
	if (collector.first) {
		look_at_once(L);
		return 0;
	}
	if (collector.resting && collector.cycles < BACK) {
		rest(L);
		return 0;
	}
	if (collector.resting) { /* work has come back */
		collector.resting = false;
		set_timer(look_every);
	}
	look(L);
	return 0;
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
	struct loop *loop = loop_main();
	lua_State *L = lua_host_state();

	(void)ev;
	(void)w;
	(void)events;
	if (!L || !collector.on)
		return;
	loop_enter(loop); /* finalizers may close connections */
	lua_pushcfunction(L, l_look);
	(void)lua_host_call_logged(L, 0, 0, "while collecting garbage");
	loop_leave(loop);
}

/* What few requests leave behind is no cycle yet, and would stay for as long as nobody comes. To
 * close a connection allocates nothing: 9,000 that have gone leave 2 MiB of Lua's, and 120 MiB of
 * OpenSSL's that only malloc_trim gives back. */
void lua_collector_beat(void)
{
	size_t open = loop_main()->open_conns;

	if (open > collector.most_conns)
		collector.most_conns = open;
	if (!collector.on || ev_is_active(&collector.timer))
		return;
	if (collector.most_conns - open < GONE &&
	    lua_host_bytes() < collector.rested + collector.rested / 8)
		return;
	collector.most_conns = open;
	set_timer(look_every);
}

static int l_stop(lua_State *L)
{
	(void)L;
	collector.on = collector.generational = collector.resting = collector.first = false;
	set_timer(0);
	return 0;
}

static int l_start(lua_State *L)
{
	if (collector.on)
		return 0;
	go_incremental(L);
	collector.on = true;
	collector.cycles = 0;
	if (!collector.watched)
		watch_next(L);
	collector.watched = true;
	set_timer(look_every); /* what the start has left is the first to go */
	return 0;
}

static int l_mode(lua_State *L)
{
	if (collector.on)
		lua_pushstring(L, collector.generational ? "generational" : "incremental");
	else
		lua_pushnil(L);
	return 1;
}

int luaopen_host_collector(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"start", l_start}, {"stop", l_stop}, {"mode", l_mode}, {NULL, NULL}};

	ev_timer_init(&collector.timer, on_timer, 0, 0);
	luaL_newmetatable(L, SENTINEL);
	lua_pushcfunction(L, l_cycle);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	lua_createtable(L, 0, 5);
	lua_set_integer(L, "pause", PAUSE);
	lua_set_integer(L, "speed", SPEED);
	lua_set_integer(L, "step_size", STEP);
	lua_set_integer(L, "minor_threshold", MINOR);
	lua_set_integer(L, "major_threshold", MAJOR);
	lua_setfield(L, -2, "defaults");
	return 1;
}
