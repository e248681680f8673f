/* host.lock: a file with an exclusive flock and a short text that says whose it is. The kernel lets
 * the lock go with the process, so a holder that was killed never has to be judged. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { TEXT_MAX = 64 };

int luaopen_host_lock(lua_State *L);

static int push_error(lua_State *L, int error)
{
	luaL_pushfail(L);
	lua_pushstring(L, error == EWOULDBLOCK ? "held" : strerror(error));
	lua_pushinteger(L, error);
	return 3;
}

/* take(path, text) -> fd, which holds the lock until it is released; nil, "held"; nil, why, errno.
 * Never waits. */
static int l_take(lua_State *L)
{
	size_t n;
	const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &n);
	int fd;

	luaL_argcheck(L, n <= TEXT_MAX, 2, "longer than 64 bytes");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return push_error(L, errno);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || ftruncate(fd, 0) < 0 ||
	    pwrite(fd, text, n, 0) != (ssize_t)n) {
		int error = errno;

		fd_close(&fd);
		return push_error(L, error);
	}
	lua_pushinteger(L, fd);
	return 1;
}

/* release(fd): at once, also if a child that is about to exec has a copy. The text stays. */
static int l_release(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);

	(void)flock(fd, LOCK_UN);
	fd_close(&fd);
	return 0;
}

/* holder(path) -> text of who holds it; nil, "free"; nil, why, errno */
static int l_holder(lua_State *L)
{
	int fd = open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[TEXT_MAX];
	ssize_t n;
	bool free;

	if (fd < 0)
		return push_error(L, errno);
	/* shared: two who look at one time do not see each other */
	free = flock(fd, LOCK_SH | LOCK_NB) == 0;
	n = pread(fd, text, sizeof text, 0);
	fd_close(&fd);
	if (free) {
		luaL_pushfail(L);
		lua_pushliteral(L, "free");
		return 2;
	}
	lua_pushlstring(L, text, n > 0 ? (size_t)n : 0);
	return 1;
}

int luaopen_host_lock(lua_State *L)
{
	static const luaL_Reg functions[] = {
	    {"take", l_take}, {"release", l_release}, {"holder", l_holder}, {NULL, NULL}};

	luaL_newlib(L, functions);
	return 1;
}
