#include "net/addr.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int parse_unix(struct addr *a, const char *text)
{
	size_t n = strlen(text);

	if (n >= sizeof a->sa.unix_.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	a->sa.unix_.sun_family = AF_UNIX;
	memcpy(a->sa.unix_.sun_path, text, n);
	a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (text[0] == '@')
		a->sa.unix_.sun_path[0] = '\0';
	else
		a->size++;
	return 0;
}

static int parse_v6(struct addr *a, const char *text, unsigned port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->sa.room;
	char literal[INET6_ADDRSTRLEN];
	const char *zone = strchr(text, '%');
	size_t n = zone ? (size_t)(zone - text) : strlen(text);

	if (n >= sizeof literal)
		goto bad;
	memcpy(literal, text, n);
	literal[n] = '\0';
	if (inet_pton(AF_INET6, literal, &in6->sin6_addr) != 1)
		goto bad;
	if (zone) {
		in6->sin6_scope_id = if_nametoindex(zone + 1);
		if (!in6->sin6_scope_id)
			in6->sin6_scope_id = (uint32_t)strtoul(zone + 1, NULL, 10);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	a->size = sizeof *in6;
	return 0;
bad:
	errno = EINVAL;
	return -1;
}

int addr_parse(struct addr *a, const char *text, unsigned port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->sa.room;

	memset(a, 0, sizeof *a);
	if (text[0] == '@' || strchr(text, '/'))
		return parse_unix(a, text);
	if (port > UINT16_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (strcmp(text, "*") == 0)
		text = "0.0.0.0";
	if (inet_pton(AF_INET, text, &in->sin_addr) != 1)
		return parse_v6(a, text, port);
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	a->size = sizeof *in;
	return 0;
}

/* A socket file that refuses connections belongs to a process that is gone. */
static bool is_stale(const struct addr *a)
{
	const char *path = a->sa.unix_.sun_path;
	struct stat st;
	int fd;
	bool stale;

	if (a->sa.any.sa_family != AF_UNIX || !path[0])
		return false;
	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, &a->sa.any, a->size) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int try_bind(int fd, const struct addr *a)
{
	if (bind(fd, &a->sa.any, a->size) == 0)
		return 0;
	if (errno != EADDRINUSE || !is_stale(a))
		return -1;
	if (unlink(a->sa.unix_.sun_path) < 0)
		return -1;
	return bind(fd, &a->sa.any, a->size);
}

int addr_bind(const struct addr *a)
{
	int on = 1, error;
	int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (a->sa.any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a->sa.any.sa_family == AF_INET6) /* so that "*" and "::" stand beside each other */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (try_bind(fd, a) == 0)
		return fd;
	error = errno == EADDRINUSE || errno == EEXIST ? EADDRINUSE : errno;
	close(fd);
	errno = error;
	return -1;
}

int addr_connect(const struct addr *a)
{
	int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, &a->sa.any, a->size) < 0 && errno != EINPROGRESS && errno != EINTR)
		fd_close(&fd);
	return fd;
}

int addr_format(const struct addr *a, char *text, unsigned *port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa.room;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa.room;
	size_t n;

	*port = 0;
	switch (a->sa.any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, text, ADDR_TEXT);
		*port = ntohs(in->sin_port);
		return 0;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, text, ADDR_TEXT);
		*port = ntohs(in6->sin6_port);
		return 0;
	case AF_UNIX:
		n = a->size - offsetof(struct sockaddr_un, sun_path);
		if (a->size <= offsetof(struct sockaddr_un, sun_path))
			n = 0;
		memcpy(text, a->sa.unix_.sun_path, n);
		text[n] = '\0';
		if (n && !text[0])
			text[0] = '@';
		return 0;
	default: return -1;
	}
}

int addr_of(int fd, bool peer, char *text, unsigned *port)
{
	struct addr a;
	int r;

	memset(&a, 0, sizeof a);
	a.size = sizeof a.sa;
	r = peer ? getpeername(fd, &a.sa.any, &a.size) : getsockname(fd, &a.sa.any, &a.size);
	return r < 0 ? -1 : addr_format(&a, text, port);
}
