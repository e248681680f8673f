#include "proc/ipc.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(struct ipc_header) + IPC_BODY_MAX == IPC_MESSAGE_MAX, "message size");

/* What each type looks like; a type without a name has only its place. */
static const struct rule {
	const char *name;
	unsigned from;
	int fds_min, fds_max;
	enum ipc_fd_kind kind;
	unsigned since; /* version; 0: all that we know have it */
} rules[IPC_TYPES] = {
    [IPC_HELLO] = {"hello", IPC_FROM_KEEPER, 2, 2, IPC_FD_TEXT},
    [IPC_HELD] = {"held", IPC_FROM_KEEPER, 1, 1, IPC_FD_LISTENER},
    [IPC_BEGIN] = {"begin", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_BUNDLE] = {"bundle", IPC_FROM_KEEPER, 2, 2, IPC_FD_TEXT},
    [IPC_SIGNAL] = {"signal", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_VERB] = {"verb", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_RESULT] = {"result", IPC_FROM_KEEPER, 0, 1, IPC_FD_TEXT},
    [IPC_BOUND] = {"bound", IPC_FROM_KEEPER, 1, 1, IPC_FD_LISTENER},
    [IPC_STATUS] = {"status", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_EVENT] = {"event", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_PEER] = {"peer", IPC_FROM_KEEPER, 1, 1, IPC_FD_CHANNEL},
    [IPC_KEYS] = {"keys", IPC_FROM_KEEPER, 1, 1, IPC_FD_TEXT},
    [IPC_COMMIT] = {"commit", IPC_FROM_KEEPER, 0, 1, IPC_FD_TEXT},
    [IPC_UPGRADE] = {"upgrade", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_READY] = {"ready", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_HOLD] = {"hold", IPC_FROM_WORKER, 1, 1, IPC_FD_LISTENER},
    [IPC_UNHOLD] = {"unhold", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_BIND] = {"bind", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_STATE] = {"state", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_BEAT] = {"beat", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_REQUEST] = {"request", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_ANSWER] = {"answer", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_ACK] = {"ack", IPC_FROM_WORKER, 0, 1, IPC_FD_TEXT},
    [IPC_LEAVING] = {"leaving", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_SETTINGS] = {"settings", IPC_FROM_READER, 2, 2, IPC_FD_TEXT},
    [IPC_FAULTS] = {"faults", IPC_FROM_READER, 1, 1, IPC_FD_TEXT},
    [IPC_CHILD] = {"child", IPC_FROM_WORKER, 1, 1, IPC_FD_PIDFD},
    [IPC_CHILD_ENDED] = {"child-ended", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_KEEP] = {"keep", IPC_FROM_WORKER, 1, 1, IPC_FD_ANY},
    [IPC_KEPT] = {"kept", IPC_FROM_KEEPER, 1, 1, IPC_FD_ANY},
    [IPC_ATTACH] = {"attach", IPC_FROM_WORKER, 2, 2, IPC_FD_TEXT},
    [IPC_PROGRAM] = {"program", IPC_FROM_WORKER, 1, 1, IPC_FD_PROGRAM},
    [IPC_ATTACHED] = {"attached", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE},
    [IPC_ADOPTED] = {"adopted", IPC_FROM_KEEPER, 0, 0, IPC_FD_NONE},
    [IPC_PREVIOUS] = {"previous", IPC_FROM_KEEPER | IPC_FROM_WORKER, 2, 2, IPC_FD_TEXT, 3},
    [IPC_PREVIOUS_PROGRAM] = {"previous-program", IPC_FROM_KEEPER | IPC_FROM_WORKER, 1, 1,
	IPC_FD_PROGRAM, 3},
    [IPC_WANT] = {"want", IPC_FROM_WORKER, 0, 0, IPC_FD_NONE, 4},
};

const char *ipc_type_name(unsigned type)
{
	return type < IPC_TYPES && rules[type].name ? rules[type].name : "?";
}

bool ipc_type_in(enum ipc_type type, unsigned version)
{
	return type < IPC_TYPES && rules[type].since <= version;
}

static void put(struct ipc_message *m, const void *data, size_t size)
{
	if (size > IPC_BODY_MAX - m->header.length) {
		m->bad = true;
		return;
	}
	memcpy(m->body + m->header.length, data, size);
	m->header.length += (uint32_t)size;
}

static void put_text(struct ipc_message *m, const char *text)
{
	size_t length = strlen(text);
	uint16_t n = (uint16_t)(length < IPC_TEXT_MAX ? length : IPC_TEXT_MAX);

	put(m, &n, sizeof n);
	put(m, text, n);
}

void ipc_vpack(
    struct ipc_message *m, enum ipc_type type, uint32_t id, const char *format, va_list args)
{
	m->header = (struct ipc_header){
	    .magic = IPC_MAGIC, .version = IPC_VERSION, .type = (uint16_t)type, .id = id};
	m->bad = false;
	m->nfds = 0;
	for (; *format; format++) {
		if (*format == 'u')
			put(m, &(uint32_t){va_arg(args, uint32_t)}, sizeof(uint32_t));
		else if (*format == 'f')
			put(m, &(double){va_arg(args, double)}, sizeof(double));
		else if (*format == 's')
			put_text(m, va_arg(args, const char *));
		else if (m->nfds < IPC_FDS_MAX)
			m->fds[m->nfds++] = va_arg(args, int);
	}
}

void ipc_pack(struct ipc_message *m, enum ipc_type type, uint32_t id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ipc_vpack(m, type, id, format, args);
	va_end(args);
}

int ipc_send(int channel, const struct ipc_message *m)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control = {0};
	struct iovec iov[2] = {
	    {(void *)&m->header, sizeof m->header}, {(void *)m->body, m->header.length}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (m->bad) {
		errno = EPROTO;
		return -1;
	}
	if (m->nfds > 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)m->nfds);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * (size_t)m->nfds);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)m->nfds);
	}
	do
		n = sendmsg(channel, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

/* Takes every fd that came, whatever else is wrong: what is not taken here would leak. */
static bool take_fds(struct ipc_message *m, struct msghdr *msg)
{
	bool ok = !(msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC));

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			ok = false;
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->nfds < IPC_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
	return ok;
}

/* All but the descriptors. */
static bool is_message(const struct ipc_message *m, size_t size, enum ipc_from from)
{
	const struct ipc_header *h = &m->header;
	unsigned oldest = from == IPC_FROM_READER ? IPC_VERSION_READER : IPC_VERSION_OLDEST;

	if (size < sizeof *h || h->magic != IPC_MAGIC || h->version < oldest ||
	    h->version > IPC_VERSION)
		return false;
	if (h->type >= IPC_TYPES || !rules[h->type].name || !(rules[h->type].from & from) ||
	    rules[h->type].since > h->version)
		return false;
	return h->length <= IPC_BODY_MAX && size == sizeof *h + h->length;
}

static bool obeys_rules(const struct ipc_message *m, size_t size, enum ipc_from from)
{
	const struct rule *r;

	if (!is_message(m, size, from))
		return false;
	r = &rules[m->header.type];
	if (m->nfds < r->fds_min || m->nfds > r->fds_max)
		return false;
	for (int i = 0; i < m->nfds; i++)
		if (!ipc_fd_is(m->fds[i], r->kind))
			return false;
	return true;
}

int ipc_recv(int channel, struct ipc_message *m, enum ipc_from from)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control;
	struct iovec iov[2] = {{&m->header, sizeof m->header}, {m->body, IPC_BODY_MAX}};
	struct msghdr msg = {.msg_iov = iov,
	    .msg_iovlen = 2,
	    .msg_control = &control,
	    .msg_controllen = sizeof control};
	ssize_t n;
	bool ok, cut;

	m->bad = false;
	m->nfds = 0;
	/* ECONNRESET: the peer went without reading all; told once, before what it had sent. */
	do
		n = recvmsg(channel, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -1;
	ok = take_fds(m, &msg);
	if (n == 0 && m->nfds == 0)
		return 0;
	if (ok && obeys_rules(m, (size_t)n, from))
		return 1;
	/* there was room for more here, but none in the process */
	cut = (msg.msg_flags & MSG_CTRUNC) && !(msg.msg_flags & MSG_TRUNC) && m->nfds < IPC_FDS_MAX;
	ipc_close_fds(m);
	errno = cut && is_message(m, (size_t)n, from) ? EMFILE : EPROTO;
	return -1;
}

static bool get(const struct ipc_message *m, size_t *at, void *to, size_t size)
{
	if (size > m->header.length - *at)
		return false;
	memcpy(to, m->body + *at, size);
	*at += size;
	return true;
}

static bool get_text(const struct ipc_message *m, size_t *at, char *to, size_t size)
{
	uint16_t n;

	to[0] = '\0';
	if (!get(m, at, &n, sizeof n) || n >= size || !get(m, at, to, n))
		return false;
	to[n] = '\0';
	return strlen(to) == n;
}

bool ipc_unpack(const struct ipc_message *m, const char *format, ...)
{
	bool ok = true;
	size_t at = 0;
	va_list args;

	va_start(args, format);
	for (; *format && ok; format++) {
		if (*format == 'u') {
			ok = get(m, &at, va_arg(args, uint32_t *), sizeof(uint32_t));
		} else if (*format == 'f') {
			double *value = va_arg(args, double *);

			/* a NaN compares false with every limit */
			ok = get(m, &at, value, sizeof *value) && *value == *value;
		} else {
			char *to = va_arg(args, char *);

			ok = get_text(m, &at, to, va_arg(args, size_t));
		}
	}
	va_end(args);
	return ok && at == m->header.length;
}

int ipc_give_fd(struct ipc_message *m, int i)
{
	int fd = i < m->nfds ? m->fds[i] : -1;

	if (fd >= 0)
		m->fds[i] = -1;
	return fd;
}

void ipc_close_fds(struct ipc_message *m)
{
	for (int i = 0; i < m->nfds; i++)
		fd_close(&m->fds[i]);
	m->nfds = 0;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static bool has_peer(int fd)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof a;

	return getpeername(fd, (struct sockaddr *)&a, &size) == 0;
}

static bool is_listener(int fd)
{
	int domain = socket_option(fd, SO_DOMAIN), type = socket_option(fd, SO_TYPE);

	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return false;
	if (type == SOCK_STREAM)
		return socket_option(fd, SO_ACCEPTCONN) == 1 || !has_peer(fd);
	return type == SOCK_DGRAM && !has_peer(fd);
}

/* Older kernels call it an anonymous inode, newer ones give it a file system of its own. */
static bool is_pidfd(int fd)
{
	char path[32], target[64];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof target - 1);
	target[n > 0 ? n : 0] = '\0';
	return strcmp(target, "anon_inode:[pidfd]") == 0 || strncmp(target, "pidfd:", 6) == 0;
}

bool ipc_fd_is(int fd, enum ipc_fd_kind kind)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	switch (kind) {
	case IPC_FD_LISTENER: return S_ISSOCK(st.st_mode) && is_listener(fd);
	case IPC_FD_TEXT:
		return S_ISREG(st.st_mode) && fcntl(fd, F_GET_SEALS) >= 0 &&
		       (fcntl(fd, F_GET_SEALS) & seals) == seals;
	case IPC_FD_CHANNEL:
		return S_ISSOCK(st.st_mode) && socket_option(fd, SO_DOMAIN) == AF_UNIX &&
		       socket_option(fd, SO_TYPE) == SOCK_SEQPACKET && has_peer(fd);
	case IPC_FD_PIDFD: return is_pidfd(fd);
	case IPC_FD_ANY: return true;
	case IPC_FD_PROGRAM: return S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
	case IPC_FD_NONE: break;
	}
	return false;
}

int ipc_pair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}
