/* Held descriptors: a dup of each listener under its name, until no generation uses it. */
#include "base/fd.h"
#include "base/log.h"
#include "proc/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTEN_FDS_START = 3 };

void held_init(void)
{
	for (uint32_t i = 0; i < KEEPER_HELD; i++)
		keeper.held[i].fd = -1;
}

static uint32_t bit(uint32_t generation)
{
	for (uint32_t i = 0; i < KEEPER_GENERATIONS; i++)
		if (generation && keeper.generations[i].number == generation)
			return 1U << i;
	return 0;
}

/* The place of that name; without one, a free place; NULL when all are taken. */
static struct held *find(const char *name)
{
	struct held *place = NULL;

	for (struct held *h = keeper.held; h < keeper.held + KEEPER_HELD; h++) {
		if (h->fd >= 0 && strcmp(h->name, name) == 0)
			return h;
		if (h->fd < 0 && !place)
			place = h;
	}
	return place;
}

static bool same_socket(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* A name is also a systemd FDNAME: printable, no colon, 1 to 255 bytes. */
static bool is_name(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == ':')
			return false;
	return n > 0 && n < KEEPER_NAME;
}

const char *held_take(const char *name, int fd, uint32_t generation)
{
	struct held *h = find(name);

	if (!h || !is_name(name)) {
		close(fd);
		return h ? "not a name" : "1024 are held already";
	}
	if (h->fd >= 0 && same_socket(h->fd, fd)) {
		close(fd);
		h->users |= bit(generation);
		return NULL;
	}
	fd_close(&h->fd); /* given up and bound anew: the new socket is the one in use */
	h->fd = fd;
	h->users = bit(generation);
	memcpy(h->name, name, strlen(name) + 1);
	return NULL;
}

void held_drop(const char *name, uint32_t generation)
{
	for (uint32_t i = 0; i < KEEPER_HELD; i++) {
		struct held *h = &keeper.held[i];

		if (h->fd < 0 || (name && strcmp(h->name, name) != 0))
			continue;
		h->users &= ~bit(generation);
		if (!h->users)
			fd_close(&h->fd);
	}
}

uint32_t held_offer(uint32_t generation)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < KEEPER_HELD; i++) {
		if (keeper.held[i].fd < 0)
			continue;
		keeper.held[i].users |= bit(generation);
		n++;
	}
	return n;
}

void held_adopt_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES"), *why;
	int n = count && pid && atoi(pid) == getpid() ? atoi(count) : 0;

	for (int i = 0; i < n && i < KEEPER_HELD; i++) {
		size_t length = names ? strcspn(names, ":") : 0;
		char name[KEEPER_NAME] = "unknown";
		int fd = fcntl(LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, LISTEN_FDS_START + n);

		if (length > 0 && length < sizeof name)
			snprintf(name, sizeof name, "%.*s", (int)length, names);
		if (names)
			names += length + (names[length] == ':');
		(void)close(LISTEN_FDS_START + i);
		why =
		    ipc_fd_is(fd, IPC_FD_LISTENER) ? held_take(name, fd, 0) : "not a bound socket";
		if (why)
			log_warn("passed descriptor %d (%s) refused: %s", i, name, why);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static socklen_t fill_address(const struct settings_address *a, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	const char *literal = strcmp(a->interface, "*") == 0 ? "0.0.0.0" : a->interface;

	memset(to, 0, sizeof *to);
	if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)a->port);
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)a->port);
		return sizeof *v6;
	}
	return 0;
}

int held_bind(uint32_t index)
{
	struct sockaddr_storage a;
	socklen_t size;
	int fd, on = 1;

	if (index >= keeper.settings.naddresses ||
	    (size = fill_address(&keeper.settings.addresses[index], &a)) == 0) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&a, size) < 0)
		fd_close(&fd);
	return fd;
}
