#include "net/conn.h"

#include "net/conn_parts.h"
#include "net/limits.h"
#include "net/listener.h"
#include "net/neterr.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char *const STATE_NAMES[] = {"connecting", "open", "closing", "closed"};
static const char *const CLASS_NAMES[] = {"client", "peer", "admin"};

const char *conn_state_name(enum conn_state state)
{
	return STATE_NAMES[state];
}

const char *conn_class_name(enum conn_class klass)
{
	return CLASS_NAMES[klass];
}

_Static_assert(sizeof(struct conn) <= 176, "see conn.h: an idle connection");

void conn_released(struct conn *c)
{
	struct listener *server = c->server;

	c->loop->ops->released(c);
	if (server) /* last: the owner of the connection may still ask its listener */
		listener_conn_gone(server);
}

/* ---- interest and deadlines ---- */

void conn_watch(struct conn *c)
{
	int events = 0;

	if (c->handshaking) {
		events = c->wants_write ? EV_WRITE : EV_READ;
	} else if (c->state == CONN_CONNECTING) {
		events = EV_WRITE;
	} else if (c->state < CONN_CLOSED) {
		if (c->state == CONN_OPEN && !c->paused && !c->upgrading)
			events = EV_READ;
		if ((c->out && !c->locked && !c->wants_read) || c->wants_write)
			events |= EV_WRITE;
	}
	if ((c->io.events & (EV_READ | EV_WRITE)) == events &&
	    ev_is_active(&c->io) == (events != 0))
		return;
	ev_io_stop(c->loop->ev, &c->io);
	ev_io_modify(
	    &c->io, events); /* keeps libev from a needless EPOLL_CTL_MOD, unlike ev_io_set */
	if (events)
		ev_io_start(c->loop->ev, &c->io);
}

void conn_arm(struct conn *c, uint32_t due)
{
	if (!c->deadline.link || (int32_t)(due - c->deadline.due) < 0)
		loop_deadline(c->loop, &c->deadline, due);
}

static uint32_t due_after(struct conn *c, double seconds)
{
	uint32_t due;

	if (!loop_ticks_in(seconds))
		return 0;
	due = loop_tick_after(c->loop, seconds);
	conn_arm(c, due);
	return due;
}

double conn_read_timeout(const struct conn *c)
{
	return c->read_timeout > 0 ? (double)c->read_timeout : c->loop->settings.read_timeout;
}

void conn_touch(struct conn *c)
{
	c->deadline.own = due_after(c, conn_read_timeout(c));
}

void conn_touch_read(struct conn *c)
{
	const struct loop *loop = c->loop;
	uint32_t ticks =
	    c->read_timeout > 0 ? loop_ticks_in((double)c->read_timeout) : loop->read_ticks;
	uint32_t due = loop->tick + ticks;

	c->deadline.own = ticks ? due : 0;
	if (ticks)
		conn_arm(c, due);
}

void conn_set_read_timeout(struct conn *c, double seconds)
{
	if (c->state < CONN_CLOSING)
		c->deadline.own = due_after(c, seconds);
}

void conn_set_write_timeout(struct conn *c, double seconds)
{
	if (c->state < CONN_CLOSED && !c->handshaking)
		c->write_due = due_after(c, seconds);
}

static bool is_due(uint32_t *due, uint32_t now)
{
	if (!*due || (int32_t)(*due - now) > 0)
		return false;
	*due = 0;
	return true;
}

static void on_read_timeout(struct conn *c)
{
	bool stays = c->loop->ops->read_timeout(c);

	if (c->state != CONN_OPEN)
		return;
	if (!stays)
		conn_fail(c, "read timeout");
	else if (!c->deadline.own && !c->paused)
		conn_touch(c);
}

static void rearm(struct conn *c)
{
	const uint32_t dues[] = {c->deadline.own, c->write_due, c->resume_due};

	for (int i = 0; i < 3; i++)
		if (dues[i])
			conn_arm(c, dues[i]);
}

/* Prosody's words, of a handshake too: it waits for one with the timer of writes. */
static const char *overdue(const struct conn *c)
{
	return c->state == CONN_CONNECTING ? "connection timeout" : "write timeout";
}

void conn_expire(struct wheel_item *item)
{
	struct conn *c = (struct conn *)((char *)item - offsetof(struct conn, deadline));
	uint32_t now = loop_tick_now(c->loop);

	loop_enter(c->loop);
	conn_hold(c);
	if (is_due(&c->resume_due, now))
		conn_resume(c);
	if (is_due(&c->write_due, now))
		conn_fail(c, overdue(c));
	else if (is_due(&c->deadline.own, now))
		on_read_timeout(c);
	if (c->state < CONN_CLOSED)
		rearm(c);
	conn_release(c);
	loop_leave(c->loop);
}

/* ---- events ---- */

static void on_connected(struct conn *c)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error) {
		conn_fail(c, net_strerror(error));
		return;
	}
	c->write_due = 0;
	if (c->upgrading) {
		conn_handshake_begin(c, true);
		return;
	}
	c->state = CONN_OPEN;
	if (!c->paused)
		conn_touch(c);
	conn_watch(c);
	c->loop->ops->connect(c);
	if (c->state == CONN_OPEN && !c->dirty)
		conn_flush(c); /* Prosody: a new client drains once, even with nothing queued */
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
	struct conn *c = (struct conn *)((char *)w - offsetof(struct conn, io));
	struct loop *loop = c->loop;

	(void)ev;
	if (revents == EV_READ && conn_reads_plainly(c) && c->klass != CONN_ADMIN) {
		conn_list_readable(c);
		return;
	}
	loop_enter(loop);
	conn_hold(c);
	if (c->handshaking) {
		conn_handshake(c);
	} else if (c->state == CONN_CONNECTING) {
		on_connected(c);
	} else {
		if (revents & EV_CUSTOM)
			conn_feed_leftover(c);
		if ((revents & EV_READ) || ((revents & EV_WRITE) && c->wants_write))
			conn_readable(c);
		if ((revents & EV_WRITE) && c->state < CONN_CLOSED && c->out && !conn_holds_back(c))
			conn_flush(c);
	}
	conn_release(c);
	loop_leave(loop);
}

/* ---- beginning ---- */

void conn_init(struct conn *c, struct loop *loop)
{
	memset(c, 0, sizeof *c);
	ev_io_init(&c->io, on_io, -1, 0);
	c->loop = loop;
	c->transport = TRANSPORT_PLAIN;
	c->state = CONN_CLOSED;
}

static void start(struct conn *c, int fd, enum conn_class klass, enum conn_state state)
{
	struct loop *loop = c->loop;

	ev_io_set(&c->io, fd, 0);
	c->state = (uint8_t)state;
	c->klass = (uint8_t)klass;
	urgent_set(loop, &c->io, klass == CONN_ADMIN);
	c->serial = ++loop->serials;
	c->born = loop_tick_now(loop);
	c->next = loop->conns;
	if (c->next)
		c->next->link = &c->next;
	c->link = &loop->conns;
	loop->conns = c;
	loop->open_conns++;
	conn_watch(c);
}

void conn_accept_take(struct conn *c, int fd, enum conn_class klass)
{
	start(c, fd, klass, c->upgrading ? CONN_CONNECTING : CONN_OPEN);
	if (c->upgrading)
		conn_handshake_begin(c, false);
	else
		conn_touch(c);
}

void conn_set_peer(struct conn *c, struct limits_peer *peer)
{
	c->io.data = peer;
}

void conn_adopt_take(struct conn *c, int fd, enum conn_class klass)
{
	int type = SOCK_STREAM;
	socklen_t size = sizeof type;

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	c->datagram = type == SOCK_DGRAM;
	start(c, fd, klass, CONN_CONNECTING);
	c->write_due = due_after(c, c->loop->settings.connect_timeout);
}

/* ---- end ---- */

static void unlist(struct conn *c)
{
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
	c->loop->open_conns--;
}

/* What it keeps for itself; input and `why` share their place. */
static void free_parts(struct conn *c)
{
	struct limits_peer *peer = c->io.data;

	conn_drop_output(c);
	if (c->state != CONN_CLOSING)
		buf_free(&c->in);
	c->in = NULL;
	c->io.data = NULL;
	limits_leave(c->loop->limits, &peer);
	if (c->upgrading)
		transports[c->secret->transport]->fini(c);
	else if (conn_transport(c)->fini)
		conn_transport(c)->fini(c);
	c->upgrading = false;
	conn_handshake_end(c);
}

void conn_destroy(struct conn *c)
{
	int fd = c->io.fd;

	if (c->state == CONN_CLOSED)
		return;
	conn_hold(c);
	if (c->state != CONN_CONNECTING || c->handshaking) {
		conn_flush_last(c);
		if (conn_transport(c)->bye)
			conn_transport(c)->bye(c);
		if (!c->ended)
			conn_transport(c)->discard(c);
	}
	ev_io_stop(c->loop->ev, &c->io);
	urgent_remove(c->loop, &c->io);
	wheel_remove(&c->loop->wheel, &c->deadline);
	unlist(c);
	free_parts(c);
	ev_io_set(&c->io, -1, 0);
	c->state = CONN_CLOSED;
	close(fd);
	conn_release(c);
}

static void finish(struct conn *c, const char *why)
{
	if (c->state == CONN_CLOSED || c->finishing)
		return;
	c->finishing = true;
	conn_hold(c);
	c->loop->ops->disconnect(c, why);
	conn_destroy(c);
	conn_release(c);
}

void conn_fail(struct conn *c, const char *why)
{
	loop_enter(c->loop);
	finish(c, why);
	loop_leave(c->loop);
}

void conn_close(struct conn *c, const char *why)
{
	if (c->state >= CONN_CLOSING || c->finishing)
		return;
	if (c->state == CONN_CONNECTING || c->handshaking || c->failed || (!c->dirty && !c->out)) {
		conn_fail(c, why);
		return;
	}
	buf_free(&c->in); /* nobody will read it */
	c->state = CONN_CLOSING;
	c->why = why;
	c->locked = false;
	c->deadline.own = c->resume_due = 0;
	conn_watch(c);
	if (!c->dirty)
		conn_set_write_timeout(c, c->loop->settings.send_timeout);
}

void conn_fini(struct conn *c)
{
	if (c->state == CONN_CLOSED) {
		if (c->upgrading) /* it never began */
			transports[c->secret->transport]->fini(c);
		c->upgrading = false;
		return;
	}
	c->finishing = true;
	c->holds++; /* never let go: `released` is not called */
	conn_destroy(c);
}

/* ---- reading off and on ---- */

void conn_pause(struct conn *c)
{
	/* the watcher stays until the next event: most pauses are over before that */
	c->paused = true;
	c->deadline.own = 0;
}

void conn_resume(struct conn *c)
{
	c->resume_due = 0;
	if (!c->paused || c->state >= CONN_CLOSING) {
		c->paused = false;
		return;
	}
	c->paused = false;
	if (c->state == CONN_OPEN)
		conn_touch(c);
	conn_watch(c);
	if ((c->in || c->more) && !c->feeding)
		ev_feed_event(c->loop->ev, &c->io, EV_CUSTOM);
}

void conn_pause_for(struct conn *c, double seconds)
{
	if (c->state >= CONN_CLOSING)
		return;
	c->resume_due = 0;
	if (seconds < 0)
		return;
	conn_pause(c);
	c->resume_due = due_after(c, seconds > 0 ? seconds : 1e-3);
}

void conn_set_mode(struct conn *c, enum conn_mode mode, size_t size)
{
	c->lines = mode != CONN_BYTES;
	c->ends = mode == CONN_WHOLE_LINES;
	c->skipping = false;
	c->read_size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
	if (c->state == CONN_OPEN && c->in && !c->feeding && !c->paused)
		ev_feed_event(c->loop->ev, &c->io, EV_CUSTOM);
}

/* ---- writing off and on ---- */

void conn_lock_writes(struct conn *c)
{
	if (c->state >= CONN_CLOSING)
		return;
	c->locked = true;
	if (!c->handshaking)
		c->write_due = 0;
	conn_watch(c);
}

void conn_unlock_writes(struct conn *c)
{
	if (!c->locked)
		return;
	c->locked = false;
	if (c->out && c->state == CONN_OPEN)
		conn_set_write_timeout(c, c->loop->settings.send_timeout);
	conn_watch(c);
}
