#include "net/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int datagram_open(const struct addr *addr, bool bound)
{
	int on = 1, error;
	int fd = socket(addr->sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || !bound)
		return fd;
	if (addr->sa.any.sa_family == AF_INET6) /* so that "*" and "::" stand beside each other */
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &addr->sa.any, addr->size) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int datagram_connect(int fd, const struct addr *peer)
{
	return connect(fd, &peer->sa.any, peer->size);
}

ssize_t datagram_receive(int fd, void *data, size_t size, struct addr *from)
{
	ssize_t n;

	do {
		from->size = sizeof from->sa;
		n = recvfrom(fd, data, size, 0, &from->sa.any, &from->size);
	} while (n < 0 && errno == EINTR);
	return n;
}

ssize_t datagram_send(int fd, const void *data, size_t size, const struct addr *to)
{
	ssize_t n;

	do
		n = sendto(
		    fd, data, size, MSG_NOSIGNAL, to ? &to->sa.any : NULL, to ? to->size : 0);
	while (n < 0 && errno == EINTR);
	return n;
}
