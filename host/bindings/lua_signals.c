/* host.signals: signals as calls in the loop. */
#include "bindings/lua_handle.h"
#include "bindings/lua_host.h"
#include "bindings/lua_net.h"
#include "net/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <unistd.h>

static int handlers = LUA_NOREF; /* registry ref of a table: number -> function */

static void on_signal(void *data, int signo, pid_t sender)
{
	lua_State *L = lua_handle_state();

	(void)data;
	if (!lua_host_room(0))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	if (lua_rawgeti(L, -1, signo) == LUA_TNIL) {
		lua_pop(L, 2);
		return;
	}
	lua_pushinteger(L, signo);
	lua_pushinteger(L, sender);
	if (!lua_host_call(L, 2, 0)) {
		lua_handle_log_error(L, "in signal handler", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* watch(signo, fn): fn = nil takes the handler away. true, or nil, message, errno. */
static int l_watch(lua_State *L)
{
	int signo = (int)luaL_checkinteger(L, 1);
	bool on = !lua_isnoneornil(L, 2);

	if (on)
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	if (signals_open(lua_check_loop(L), on_signal, NULL) < 0 || signals_watch(signo, on) < 0)
		return lua_push_error(L, errno);
	lua_rawgeti(L, LUA_REGISTRYINDEX, handlers);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, signo);
	lua_pushboolean(L, 1);
	return 1;
}

static int result(lua_State *L, int r)
{
	if (r < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_raise(lua_State *L)
{
	return result(L, raise((int)luaL_checkinteger(L, 1)) == 0 ? 0 : -1);
}

static int l_kill(lua_State *L)
{
	return result(L, kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
}

/* open_fd(signo): a signalfd; the signal is blocked from now on. */
static int l_open_fd(lua_State *L)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	if (sigaddset(&set, (int)luaL_checkinteger(L, 1)) < 0 ||
	    sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return lua_push_error(L, errno);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return lua_push_error(L, errno);
	lua_pushinteger(L, fd);
	return 1;
}

/* read_fd(fd): number of the signal, sender; nil if none has come. */
static int l_read_fd(lua_State *L)
{
	struct signalfd_siginfo note;

	if (read((int)luaL_checkinteger(L, 1), &note, sizeof note) != (ssize_t)sizeof note) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, note.ssi_signo);
	lua_pushinteger(L, note.ssi_pid);
	return 2;
}

static void push_numbers(lua_State *L)
{
	static const struct {
		const char *name;
		int number;
	} list[] = {{"SIGHUP", SIGHUP}, {"SIGINT", SIGINT}, {"SIGQUIT", SIGQUIT},
	    {"SIGILL", SIGILL}, {"SIGTRAP", SIGTRAP}, {"SIGABRT", SIGABRT}, {"SIGBUS", SIGBUS},
	    {"SIGFPE", SIGFPE}, {"SIGKILL", SIGKILL}, {"SIGUSR1", SIGUSR1}, {"SIGSEGV", SIGSEGV},
	    {"SIGUSR2", SIGUSR2}, {"SIGPIPE", SIGPIPE}, {"SIGALRM", SIGALRM}, {"SIGTERM", SIGTERM},
	    {"SIGCHLD", SIGCHLD}, {"SIGCONT", SIGCONT}, {"SIGSTOP", SIGSTOP}, {"SIGTSTP", SIGTSTP},
	    {"SIGTTIN", SIGTTIN}, {"SIGTTOU", SIGTTOU}, {"SIGURG", SIGURG}, {"SIGXCPU", SIGXCPU},
	    {"SIGXFSZ", SIGXFSZ}, {"SIGVTALRM", SIGVTALRM}, {"SIGPROF", SIGPROF},
	    {"SIGWINCH", SIGWINCH}, {"SIGIO", SIGIO}, {"SIGPWR", SIGPWR}, {"SIGSYS", SIGSYS}};

	lua_newtable(L);
	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
		lua_pushinteger(L, list[i].number);
		lua_setfield(L, -2, list[i].name);
	}
}

static int l_gc(lua_State *L)
{
	(void)L;
	signals_close();
	return 0;
}

int luaopen_host_signals(lua_State *L)
{
	static const luaL_Reg functions[] = {{"watch", l_watch}, {"raise", l_raise},
	    {"kill", l_kill}, {"open_fd", l_open_fd}, {"read_fd", l_read_fd}, {NULL, NULL}};

	lua_push_end(L, l_gc);
	lua_newtable(L);
	handlers = luaL_ref(L, LUA_REGISTRYINDEX);
	signal(SIGPIPE, SIG_IGN);
	luaL_newlib(L, functions);
	push_numbers(L);
	lua_setfield(L, -2, "numbers");
	return 1;
}
