/* host.process: starting, watching, signalling and reaping children; net.process makes objects of
 * it. */
#include "base/fd.h"
#include "bindings/lua_handle.h"
#include "proc/child.h"
#include "proc/table.h" /* state_ticks */

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { WORDS_MAX = 4096, GROUPS_MAX = 64 };

/* nil, message, errno [, step] */
static int push_failure(lua_State *L, const char *step)
{
	int error = errno;

	luaL_pushfail(L);
	lua_pushstring(L, strerror(error));
	lua_pushinteger(L, error);
	lua_pushstring(L, step);
	return 4;
}

/* The strings of field `key` of the table at 1 as a NULL-terminated list; memory and strings belong
 * to the Lua stack. */
static const char *const *check_words(lua_State *L, const char *key)
{
	const char **words;
	lua_Integer n;

	lua_getfield(L, 1, key);
	luaL_argexpected(L, lua_istable(L, -1), 1, key);
	n = luaL_len(L, -1);
	luaL_argcheck(L, n <= WORDS_MAX, 1, "too many words");
	words = lua_newuserdatauv(L, sizeof *words * ((size_t)n + 1), 0);
	luaL_checkstack(L, (int)n + 16, "too many words");
	for (lua_Integer i = 0; i < n; i++) {
		size_t length;

		lua_geti(L, -2 - (int)i, i + 1); /* .. list words word… */
		words[i] = luaL_checklstring(L, -1, &length);
		luaL_argcheck(L, strlen(words[i]) == length, 1, "a zero byte in a word");
	}
	words[n] = NULL;
	return words;
}

static const char *opt_text(lua_State *L, const char *key, const char *fallback)
{
	lua_getfield(L, 1, key);
	return luaL_optstring(L, -1, fallback);
}

static void check_fds(lua_State *L, struct child_opts *o)
{
	lua_getfield(L, 1, "fds");
	luaL_argexpected(L, lua_istable(L, -1), 1, "fds");
	for (int i = 0; i < 3; i++) {
		lua_geti(L, -1, i + 1);
		o->fds[i] = (int)luaL_checkinteger(L, -1);
		lua_pop(L, 1);
	}
}

static void opt_user(lua_State *L, struct child_opts *o, gid_t groups[GROUPS_MAX])
{
	lua_getfield(L, 1, "uid");
	o->other_user = !lua_isnil(L, -1);
	if (!o->other_user)
		return;
	o->uid = (uid_t)luaL_checkinteger(L, -1);
	lua_getfield(L, 1, "gid");
	o->gid = (gid_t)luaL_checkinteger(L, -1);
	lua_getfield(L, 1, "groups");
	for (lua_Integer i = 1; lua_istable(L, -1) && o->ngroups < GROUPS_MAX; i++) {
		if (lua_geti(L, -1, i) == LUA_TNIL)
			break;
		groups[o->ngroups++] = (gid_t)luaL_checkinteger(L, -1);
		lua_pop(L, 1);
	}
	o->groups = groups;
}

/* spawn{ argv, env (list of NAME=value), path, cwd, fds (three), uid, gid, groups } -> pid, pidfd;
 * nil, message, errno, step */
static int l_spawn(lua_State *L)
{
	struct child_opts o = {0};
	gid_t groups[GROUPS_MAX];
	const char *step;
	int pidfd;
	pid_t pid;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	check_fds(L, &o);
	opt_user(L, &o, groups);
	o.path = opt_text(L, "path", "");
	o.cwd = opt_text(L, "cwd", NULL);
	o.argv = check_words(L, "argv");
	o.env = check_words(L, "env");
	luaL_argcheck(L, o.argv[0] && o.argv[0][0], 1, "argv is empty");
	if (child_spawn(&o, &pid, &pidfd, &step) < 0)
		return push_failure(L, step);
	lua_pushinteger(L, pid);
	lua_pushinteger(L, pidfd);
	return 2;
}

/* ended(pidfd, reap) -> "exited" | "killed", status or signal; false while it lives; nil, message,
 * errno (ECHILD: not our child) */
static int l_ended(lua_State *L)
{
	int status, ended;
	bool signalled;

	ended = child_ended((int)luaL_checkinteger(L, 1), lua_toboolean(L, 2), &status, &signalled);
	if (ended < 0)
		return lua_push_error(L, errno);
	if (ended == 0) {
		lua_pushboolean(L, 0);
		return 1;
	}
	lua_pushstring(L, signalled ? "killed" : "exited");
	lua_pushinteger(L, status);
	return 2;
}

/* kill(pidfd, signo [, pid]): with the pid of an unreaped child of ours its whole group */
static int l_kill(lua_State *L)
{
	int pidfd = (int)luaL_checkinteger(L, 1), signo = (int)luaL_checkinteger(L, 2);

	if (child_kill(pidfd, (pid_t)luaL_optinteger(L, 3, 0), signo) < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

/* Those asked for, at 1: group -> true. The value exists, so setting it needs no memory. */
static void mark_group(void *data, pid_t group)
{
	lua_State *L = data;

	if (lua_rawgeti(L, 1, group) != LUA_TNIL) {
		lua_pushboolean(L, 1);
		lua_rawseti(L, 1, group);
	}
	lua_pop(L, 1);
}

/* mark_groups(groups): the values of those that have a member that has not ended become true */
static int l_mark_groups(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	child_groups(mark_group, L);
	return 1;
}

/* started(pid): start time in clock ticks since boot; nil when there is no such process */
static int l_started(lua_State *L)
{
	unsigned long long ticks = state_ticks((pid_t)luaL_checkinteger(L, 1));

	if (ticks)
		lua_pushinteger(L, (lua_Integer)ticks);
	else
		luaL_pushfail(L);
	return 1;
}

/* pipe() -> end to read, end to write */
static int l_pipe(lua_State *L)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return lua_push_error(L, errno);
	lua_pushinteger(L, fds[0]);
	lua_pushinteger(L, fds[1]);
	return 2;
}

/* open(path, output) -> fd: to read from; or made if need be and written to at its end */
static int l_open(lua_State *L)
{
	int flags = lua_toboolean(L, 2) ? O_WRONLY | O_APPEND | O_CREAT : O_RDONLY;
	int fd = open(luaL_checkstring(L, 1), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	/* O_NONBLOCK for the open alone: of a FIFO that nobody has opened, for one */
	if (fd < 0 || fcntl(fd, F_SETFL, flags & O_APPEND) < 0) {
		int error = errno;

		fd_close(&fd);
		return lua_push_error(L, error);
	}
	lua_pushinteger(L, fd);
	return 1;
}

/* inherit_nothing(): what is open from 3 on closes at an exec, whoever opened it (io.open and
 * io.popen do not see to that) */
static int l_inherit_nothing(lua_State *L)
{
	(void)L;
	(void)syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* outlives(fd): whether a descriptor is of use without us: a file, a Unix socket or /dev/null */
static int l_outlives(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1), domain = -1;
	socklen_t size = sizeof domain;
	struct stat st;
	bool yes = false;

	if (fstat(fd, &st) < 0)
		return lua_push_error(L, errno);
	if (S_ISSOCK(st.st_mode))
		yes =
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
	else
		yes = S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	lua_pushboolean(L, yes);
	return 1;
}

int luaopen_host_process(lua_State *L);

int luaopen_host_process(lua_State *L)
{
	static const luaL_Reg functions[] = {{"spawn", l_spawn}, {"ended", l_ended},
	    {"kill", l_kill}, {"mark_groups", l_mark_groups}, {"started", l_started},
	    {"pipe", l_pipe}, {"open", l_open}, {"outlives", l_outlives},
	    {"inherit_nothing", l_inherit_nothing}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
