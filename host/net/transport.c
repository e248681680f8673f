#include "net/transport.h"

#include "base/failpoint.h"
#include "net/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* A failpoint's errno fails the call, its "short" moves one byte; false: the call is over. */
static bool passes(int action, size_t *n)
{
	if (action > 0) {
		errno = action;
		return false;
	}
	if (action < 0)
		*n = 1;
	return true;
}

static ssize_t plain_recv(struct conn *conn, void *bytes, size_t n)
{
	if (!passes(FAILPOINT_ERRNO("net-recv"), &n))
		return -1;
	return recv(conn->io.fd, bytes, n, MSG_DONTWAIT);
}

static ssize_t plain_send(struct conn *conn, const void *bytes, size_t n)
{
	if (!passes(FAILPOINT_ERRNO("net-send"), &n))
		return -1;
	return send(conn->io.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void plain_discard(struct conn *conn)
{
	enum { AT_ONCE = 1 << 20, TIMES = 4 };
	char copy[4096]; /* for Unix sockets */
	ssize_t n = 1;

	if (conn->datagram)
		return;
	/* MSG_TRUNC on TCP drops bytes without copying them */
	for (int i = 0; i < TIMES && n > 0; i++)
		n = recv(conn->io.fd, NULL, AT_ONCE, MSG_DONTWAIT | MSG_TRUNC);
	if (n >= 0 || errno != EFAULT)
		return;
	for (int i = 0; i < 16 * TIMES; i++)
		if (recv(conn->io.fd, copy, sizeof copy, MSG_DONTWAIT) <= 0)
			return;
}

static ssize_t pipe_recv(struct conn *conn, void *bytes, size_t n)
{
	ssize_t got = read(conn->io.fd, bytes, n);

	/* the end that writes becomes readable when nobody reads any more */
	return got < 0 && errno == EBADF ? 0 : got;
}

static ssize_t pipe_send(struct conn *conn, const void *bytes, size_t n)
{
	return write(conn->io.fd, bytes, n);
}

static void pipe_discard(struct conn *conn)
{
	(void)conn;
}

const struct transport transport_pipe = {
    .name = "pipe",
    .recv = pipe_recv,
    .send = pipe_send,
    .discard = pipe_discard,
};

const struct transport transport_plain = {
    .name = "plain",
    .recv = plain_recv,
    .send = plain_send,
    .discard = plain_discard,
};

const struct transport *const transports[] = {
    [TRANSPORT_PLAIN] = &transport_plain,
    [TRANSPORT_PIPE] = &transport_pipe,
    [TRANSPORT_TLS] = &transport_tls,
};
