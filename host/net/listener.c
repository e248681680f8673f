#include "net/listener.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/limits.h"
#include "net/listener_parts.h"
#include "net/neterr.h"
#include "net/share.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 64 };

static const char *const STATE_NAMES[] = {"open", "shut", "closing", "closed"};

const char *listener_state_name(enum listener_state state)
{
	return STATE_NAMES[state];
}

/* ---- accepting ---- */

static bool out_of_descriptors(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Errors of one newcomer, not of the listener (accept(2)). */
static bool of_newcomer(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH: return true;
	default: return false;
	}
}

/* Tells one caller that there is no room, with the descriptor that is kept for this. */
static bool shed(struct listener *l)
{
	int fd;

	fd_close(&l->loop->spare_fd);
	fd = accept4(l->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		l->refused++;
		close(fd);
	}
	l->loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* Lets nobody in for a while; a listener that closes has other business for its timer. */
static void pause_for(struct listener *l, double seconds)
{
	ev_io_stop(l->loop->ev, &l->io);
	ev_timer_stop(l->loop->ev, &l->timer);
	ev_timer_set(&l->timer, seconds, 0);
	ev_timer_start(l->loop->ev, &l->timer);
}

static void on_exhausted(struct listener *l, int error)
{
	int n = 0;

	while (n < ACCEPTS_PER_TURN && shed(l))
		n++;
	if (limits_hit(l->loop->limits, LIMIT_DESCRIPTORS, clock_realtime()))
		log_warn("cannot accept: %s; turned %d away and pausing", net_strerror(error), n);
	pause_for(l, l->loop->settings.accept_pause);
}

/* Handshakes first: who is refused for them has cost no OpenSSL object and counts nowhere else. */
static bool is_refused(struct listener *l, const struct sockaddr *from, struct limits_peer **peer_r,
    enum limit *limit_r)
{
	*limit_r = LIMIT_HANDSHAKES;
	return (l->secure && limits_handshakes_full(l->loop->limits)) ||
	       !limits_enter(l->loop->limits, from, clock_monotonic(), peer_r, limit_r);
}

static void admit(struct listener *l, int fd, const struct sockaddr *from)
{
	struct limits_peer *peer = NULL;
	enum limit limit;

	if (l->klass != CONN_ADMIN && is_refused(l, from, &peer, &limit)) {
		l->refused++;
		close(fd);
		limits_refused(l->loop->limits, limit);
		return;
	}
	l->accepted++;
	listener_conn_came(l);
	l->ops->accepted(l, fd, peer);
}

/* One newcomer: 1 if there may be more, 0 if not, -1 with errno. */
static int accept_one(struct listener *l)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
	} from;
	socklen_t size = sizeof from;
	int fd, planted = FAILPOINT_ERRNO("net-accept");

	if (planted > 0) {
		errno = planted;
		return of_newcomer(planted) ? 1 : -1;
	}
	fd = accept4(l->io.fd, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (size < sizeof from.any.sa_family)
			from.any.sa_family = AF_UNIX;
		listener_free_newcomer(l, fd);
		admit(l, fd, &from.any);
		return 1;
	}
	if (errno == EAGAIN)
		return 0;
	return of_newcomer(errno) ? 1 : -1;
}

/* Class admin gets the descriptor that is kept: an operator comes in when nobody else does. */
static void accept_with_spare(struct listener *l)
{
	fd_close(&l->loop->spare_fd);
	(void)accept_one(l);
	l->loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void listener_accept(struct listener *l, int budget)
{
	int more = 1;

	while (more > 0 && budget-- > 0 && l->state != LISTENER_CLOSED)
		more = accept_one(l);
	if (more >= 0 || l->state == LISTENER_CLOSED)
		return;
	if (errno == EINVAL) { /* shut down by another process that shares it: nobody will come */
		ev_io_stop(l->loop->ev, &l->io);
		return;
	}
	if (!out_of_descriptors(errno)) {
		log_error("accept: %s", net_strerror(errno));
	} else if (l->klass == CONN_ADMIN && l->loop->spare_fd >= 0) {
		accept_with_spare(l);
		return;
	}
	on_exhausted(l, errno);
}

/* How many may come in now; 0: the other workers have fewer and get their chance first. */
static int budget(struct listener *l)
{
	unsigned room = l->klass == CONN_ADMIN ? ACCEPTS_PER_TURN : share_room(ACCEPTS_PER_TURN);

	if (room > 0) {
		l->waited = false;
		return (int)room;
	}
	l->waited = !l->waited;
	return l->waited ? 0 : SHARE_LEAST;
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct listener *l = (struct listener *)((char *)w - offsetof(struct listener, io));
	struct loop *loop = l->loop;
	int n;

	(void)ev;
	(void)revents;
	l->wakeups++;
	if (!(n = budget(l))) {
		pause_for(l, SHARE_PAUSE);
		return;
	}
	loop_enter(loop);
	listener_accept(l, n);
	loop_leave(loop);
}

/* ---- the gate ---- */

void listener_watch(struct listener *l)
{
	if (l->state == LISTENER_OPEN)
		ev_io_start(l->loop->ev, &l->io);
	else
		ev_io_stop(l->loop->ev, &l->io);
}

void listener_set_class(struct listener *l, enum conn_class klass)
{
	if ((klass == CONN_ADMIN) != (l->klass == CONN_ADMIN))
		share_add(klass == CONN_ADMIN ? -(int)l->current : (int)l->current);
	l->klass = klass;
	if (l->state == LISTENER_CLOSED)
		return;
	ev_io_stop(l->loop->ev, &l->io);
	urgent_set(l->loop, &l->io, klass == CONN_ADMIN);
	listener_watch(l);
}

void listener_gate(struct listener *l, bool open)
{
	l->gate_open = open;
	if (l->state >= LISTENER_CLOSING)
		return;
	l->state = open ? LISTENER_OPEN : LISTENER_SHUT;
	listener_watch(l);
}

/* ---- beginning and end ---- */

static void set(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

void listener_options(struct listener *l)
{
	const struct net_settings *s = &l->loop->settings;
	int fd = l->io.fd;

	if (!l->tcp || fd < 0)
		return;
	set(fd, IPPROTO_TCP, TCP_NODELAY, !s->nagle);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, s->keepalive);
	if (s->keepalive && s->keepalive_idle >= 1)
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)s->keepalive_idle);
	if (s->defer_accept)
		set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, s->defer_accept);
	if (s->fastopen)
		set(fd, IPPROTO_TCP, TCP_FASTOPEN, s->fastopen);
}

void listener_init(struct listener *l, struct loop *loop, const struct listener_ops *ops)
{
	memset(l, 0, sizeof *l);
	ev_io_init(&l->io, on_io, -1, 0);
	ev_timer_init(&l->timer, listener_on_timer, 0, 0);
	l->loop = loop;
	l->ops = ops;
	l->state = LISTENER_CLOSED;
}

/* Remembers what the path was when it was ours, so that nobody else's file is ever removed. */
static void note_path(struct listener *l, int fd)
{
	struct stat st;
	unsigned port;

	if (addr_of(fd, false, l->path, &port) < 0 || l->path[0] != '/' ||
	    lstat(l->path, &st) < 0) {
		l->path[0] = '\0';
		return;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
}

/* One that does not listen yet may be served with a shut gate only. */
static bool is_usable(int fd, bool open, int *domain_r)
{
	int on = 0;
	socklen_t size = sizeof on;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) < 0)
		return false;
	if (!on && open) {
		errno = EINVAL;
		return false;
	}
	size = sizeof *domain_r;
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, domain_r, &size) == 0;
}

int listener_serve_take(struct listener *l, int fd, enum conn_class klass, bool open, bool own_path)
{
	int domain = AF_UNIX;

	if (!is_usable(fd, open, &domain) || fd_set_flags(fd) < 0) {
		fd_close(&fd);
		return -1;
	}
	l->tcp = domain != AF_UNIX;
	l->klass = klass;
	if (own_path && !l->tcp)
		note_path(l, fd);
	ev_io_set(&l->io, fd, EV_READ);
	urgent_set(l->loop, &l->io, klass == CONN_ADMIN);
	l->next = l->loop->listeners;
	if (l->next)
		l->next->link = &l->next;
	l->link = &l->loop->listeners;
	l->loop->listeners = l;
	listener_options(l);
	l->state = LISTENER_SHUT;
	listener_gate(l, open);
	return 0;
}

void listener_conn_came(struct listener *l)
{
	l->current++;
	if (l->klass != CONN_ADMIN)
		share_add(1);
}

void listener_conn_gone(struct listener *l)
{
	l->current--;
	if (l->klass != CONN_ADMIN)
		share_add(-1);
	listener_maybe_released(l);
}
