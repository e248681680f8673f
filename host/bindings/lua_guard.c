#include "bindings/lua_guard.h"

#include "base/log.h"
#include "bindings/lua_host.h"

#include <lauxlib.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Who catches the error has so many instructions to tell of it and to tidy up; after so many
 * raises none: a loop around pcall. */
enum { EXPIRED_ROOM = 100000, EXPIRED_PATIENCE = 16 };

struct guard_call guard_call;

/* What the signal handler reads and writes is volatile or set before the timer runs. */
static struct {
	sig_atomic_t seen; /* serial at the last tick */
	int ticks;         /* how often in a row */
	int slow_ticks, timeout_ticks;
	double slow, timeout, every;   /* s, 0: none; the last: see guard_between */
	double period;                 /* of the timer (s), 0: it is not needed */
	volatile sig_atomic_t ticking; /* the timer runs */
	void (*between)(void);         /* see guard_between */
	timer_t timer;
	bool have_timer;
	timer_t own_timer; /* of host.guard.within */
	bool have_own_timer;
	volatile sig_atomic_t within; /* such a call runs */
	double own;                   /* its seconds, 0: none runs */
	volatile sig_atomic_t own_over;
	char trace[2048];
	int on_slow; /* registry ref */
} guard = {.on_slow = LUA_NOREF};

static struct timespec to_timespec(double seconds)
{
	return (struct timespec){.tv_sec = (time_t)seconds,
	    .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
}

static void set_timer(double seconds)
{
	struct itimerspec t = {.it_value = to_timespec(seconds)};

	t.it_interval = t.it_value;
	timer_settime(guard.timer, 0, &t, NULL);
}

static void expired_hook(lua_State *L, lua_Debug *ar);

static void keep_armed(lua_State *L)
{
	lua_sethook(L, expired_hook, LUA_MASKCOUNT,
	    guard_call.expired < EXPIRED_PATIENCE ? EXPIRED_ROOM : 1);
}

static void expired_hook(lua_State *L, lua_Debug *ar)
{
	if (!guard_call.expired) { /* left over on a coroutine that yielded at the last moment */
		lua_sethook(L, NULL, 0, 0);
		return;
	}
	if (guard_call.expired < EXPIRED_PATIENCE)
		guard_call.expired++;
	keep_armed(L);
	lua_getinfo(L, "Sl", ar);
	if (guard.own_over)
		lua_pushfstring(L, "%s:%d: it took longer than its timeout (%f s)", ar->short_src,
		    ar->currentline, guard.own);
	else
		lua_pushfstring(L, "%s:%d: callback took longer than callback_timeout (%f s)",
		    ar->short_src, ar->currentline, guard.timeout);
	lua_error(L);
}

static void slow_hook(lua_State *L, lua_Debug *ar)
{
	const char *text;

	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	if (!guard_call.slow || guard.trace[0] || !lua_checkstack(L, 8))
		return;
	luaL_traceback(L, L, NULL, 0);
	text = lua_tostring(L, -1);
	strncpy(guard.trace, text ? text : "?", sizeof guard.trace - 1);
	lua_pop(L, 1);
}

/* Runs in signal context: only flags, lua_sethook (made for this) and timer_settime. */
static void on_tick(int signo)
{
	(void)signo;
	if (guard_call.depth == 0) {
		guard.ticking = 0;
		guard_call.wake = guard.period > 0;
		set_timer(0);
		return;
	}
	if (guard.seen != guard_call.serial) {
		guard.seen = guard_call.serial;
		guard.ticks = 0;
		guard_call.wake = 1;
		return;
	}
	guard.ticks++;
	if (guard.timeout_ticks && guard.ticks >= guard.timeout_ticks) {
		guard_call.expired = guard_call.expired ? guard_call.expired : 1;
		lua_sethook(guard_call.current, expired_hook, LUA_MASKCOUNT, 1);
	} else if (guard.slow_ticks && guard.ticks >= guard.slow_ticks && !guard_call.slow) {
		guard_call.slow = 1;
		lua_sethook(guard_call.current, slow_hook, LUA_MASKCOUNT, 1);
	}
}

static void on_timer(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_value.sival_ptr != &guard.own_timer) {
		on_tick(signo);
	} else if (guard.within && !guard_call.expired) {
		guard.own_over = 1;
		guard_call.expired = 1;
		lua_sethook(guard_call.current, expired_hook, LUA_MASKCOUNT, 1);
	}
}

static bool make_timer(timer_t *timer)
{
	struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_RESTART | SA_SIGINFO};
	struct sigevent ev = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = timer};
	sigset_t set;

	sigaction(SIGRTMIN, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return timer_create(CLOCK_MONOTONIC, &ev, timer) == 0;
}

/* So many ticks that no callback is judged before its time. */
static int ticks_of(double seconds)
{
	return seconds > 0 ? (int)ceil(seconds / guard.period - 0.01) : 0;
}

static void choose_period(void)
{
	const double wanted[] = {guard.slow, guard.timeout, guard.every};
	double least = 0;

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (wanted[i] > 0 && (least <= 0 || wanted[i] < least))
			least = wanted[i];
	guard.period = fmin(least / 2, 1);
	if (least <= 0) {
		guard_call.wake = 0;
		return;
	}
	guard.slow_ticks = ticks_of(guard.slow);
	guard.timeout_ticks = ticks_of(guard.timeout);
	if (!guard.have_timer)
		guard.have_timer = make_timer(&guard.timer);
	guard.ticking = 0; /* in another period */
	guard_call.wake = guard.have_timer;
}

void guard_limits(double slow, double timeout)
{
	guard.slow = fmax(slow, 0);
	guard.timeout = fmax(timeout, 0);
	choose_period();
}

void guard_between(void (*fn)(void), double every)
{
	guard.between = fn;
	guard.every = every;
	choose_period();
}

void guard_label(const char *label)
{
	guard_call.label = label;
}

bool guard_is_idle(void)
{
	return !guard_call.current;
}

lua_State *guard_running(void)
{
	return guard_call.current;
}

bool guard_hooks(void)
{
	return guard_call.expired || (guard_call.slow && !guard.trace[0]);
}

const char *guard_what(void)
{
	return guard_call.label;
}

void guard_wake(void)
{
	guard_call.wake = 0;
	if (!guard.ticking) {
		guard.ticking = 1;
		set_timer(guard.period);
	}
	if (guard.between)
		guard.between();
}

static void report_slow(lua_State *L)
{
	double seconds = (guard.ticks + 1) * guard.period;
	const char *named = guard_call.label ? guard_call.label : guard_call.callback;
	const char *label = named ? named : "callback";

	guard_call.slow = 0;
	if (!guard.trace[0]) /* no instruction of Lua has run since it was seen */
		strcpy(guard.trace, "in C code, until its end");
	if (guard.on_slow == LUA_NOREF) {
		log_warn("%s took about %.2f s; it was here: %s", label, seconds, guard.trace);
	} else if (lua_checkstack(L, 8)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, guard.on_slow);
		lua_pushnumber(L, seconds);
		lua_pushstring(L, guard.trace);
		lua_pushstring(L, label); /* .. fn seconds trace label */
		lua_host_call_logged(L, 3, 0, "in the slow-callback handler");
	}
	guard.trace[0] = '\0';
}

void guard_end(lua_State *L)
{
	if (guard_call.expired) {
		guard_call.expired = 0;
		lua_sethook(L, NULL, 0, 0);
	}
	if (guard_call.slow)
		report_slow(L);
	guard_call.label = NULL;
}

/* ---- coroutines ---- */

int guard_resume(lua_State *L, lua_State *co, int n)
{
	lua_State *previous = guard_call.current;
	int status, count = 0;

	if (!lua_checkstack(co, n)) {
		lua_pushliteral(L, "too many arguments to resume");
		return -1;
	}
	lua_xmove(L, co, n);
	guard_call.current = co;
	status = lua_resume(co, L, n, &count);
	guard_call.current = previous;
	if (guard_call.expired && previous)
		keep_armed(previous); /* or a loop around many coroutines would outlive them all */
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	if (!lua_checkstack(L, count + 1)) {
		lua_pop(co, count);
		lua_pushliteral(L, "too many results to resume");
		return -1;
	}
	lua_xmove(co, L, count);
	return count;
}

static lua_State *check_thread(lua_State *L, int index)
{
	lua_State *co = lua_tothread(L, index);

	luaL_argexpected(L, co, index, "coroutine");
	return co;
}

static int l_resume(lua_State *L)
{
	lua_State *co = check_thread(L, 1);
	int n = guard_resume(L, co, lua_gettop(L) - 1);

	lua_pushboolean(L, n >= 0);
	lua_insert(L, n >= 0 ? -(n + 1) : -2);
	return n >= 0 ? n + 1 : 2;
}

static int l_wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int status, n = guard_resume(L, co, lua_gettop(L));

	if (n >= 0)
		return n;
	status = lua_status(co);
	if (status != LUA_OK && status != LUA_YIELD) { /* it died: close what it left pending */
		lua_resetthread(co);
		lua_settop(co, 0);
	}
	if (lua_type(L, -1) == LUA_TSTRING) { /* say where it was called, as Lua's own wrap does */
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int l_wrap(lua_State *L)
{
	lua_State *co;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, l_wrapped, 1);
	return 1;
}

static bool is_closable(lua_State *L, lua_State *co)
{
	lua_Debug ar;

	return co != L && (lua_status(co) != LUA_OK || !lua_getstack(co, 0, &ar));
}

/* Each close inside a __close of another takes C stack that Lua 5.4.4 does not count. */
static int l_close(lua_State *L)
{
	enum { DEEPEST = 100 };
	static int depth;
	lua_State *co = check_thread(L, 1);
	int status;

	if (!is_closable(L, co))
		return luaL_error(L, "cannot close a coroutine that runs");
	if (depth >= DEEPEST)
		return luaL_error(L, "C stack overflow (coroutine.close in coroutine.close)");
	depth++;
	status = lua_resetthread(co);
	depth--;
	lua_pushboolean(L, status == LUA_OK);
	if (status == LUA_OK)
		return 1;
	lua_xmove(co, L, 1);
	return 2;
}

void guard_track_coroutines(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"resume", l_resume}, {"wrap", l_wrap}, {"close", l_close}, {NULL, NULL}};

	lua_getglobal(L, "coroutine");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}

/* ---- host.guard ---- */

static int l_call(lua_State *L)
{
	luaL_checkany(L, 1);
	if (!lua_host_call(L, lua_gettop(L) - 1, LUA_MULTRET)) {
		lua_pushnil(L);
		lua_insert(L, -2); /* nil message */
		return 2;
	}
	lua_pushboolean(L, 1);
	lua_insert(L, 1);
	return lua_gettop(L);
}

static void begin_within(double seconds)
{
	struct itimerspec t = {.it_value = to_timespec(seconds > 1e-6 ? seconds : 1e-6)};

	guard.own = seconds;
	guard.within = 1;
	timer_settime(guard.own_timer, 0, &t, NULL);
}

/* The rest of the callback has the time of callbacks again. */
static void end_within(lua_State *L)
{
	struct itimerspec t = {0};

	timer_settime(guard.own_timer, 0, &t, NULL);
	guard.within = 0;
	guard.own = 0;
	if (guard.own_over) {
		guard.own_over = 0;
		guard_call.expired = 0;
		lua_sethook(L, NULL, 0, 0);
	}
}

static int l_within(lua_State *L)
{
	double seconds = luaL_checknumber(L, 1);
	bool ok, limited = !guard.within && seconds < 1e6;

	luaL_checkany(L, 2);
	if (limited && !guard.have_own_timer)
		guard.have_own_timer = make_timer(&guard.own_timer);
	limited = limited && guard.have_own_timer;
	if (limited)
		begin_within(seconds);
	ok = lua_host_call(L, lua_gettop(L) - 2, LUA_MULTRET); /* seconds .. results */
	if (limited)
		end_within(L);
	if (!ok) {
		lua_pushnil(L);
		lua_insert(L, -2); /* seconds nil message */
		return 2;
	}
	lua_pushboolean(L, 1);
	lua_replace(L, 1); /* true .. results */
	return lua_gettop(L);
}

static double field_seconds(lua_State *L, const char *name)
{
	double seconds;

	lua_getfield(L, 1, name);
	seconds = luaL_optnumber(L, -1, 0);
	lua_pop(L, 1);
	return seconds > 1e6 ? 0 : seconds; /* "never" is math.huge */
}

static int l_limits(lua_State *L)
{
	lua_Number memory;

	luaL_checktype(L, 1, LUA_TTABLE);
	guard_limits(field_seconds(L, "slow"), field_seconds(L, "timeout"));
	lua_getfield(L, 1, "memory");
	memory = luaL_optnumber(L, -1, -1);
	if (memory >= 0)
		lua_host_memory(memory > 1e15 ? 0 : (size_t)memory);
	return 0;
}

static int l_on_slow(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, guard.on_slow);
	guard.on_slow = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int l_label(lua_State *L)
{
	static char label[96];
	const char *text = luaL_checkstring(L, 1);

	strncpy(label, text, sizeof label - 1);
	guard_label(label);
	return 0;
}

int luaopen_host_guard(lua_State *L)
{
	static const luaL_Reg functions[] = {{"call", l_call}, {"within", l_within},
	    {"limits", l_limits}, {"on_slow", l_on_slow}, {"label", l_label}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
