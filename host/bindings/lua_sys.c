/* host.sys: what luaposix has not, or what must work when luaposix does not load: the control
 * commands (`gadwall stop`) stand on this table alone. Everything here is synchronous. */
#include "base/clock.h"
#include "base/fd.h"
#include "bindings/lua_fields.h"
#include "bindings/lua_sys_files.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <poll.h>
#include <sha2.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	READ_CHUNK = 65536,
	READFD_MAX = 64 * 1024 * 1024, /* a bundle or a state file is never larger */
	WAIT_MAX = 64,
	GROUPS_MAX = 1024,
};

int luaopen_host_sys(lua_State *L);

/* nil, message as LuaSocket writes it (lower-case first letter), errno. */
static int push_error(lua_State *L, int err)
{
	char text[128];
	const char *s = strerror_r(err, text, sizeof(text));
	char first[2] = {(char)(s[0] >= 'A' && s[0] <= 'Z' ? s[0] + ('a' - 'A') : s[0]), 0};

	luaL_pushfail(L);
	lua_pushfstring(L, "%s%s", first, s[0] ? s + 1 : "");
	lua_pushinteger(L, err);
	return 3;
}

static int push_result(lua_State *L, int rc)
{
	if (rc < 0)
		return push_error(L, errno);
	lua_pushboolean(L, 1);
	return 1;
}

static int push_fd(lua_State *L, int fd)
{
	if (fd < 0)
		return push_error(L, errno);
	lua_pushinteger(L, fd);
	return 1;
}

static int lua_check_fd(lua_State *L, int arg)
{
	lua_Integer fd = luaL_checkinteger(L, arg);

	luaL_argcheck(L, fd >= 0 && fd < 0x7fffffff, arg, "not a descriptor");
	return (int)fd;
}

/* Who is at the other end ------------------------------------------------------------------- */

static int l_sys_peercred(lua_State *L)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	if (getsockopt(lua_check_fd(L, 1), SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
		return push_error(L, errno);
	if (n != sizeof(c))
		return push_error(L, EPROTO);
	lua_pushinteger(L, c.pid);
	lua_pushinteger(L, c.uid);
	lua_pushinteger(L, c.gid);
	return 3;
}

/* All supplementary groups that the peer had when it connected, as a list of gids. */
static int l_sys_peergroups(lua_State *L)
{
	gid_t gids[GROUPS_MAX];
	socklen_t n = sizeof(gids);

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
	if (getsockopt(lua_check_fd(L, 1), SOL_SOCKET, SO_PEERGROUPS, gids, &n) < 0)
		return push_error(L, errno);
	n /= sizeof(gid_t);
	lua_createtable(L, (int)n, 0);
	for (socklen_t i = 0; i < n; i++) {
		lua_pushinteger(L, gids[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* Descriptors --------------------------------------------------------------------------------- */

static int l_sys_memfd(lua_State *L)
{
	size_t size;
	const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &size);

	return push_fd(L, fd_memfd(name, text, size));
}

/* The whole content from offset 0 where the descriptor can seek, else what is left to read. */
static int l_sys_readfd(lua_State *L)
{
	int fd = lua_check_fd(L, 1);
	luaL_Buffer b;
	size_t total = 0;

	(void)lseek(fd, 0, SEEK_SET); /* a pipe says ESPIPE: then what is left is the whole */
	luaL_buffinit(L, &b);
	for (;;) {
		char *p = luaL_prepbuffsize(&b, READ_CHUNK);
		ssize_t n = read(fd, p, READ_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return push_error(L, errno);
		if (n == 0)
			break;
		luaL_addsize(&b, (size_t)n);
		total += (size_t)n;
		if (total > READFD_MAX)
			return push_error(L, EFBIG);
	}
	luaL_pushresult(&b);
	return 1;
}

static int l_sys_close(lua_State *L)
{
	return push_result(L, close(lua_check_fd(L, 1)));
}

static int l_sys_dup(lua_State *L)
{
	return push_fd(L, fcntl(lua_check_fd(L, 1), F_DUPFD_CLOEXEC, 3));
}

static int l_sys_isatty(lua_State *L)
{
	lua_pushboolean(L, isatty(lua_check_fd(L, 1)));
	return 1;
}

static int l_sys_winsize(lua_State *L)
{
	struct winsize w = {0};

	if (ioctl(lua_check_fd(L, 1), TIOCGWINSZ, &w) < 0)
		return push_error(L, errno);
	lua_pushinteger(L, w.ws_col);
	lua_pushinteger(L, w.ws_row);
	return 2;
}

/* Opens for the other functions: flags "r" read, "a" append and create, "x" create new with `mode`.
 */
static int l_sys_open(lua_State *L)
{
	static const char *const names[] = {"r", "a", "x", NULL};
	static const int flags[] = {
	    O_RDONLY | O_NONBLOCK,
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
	};
	const char *path = luaL_checkstring(L, 1);
	int which = luaL_checkoption(L, 2, "r", names);
	mode_t mode = (mode_t)luaL_optinteger(L, 3, 0666);

	return push_fd(L, open(path, flags[which] | O_CLOEXEC | O_NOCTTY, mode));
}

/* A stream socket to a Unix path or "@abstract" name; connecting to it never blocks for long:
 * a full queue is EAGAIN. */
static int l_sys_connect_unix(lua_State *L)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n;
	const char *path = luaL_checklstring(L, 1, &n);
	socklen_t len;
	int fd, err;

	if (n == 0 || n >= sizeof(sa.sun_path))
		return push_error(L, ENAMETOOLONG);
	memcpy(sa.sun_path, path, n);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '@' ? 0 : 1));
	if (path[0] == '@')
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return push_error(L, errno);
	if (connect(fd, (struct sockaddr *)&sa, len) < 0) {
		err = errno;
		close(fd);
		return push_error(L, err);
	}
	return push_fd(L, fd);
}

/* read(fd [, size]) -> text; nil, "closed" at the end; nil, message, errno */
static int l_sys_read(lua_State *L)
{
	int fd = lua_check_fd(L, 1);
	lua_Integer want = luaL_optinteger(L, 2, READ_CHUNK);
	luaL_Buffer b;
	char *p;
	ssize_t n;

	luaL_argcheck(L, want > 0 && want <= READFD_MAX, 2, "size out of range");
	p = luaL_buffinitsize(L, &b, (size_t)want);
	do
		n = read(fd, p, (size_t)want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return push_error(L, errno);
	if (n == 0) {
		luaL_pushfail(L);
		lua_pushliteral(L, "closed");
		return 2;
	}
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

/* write(fd, text) -> bytes written, never SIGPIPE on a socket */
static int l_sys_write(lua_State *L)
{
	size_t size;
	int fd = lua_check_fd(L, 1);
	const char *text = luaL_checklstring(L, 2, &size);
	ssize_t n;

	do {
		n = send(fd, text, size, MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, text, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return push_error(L, errno);
	lua_pushinteger(L, n);
	return 1;
}

/* wait({fd, …}, seconds [, writable]): blocks until one is readable (or writable), hung up or in
 * error.
 * -> list of these descriptors (empty: time is over); nil, "interrupted system call", EINTR */
static int l_sys_wait(lua_State *L)
{
	struct pollfd p[WAIT_MAX];
	double seconds = luaL_optnumber(L, 2, -1);
	short events = lua_toboolean(L, 3) ? POLLOUT : POLLIN;
	int count, k = 0, rc;

	luaL_checktype(L, 1, LUA_TTABLE);
	count = (int)lua_rawlen(L, 1);
	luaL_argcheck(L, count <= WAIT_MAX, 1, "too many descriptors");
	for (int i = 0; i < count; i++) {
		lua_rawgeti(L, 1, i + 1);
		p[i] = (struct pollfd){.fd = lua_check_fd(L, -1), .events = events};
		lua_pop(L, 1);
	}
	rc = poll(p, (nfds_t)count,
	    seconds < 0     ? -1
	    : seconds > 1e6 ? 1000000000
			    : (int)(seconds * 1000 + 0.5));
	if (rc < 0)
		return push_error(L, errno);
	lua_createtable(L, rc, 0);
	for (int i = 0; i < count; i++) {
		if (p[i].revents == 0)
			continue;
		lua_pushinteger(L, p[i].fd);
		lua_rawseti(L, -2, ++k);
	}
	return 1;
}

/* Processes ----------------------------------------------------------------------------------- */

/* Who holds a flock on this inode, as /proc/locks says; 0: nobody, or not `pid` if that is not 0;
 * -1: cannot tell. Asked there and not by trying the lock: our own try would make a keeper that
 * starts just now fail. */
static long lock_holder(const struct stat *st, long pid)
{
	FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	long found = 0;

	if (!locks)
		return -1;
	while (!found && fgets(line, sizeof line, locks)) {
		long holder;
		unsigned major, minor;
		unsigned long ino;

		/* not the device beside a pid: btrfs has another one here than in stat(2) */
		if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %x:%x:%lu", &holder, &major, &minor,
			&ino) == 4 &&
		    ino == (unsigned long)st->st_ino &&
		    (pid ? holder == pid : makedev(major, minor) == st->st_dev))
			found = holder;
	}
	fclose(locks);
	return found;
}

/* The pid that is written in a file, if that process holds its lock; 0 if not, -1 with errno. */
static long lock_owner(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	long pid, held;
	ssize_t n;

	if (fd < 0) /* another user's: who holds it is no secret */
		return errno == EACCES && stat(path, &st) == 0 ? lock_holder(&st, 0) : -1;
	n = fstat(fd, &st) < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	pid = strtol(text, NULL, 10);
	held = pid > 0 ? lock_holder(&st, pid) : 0;
	if (held < 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		held = pid;
	close(fd);
	return held > 0 ? held : 0;
}

/* flock_test(path) -> pid that is written in the file and holds its lock; nil, "not locked"; nil,
 * why, errno */
static int l_sys_flock_test(lua_State *L)
{
	long pid = lock_owner(luaL_checkstring(L, 1));

	if (pid < 0)
		return push_error(L, errno);
	if (pid == 0) {
		luaL_pushfail(L);
		lua_pushliteral(L, "not locked");
		return 2;
	}
	lua_pushinteger(L, pid);
	return 1;
}

static int l_sys_pidfd_open(lua_State *L)
{
	return push_fd(L, (int)syscall(SYS_pidfd_open, (pid_t)luaL_checkinteger(L, 1), 0));
}

static int l_sys_pidfd_signal(lua_State *L)
{
	int fd = lua_check_fd(L, 1), signo = (int)luaL_checkinteger(L, 2);

	return push_result(L, (int)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0));
}

static int l_sys_rss(lua_State *L)
{
	char text[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *second;

	fd_close(&fd);
	if (n <= 0)
		return push_error(L, errno);
	text[n] = 0;
	second = strchr(text, ' ');
	lua_pushinteger(L, second ? strtol(second, NULL, 10) * sysconf(_SC_PAGESIZE) : 0);
	return 1;
}

static int l_sys_lua_bytes(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)lua_gc(L, LUA_GCCOUNT) * 1024 + lua_gc(L, LUA_GCCOUNTB));
	return 1;
}

static int l_sys_ids(lua_State *L)
{
	lua_pushinteger(L, getpid());
	lua_pushinteger(L, geteuid());
	lua_pushinteger(L, getegid());
	lua_pushinteger(L, getppid());
	return 4;
}

static int l_sys_clock(lua_State *L)
{
	lua_pushnumber(L, clock_monotonic());
	lua_pushnumber(L, clock_realtime());
	return 2;
}

/* sha256(text) -> its 32 bytes. By libmd: OpenSSL would be loaded for it (base/late.h) in every
 * host that upgrades, 10 ms while both generations serve, and 3 MiB from then on. Secrets, and what
 * modules hash, go through util.hashes. */
static int l_sys_sha256(lua_State *L)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const uint8_t *)text, size);
	SHA256Final(digest, &ctx);
	lua_pushlstring(L, (const char *)digest, sizeof digest);
	return 1;
}

static int l_sys_exit(lua_State *L)
{
	exit((int)luaL_optinteger(L, 1, 0));
}

static const luaL_Reg functions[] = {{"peercred", l_sys_peercred}, {"peergroups", l_sys_peergroups},
    {"memfd", l_sys_memfd}, {"readfd", l_sys_readfd}, {"close", l_sys_close}, {"dup", l_sys_dup},
    {"isatty", l_sys_isatty}, {"winsize", l_sys_winsize}, {"open", l_sys_open},
    {"connect_unix", l_sys_connect_unix}, {"read", l_sys_read}, {"write", l_sys_write},
    {"wait", l_sys_wait}, {"flock_test", l_sys_flock_test}, {"pidfd_open", l_sys_pidfd_open},
    {"pidfd_signal", l_sys_pidfd_signal}, {"rss", l_sys_rss}, {"lua_bytes", l_sys_lua_bytes},
    {"ids", l_sys_ids}, {"clock", l_sys_clock}, {"sha256", l_sys_sha256}, {"exit", l_sys_exit},
    {NULL, NULL}};

int luaopen_host_sys(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_add_sys_files(L);
	return 1;
}
