/* host.sys, the part about files by their path, and what a start asks the system. It is here, and
 * not luaposix's, because each part of luaposix is a shared object of its own: to look for it, map
 * and link it takes 0.4 to 0.7 ms (with libcrypt behind posix.unistd 1.6), and a start used 15. */
#include "bindings/lua_sys_files.h"

#include "bindings/lua_fields.h"
#include "bindings/lua_handle.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

/* By the four bits of S_IFMT. */
static const char *const file_types[16] = {[S_IFREG >> 12] = "file",
    [S_IFDIR >> 12] = "directory",
    [S_IFSOCK >> 12] = "socket",
    [S_IFIFO >> 12] = "fifo",
    [S_IFCHR >> 12] = "character device",
    [S_IFBLK >> 12] = "block device"};

static int push_stat(lua_State *L, const struct stat *st)
{
	lua_createtable(L, 0, 9);
	lua_set_integer(L, "dev", (lua_Integer)st->st_dev);
	lua_set_integer(L, "ino", (lua_Integer)st->st_ino);
	lua_set_integer(L, "mode", st->st_mode & 07777);
	lua_set_integer(L, "uid", st->st_uid);
	lua_set_integer(L, "gid", st->st_gid);
	lua_set_integer(L, "size", st->st_size);
	lua_set_integer(L, "mtime", st->st_mtime);
	lua_set_integer(
	    L, "ctime_ns", (lua_Integer)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec);
	lua_set_string(L, "type", file_types[(st->st_mode & S_IFMT) >> 12]);
	return 1;
}

static int push_result(lua_State *L, int rc)
{
	if (rc < 0)
		return lua_push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_sys_stat_fd(lua_State *L)
{
	struct stat st;

	if (fstat((int)luaL_checkinteger(L, 1), &st) < 0)
		return lua_push_error(L, errno);
	return push_stat(L, &st);
}

static int l_sys_stat(lua_State *L)
{
	struct stat st;

	if (stat(luaL_checkstring(L, 1), &st) < 0)
		return lua_push_error(L, errno);
	return push_stat(L, &st);
}

static int l_sys_mkdir(lua_State *L)
{
	return push_result(L, mkdir(luaL_checkstring(L, 1), (mode_t)luaL_checkinteger(L, 2)));
}

static int l_sys_chmod(lua_State *L)
{
	return push_result(L, chmod(luaL_checkstring(L, 1), (mode_t)luaL_checkinteger(L, 2)));
}

static int l_sys_cwd(lua_State *L)
{
	char path[PATH_MAX];

	if (!getcwd(path, sizeof path))
		return lua_push_error(L, errno);
	lua_pushstring(L, path);
	return 1;
}

static int l_sys_hostname(lua_State *L)
{
	struct utsname u;

	if (uname(&u) < 0)
		return lua_push_error(L, errno);
	lua_pushstring(L, u.nodename);
	return 1;
}

static int l_sys_file_limit(lua_State *L)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return lua_push_error(L, errno);
	if (limit.rlim_cur == RLIM_INFINITY)
		return 0;
	lua_pushinteger(L, (lua_Integer)limit.rlim_cur);
	return 1;
}

/* forget_environment(prefix): unsets every variable whose name begins so. */
static int l_sys_forget_environment(lua_State *L)
{
	const char *prefix = luaL_checkstring(L, 1);
	size_t length = strlen(prefix);
	char name[256];

	for (char **e = environ; *e;) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, prefix, length) != 0 || n == 0 || n >= sizeof name) {
			e++;
			continue;
		}
		memcpy(name, *e, n);
		name[n] = '\0';
		if (unsetenv(name) < 0) /* else the next one is here now */
			return lua_push_error(L, errno);
	}
	return 0;
}

void lua_add_sys_files(lua_State *L)
{
	static const luaL_Reg functions[] = {{"stat", l_sys_stat}, {"stat_fd", l_sys_stat_fd},
	    {"mkdir", l_sys_mkdir}, {"chmod", l_sys_chmod}, {"cwd", l_sys_cwd},
	    {"hostname", l_sys_hostname}, {"file_limit", l_sys_file_limit},
	    {"forget_environment", l_sys_forget_environment}, {NULL, NULL}};

	luaL_setfuncs(L, functions, 0);
	lua_set_integer(L, "EACCES", EACCES);
	lua_set_integer(L, "EAGAIN", EAGAIN);
	lua_set_integer(L, "ECONNRESET", ECONNRESET);
	lua_set_integer(L, "EINTR", EINTR);
	lua_set_integer(L, "ENOENT", ENOENT);
	lua_set_integer(L, "ESRCH", ESRCH);
}
