#include "bindings/worker_channel.h"

#include "base/background.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/log.h"
#include "bindings/lua_collector.h"
#include "bindings/lua_guard.h"
#include "bindings/worker_orphan.h"
#include "bindings/worker_peers.h"
#include "net/tls_tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the keeper sends at the start comes at once, or something is wrong (s). */
#define HELLO_LIMIT 10.0
enum { STATUS_MAX = 1024 };

struct worker_channel worker_channel = {.fd = -1,
    .bundle = -1,
    .settings_fd = -1,
    .previous_settings = -1,
    .previous_bundle = -1,
    .previous_program = -1,
    .version = IPC_VERSION};

static struct worker_channel *const c = &worker_channel;

/* Messages that the channel did not take, or that came while one was waited for. */
struct queue {
	struct queue *next;
	struct ipc_message m;
};

static struct {
	struct ev_loop *loop;
	ev_io read, write;
	ev_timer beat;
	double beat_due, beaten; /* when the timer is to fire; the last beat */
	struct queue *out, *in;
	uint32_t next_id;
} io;

static struct ipc_message in;

static struct queue *queue_add(struct queue **list, const struct ipc_message *m)
{
	struct queue *q = malloc(sizeof *q);

	if (!q)
		return NULL;
	q->next = NULL;
	q->m = *m;
	while (*list)
		list = &(*list)->next;
	*list = q;
	return q;
}

/* ---- the start ---- */

static int take_settings(struct ipc_message *m)
{
	struct settings s;
	const char *why = settings_read(m->fds[0], &s);

	if (why) {
		log_error("the keeper's %s", why);
		errno = EPROTO;
		return -1;
	}
	c->settings = s;
	fd_close(&c->settings_fd);
	c->settings_fd = ipc_give_fd(m, 0);
	fd_close(&c->bundle);
	c->bundle = ipc_give_fd(m, 1);
	return 0;
}

static int take_hello(struct ipc_message *m)
{
	uint32_t mode;

	c->version = m->header.version;
	c->generation = m->header.generation;
	c->worker = m->header.worker;
	if (!ipc_unpack(m, "uuuuuss", &c->workers, &mode, &c->keeper_pid, &c->inherited,
		&c->restarts, c->nonce, sizeof c->nonce, c->config_file, sizeof c->config_file)) {
		errno = EPROTO;
		return -1;
	}
	c->passive = mode == 1;
	c->joins = mode == IPC_JOINS;
	return take_settings(m);
}

/* What cannot be used is no reason to stop: clients then make full handshakes. */
static void take_tickets(const struct ipc_message *m)
{
	unsigned char keys[IPC_TICKET_BYTES];

	_Static_assert(sizeof keys == TLS_TICKETS, "keeper and workers mean the same keys");
	if (pread(m->fds[0], keys, sizeof keys, 0) == (ssize_t)sizeof keys)
		tls_tickets_set(keys);
	else
		log_error("ticket keys from the keeper were not usable");
	explicit_bzero(keys, sizeof keys);
}

/* The next message, waited for until `due`. */
static int next_message(double due, struct ipc_message *m)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	for (;;) {
		double left = due - clock_monotonic();
		int got = ipc_recv(c->fd, m, IPC_FROM_KEEPER);

		if (got > 0)
			return 0;
		if (got == 0)
			errno = EPIPE;
		if (got == 0 || errno != EAGAIN)
			return -1;
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (poll(&p, 1, (int)(left * 1000) + 1) < 0 && errno != EINTR)
			return -1;
	}
}

int channel_open(int fd)
{
	double due = clock_monotonic() + HELLO_LIMIT;
	int done = 0;

	c->fd = fd;
	if (fd_set_flags(fd) < 0)
		return -1;
	while (done == 0) {
		if (next_message(due, &in) < 0)
			return -1;
		switch ((enum ipc_type)in.header.type) {
		case IPC_HELLO: done = take_hello(&in); break;
		case IPC_KEPT:
		case IPC_HELD: done = channel_take_held(&in); break;
		case IPC_KEYS: take_tickets(&in); break;
		case IPC_BEGIN: done = 1; break;
		default: (void)queue_add(&io.in, &in); continue; /* its fds stay open */
		}
		ipc_close_fds(&in);
	}
	return done < 0 || c->generation == 0 ? -1 : 0;
}

/* ---- sending ---- */

uint32_t channel_next_id(void)
{
	return ++io.next_id;
}

static int keep(const struct ipc_message *m)
{
	struct queue *q = queue_add(&io.out, m);

	if (!q)
		return -1;
	for (int i = 0; i < m->nfds; i++)
		q->m.fds[i] = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 3);
	if (io.loop)
		ev_io_start(io.loop, &io.write);
	return 0;
}

int channel_tell(enum ipc_type type, uint32_t id, const char *format, ...)
{
	struct ipc_message m;
	va_list args;

	if (c->fd < 0) {
		errno = EPIPE;
		return -1;
	}
	if (!ipc_type_in(type, c->version))
		return 0;
	va_start(args, format);
	ipc_vpack(&m, type, id, format, args);
	va_end(args);
	m.header.version = c->version;
	m.header.generation = c->generation;
	m.header.worker = c->worker;
	if (!io.out && ipc_send(c->fd, &m) == 0)
		return 0;
	if (type == IPC_BEAT)
		return 0; /* the keeper is stopped, and judges nobody */
	return io.out || errno == EAGAIN ? keep(&m) : -1;
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	while (io.out) {
		struct queue *q = io.out;

		if (ipc_send(c->fd, &q->m) < 0 && errno == EAGAIN)
			return;
		io.out = q->next;
		ipc_close_fds(&q->m);
		free(q);
	}
	ev_io_stop(loop, w);
}

/* ---- beats ---- */

static void beat(double now)
{
	FAILPOINT("worker-beat");
	c->lag = now > io.beat_due ? now - io.beat_due : 0;
	io.beaten = now;
	(void)channel_tell(
	    IPC_BEAT, 0, "uuufs", c->ready, c->sessions, c->in_flight, c->lag, c->failing);
}

static void on_beat(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	beat(clock_monotonic());
	io.beat_due = io.beaten + w->repeat;
	lua_collector_beat();
}

/* A turn of many slow callbacks, none of them over its time, is no worker that hangs. */
static void beat_between(void)
{
	double now = clock_monotonic();

	if (ev_is_active(&io.beat) && now >= io.beaten + io.beat.repeat)
		beat(now);
}

static double beat_interval(void)
{
	double limit = c->settings.worker_timeout, beat = c->settings.worker_heartbeat;

	return limit > 0 && limit / 4 < beat ? limit / 4 : beat;
}

/* Without worker_timeout nobody waits for a beat. */
static double between_interval(void)
{
	return c->settings.worker_timeout > 0 ? io.beat.repeat : 0;
}

void channel_start_beats(void)
{
	if (!io.loop || ev_is_active(&io.beat))
		return;
	ev_timer_init(&io.beat, on_beat, beat_interval(), beat_interval());
	ev_set_priority(&io.beat, EV_MAXPRI);
	io.beaten = clock_monotonic();
	io.beat_due = io.beaten + beat_interval();
	guard_between(beat_between, between_interval());
	ev_timer_start(io.loop, &io.beat);
	ev_unref(io.loop);
}

/* The keeper judges by new settings as soon as it has sent them. */
static void retime_beats(void)
{
	if (!io.loop || !ev_is_active(&io.beat))
		return;
	beat(clock_monotonic());
	io.beat.repeat = beat_interval();
	io.beat_due = io.beaten + io.beat.repeat;
	ev_timer_again(io.loop, &io.beat);
	guard_between(beat_between, between_interval());
}

/* ---- receiving ---- */

/* Room for `count` entries; what was known of them stays until it is said anew. */
static bool resize_status(uint32_t count)
{
	struct channel_status *list;

	if (count == c->nstatus)
		return true;
	if (count == 0 || count > STATUS_MAX)
		return false;
	list = realloc(c->status, count * sizeof *list);
	if (!list)
		return false;
	if (count > c->nstatus)
		memset(list + c->nstatus, 0, (count - c->nstatus) * sizeof *list);
	c->status = list;
	c->nstatus = count;
	return true;
}

static void take_status(struct ipc_message *m)
{
	struct channel_status s = {.at = clock_monotonic()};
	uint32_t index, count;

	if (ipc_unpack(m, "uuuuuuuff", &index, &count, &s.generation, &s.worker, &s.pid, &s.state,
		&s.restarts, &s.started, &s.age) &&
	    index < count && resize_status(count))
		c->status[index] = s;
}

/* Our end of the channel to another worker; one that is restarted comes with a new one. */
static void take_peer(struct ipc_message *m)
{
	uint32_t number;

	if (ipc_unpack(m, "u", &number))
		peers_take(number, ipc_give_fd(m, 0));
}

static void keep_fd(int *to, struct ipc_message *m, int i)
{
	fd_close(to);
	*to = ipc_give_fd(m, i);
}

/* Whether it was for C alone. */
static bool take(struct ipc_message *m)
{
	switch ((enum ipc_type)m->header.type) {
	case IPC_STATUS: take_status(m); return true;
	case IPC_PEER: take_peer(m); return true;
	case IPC_KEYS: take_tickets(m); return true;
	case IPC_PREVIOUS:
		keep_fd(&c->previous_settings, m, 0);
		keep_fd(&c->previous_bundle, m, 1);
		return true;
	case IPC_PREVIOUS_PROGRAM: keep_fd(&c->previous_program, m, 0); return true;
	default: return false;
	}
}

static void take_bundle(struct ipc_message *m)
{
	c->bundle_error = take_settings(m) < 0 ? errno : 0; /* Lua says so */
	retime_beats();
}

static void deliver(struct ipc_message *m)
{
	if (c->lost && !orphan_heard(m)) {
		ipc_close_fds(m);
		return;
	}
	if (!take(m)) {
		if (m->header.type == IPC_BUNDLE)
			take_bundle(m);
		if (c->on_message)
			c->on_message(m);
	}
	ipc_close_fds(m);
}

/* Who asked for a reload is told; a step of an upgrade without what belongs to it is not taken, and
 * its time runs out. */
static void deliver_without_fds(struct ipc_message *m)
{
	log_error("the keeper's %s is lost: too many open files in this worker",
	    ipc_type_name(m->header.type));
	if (m->header.type == IPC_BUNDLE)
		c->bundle_error = EMFILE;
	if (c->on_message && (m->header.type == IPC_BUNDLE || m->header.type == IPC_RESULT))
		c->on_message(m);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	while (io.in) {
		struct queue *q = io.in;

		io.in = q->next;
		in = q->m;
		free(q);
		deliver(&in);
	}
	for (int i = 0; i < 16 && c->fd >= 0; i++) {
		int got = ipc_recv(c->fd, &in, IPC_FROM_KEEPER);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0 && errno == EMFILE) {
			deliver_without_fds(&in);
			continue;
		}
		if (got < 0)
			log_error("the keeper's channel: %s", strerror(errno));
		if (got <= 0)
			orphan_begin();
		else
			deliver(&in);
	}
}

int channel_wait(uint32_t id, double seconds, struct ipc_message *m_r)
{
	double due = clock_monotonic() + seconds;

	for (;;) {
		if (c->fd < 0) {
			errno = EPIPE;
			return -1;
		}
		if (next_message(due, m_r) < 0)
			return -1;
		if (m_r->header.id == id &&
		    (m_r->header.type == IPC_BOUND || m_r->header.type == IPC_RESULT))
			return 0;
		(void)queue_add(&io.in, m_r);
		if (io.loop)
			ev_feed_event(io.loop, &io.read, EV_READ);
	}
}

int channel_ready(void)
{
	background_end();
	c->ready = 1;
	c->is_ready = true;
	if (c->lost)
		return 0; /* the next keeper hears it with the rest */
	channel_start_beats();
	return channel_tell(IPC_READY, 0, "");
}

/* ---- the loop ---- */

static void watch(void)
{
	ev_io_init(&io.read, on_readable, c->fd, EV_READ);
	ev_io_init(&io.write, on_writable, c->fd, EV_WRITE);
	ev_set_priority(&io.read, EV_MAXPRI);
	ev_io_start(io.loop, &io.read);
}

static void unwatch(void)
{
	ev_io_stop(io.loop, &io.read);
	ev_io_stop(io.loop, &io.write);
	if (ev_is_active(&io.beat)) {
		ev_ref(io.loop);
		ev_timer_stop(io.loop, &io.beat);
	}
}

void channel_start(struct ev_loop *loop)
{
	io.loop = loop;
	watch();
	if (io.in)
		ev_feed_event(loop, &io.read, EV_READ);
	if (io.out)
		ev_io_start(loop, &io.write);
}

void channel_stop(void)
{
	if (!io.loop)
		return;
	orphan_stop();
	unwatch();
	io.loop = NULL;
}

struct ev_loop *channel_loop(void)
{
	return io.loop;
}

void channel_connect_take(int fd)
{
	c->fd = fd;
	watch();
}

void channel_disconnect(void)
{
	unwatch();
	while (io.out) {
		struct queue *q = io.out;

		io.out = q->next;
		ipc_close_fds(&q->m);
		free(q);
	}
	fd_close(&c->fd);
}
