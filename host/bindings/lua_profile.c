/* host.profile: which Lua functions the CPU time of this process goes to.
 *
 * A timer of the kernel that counts the process's CPU time ticks while a profile runs, and only
 * then: nothing of this costs anything when it is off. The tick sets a hook on the coroutine that
 * runs; at its next instruction, or when the C function that it is in returns, the hook writes
 * down the stack. A C function that runs over several ticks gets them all. Ticks that meet no Lua
 * code (the kernel, libev, OpenSSL) are counted as outside. */
#include "bindings/lua_guard.h"
#include "bindings/lua_open.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 16384, STACKS_MAX = 8192, TEXT_MAX = 4096, FRAME_MAX = 160, DEPTH_MAX = 96 };

struct stack {
	char *text; /* outermost;…;innermost, owned */
	uint64_t count;
};

/* What the signal handler touches is volatile. */
static struct {
	volatile sig_atomic_t on;
	volatile sig_atomic_t due; /* ticks that wait for the hook */
	volatile sig_atomic_t outside;
	timer_t timer;
	bool have_timer;
	struct stack *stacks; /* SLOTS; by the hash of the text, then the next free one */
	size_t used;
	uint64_t lost; /* samples without a place: too many stacks, no memory */
	int names;     /* registry ref: function → name, for C functions */
} profile = {.names = LUA_NOREF};

/* ---- a stack as text ---- */

static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static void count(const char *text, uint64_t n)
{
	uint32_t at = hash(text) % SLOTS;

	while (profile.stacks[at].text && strcmp(profile.stacks[at].text, text) != 0)
		at = (at + 1) % SLOTS;
	if (!profile.stacks[at].text) {
		if (profile.used >= STACKS_MAX || !(profile.stacks[at].text = strdup(text))) {
			profile.lost += n;
			return;
		}
		profile.used++;
	}
	profile.stacks[at].count += n;
}

/* The part of a file's name that tells it from others: from modules/ on, or its last two words. */
static const char *file_of(const char *source)
{
	const char *p = source + (*source == '@' || *source == '='), *from = strstr(p, "/modules/");

	if (from)
		return from + 1;
	if (*p != '/')
		return p;
	for (const char *s = p; (s = strchr(s, '/')); s++) {
		if (!strchr(s + 1, '/'))
			break;
		p = s + 1;
	}
	return p;
}

/* The name that the library of a C function has for it ("string.rep"), or how it was called; ""
 * if nobody calls it by a name: the end of a buffer's memory, for one. */
static void name_c_function(lua_State *L, lua_Debug *ar, char *out)
{
	const char *name;

	lua_getinfo(L, "f", ar);
	lua_rawgeti(L, LUA_REGISTRYINDEX, profile.names);
	lua_insert(L, -2);
	lua_rawget(L, -2); /* names name */
	name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : ar->name;
	*out = '\0';
	if (name)
		snprintf(out, FRAME_MAX, "[C] %s", name);
	lua_pop(L, 2);
}

static void name_lua_function(const lua_Debug *ar, char *out)
{
	const char *name = ar->name ? ar->name : ar->istailcall ? "(tail call)" : "function";

	if (*ar->what == 'm')
		snprintf(out, FRAME_MAX, "main %.100s", file_of(ar->source));
	else
		snprintf(
		    out, FRAME_MAX, "%.50s %.90s:%d", name, file_of(ar->source), ar->linedefined);
}

static void name_frame(lua_State *L, lua_Debug *ar, char *out)
{
	lua_getinfo(L, "Snt", ar);
	if (*ar->what == 'C')
		name_c_function(L, ar, out);
	else
		name_lua_function(ar, out);
	for (char *p = out; *p; p++) /* what separates stacks and frames in the output */
		if (*p == ';' || (unsigned char)*p < ' ')
			*p = ' ';
}

/* Writes frames from the outermost on; of a stack that is too deep the outer end is left out. */
static void write_stack(lua_State *L, char *text)
{
	const char *what = guard_what();
	lua_Debug ar;
	char frame[FRAME_MAX];
	int depth = 0;
	size_t n = 0;

	*text = '\0';
	while (depth < DEPTH_MAX && lua_getstack(L, depth, &ar))
		depth++;
	if (what)
		n = (size_t)snprintf(text, FRAME_MAX, "%s", what);
	while (depth-- > 0 && n + FRAME_MAX + 2 < TEXT_MAX && lua_getstack(L, depth, &ar)) {
		name_frame(L, &ar, frame);
		if (*frame)
			n += (size_t)snprintf(text + n, TEXT_MAX - n, "%s%s", n ? ";" : "", frame);
	}
}

/* ---- sampling ---- */

static void sample_hook(lua_State *L, lua_Debug *ar)
{
	char text[TEXT_MAX];
	sig_atomic_t n = profile.due;

	(void)ar;
	if (lua_gethook(L) == sample_hook) /* else a time limit came first */
		lua_sethook(L, NULL, 0, 0);
	profile.due = 0;
	if (!profile.on || n <= 0 || !lua_checkstack(L, 4))
		return;
	write_stack(L, text);
	count(text, (uint64_t)n);
}

/* Runs in signal context: flags, timer_getoverrun and lua_sethook, which are made for this. */
static void on_tick(int signo)
{
	lua_State *L = guard_running();
	int saved = errno, n = 1 + timer_getoverrun(profile.timer);
	lua_Hook hook;

	(void)signo;
	errno = saved;
	if (!L) {
		profile.outside += n + profile.due;
		profile.due = 0;
		return;
	}
	profile.due += n;
	hook = lua_gethook(L);
	if (!hook && !guard_hooks()) /* never instead of a time limit, or of a module's own hook */
		lua_sethook(L, sample_hook, LUA_MASKCOUNT | LUA_MASKRET, 1);
}

static int start_timer(double period)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	struct itimerspec t = {0};
	sigset_t set;

	sigaction(SIGRTMIN + 1, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &profile.timer) < 0)
		return -1;
	profile.have_timer = true;
	t.it_value.tv_nsec = t.it_interval.tv_nsec = (long)(period * 1e9);
	return timer_settime(profile.timer, 0, &t, NULL);
}

static void stop_timer(void)
{
	profile.on = 0;
	if (profile.have_timer)
		timer_delete(profile.timer);
	profile.have_timer = false;
}

static void forget(lua_State *L)
{
	for (size_t i = 0; profile.stacks && i < SLOTS; i++)
		free(profile.stacks[i].text);
	free(profile.stacks);
	profile.stacks = NULL;
	luaL_unref(L, LUA_REGISTRYINDEX, profile.names);
	profile.names = LUA_NOREF;
}

/* ---- host.profile ---- */

/* start(period, names): a sample each `period` seconds (0.001 to 0.5) of CPU time; names: C
 * function → name. true; nil and why. */
static int l_start(lua_State *L)
{
	double period = luaL_checknumber(L, 1);

	luaL_argcheck(L, period >= 0.001 && period <= 0.5, 1, "0.001 to 0.5 seconds");
	luaL_checktype(L, 2, LUA_TTABLE);
	if (profile.stacks) {
		lua_pushnil(L);
		lua_pushliteral(L, "a profile is being taken");
		return 2;
	}
	lua_settop(L, 2);
	profile.names = luaL_ref(L, LUA_REGISTRYINDEX);
	profile.due = profile.outside = 0;
	profile.used = 0;
	profile.lost = 0;
	profile.stacks = calloc(SLOTS, sizeof *profile.stacks);
	if (!profile.stacks || start_timer(period) < 0) {
		int error = errno;

		stop_timer();
		forget(L);
		lua_pushnil(L);
		lua_pushstring(L, strerror(error));
		return 2;
	}
	profile.on = 1;
	lua_pushboolean(L, 1);
	return 1;
}

/* stop(): { stack as text → samples }, samples outside of Lua, samples without a place; nothing if
 * none is being taken. */
static int l_stop(lua_State *L)
{
	if (!profile.stacks)
		return 0;
	stop_timer();
	lua_createtable(L, 0, (int)profile.used);
	for (size_t i = 0; i < SLOTS; i++) {
		if (!profile.stacks[i].text)
			continue;
		lua_pushinteger(L, (lua_Integer)profile.stacks[i].count);
		lua_setfield(L, -2, profile.stacks[i].text);
	}
	lua_pushinteger(L, profile.outside + profile.due);
	lua_pushinteger(L, (lua_Integer)profile.lost);
	forget(L);
	return 3;
}

int luaopen_host_profile(lua_State *L);

int luaopen_host_profile(lua_State *L)
{
	static const luaL_Reg functions[] = {{"start", l_start}, {"stop", l_stop}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
