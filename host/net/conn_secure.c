/* From one transport to another that begins with a handshake: when it begins, its steps, its end.
 */
#include "net/conn_parts.h"

#include "net/limits.h"
#include "net/neterr.h"

#include <errno.h>

const char *conn_strerror(struct conn *c, int error)
{
	return conn_transport(c)->why ? conn_transport(c)->why(c, error) : net_strerror(error);
}

int conn_secure_take(struct conn *c, struct conn_secret *secret)
{
	bool open = c->state == CONN_OPEN;

	if (c->secret || c->state == CONN_CLOSING || c->finishing) {
		errno = EINVAL;
		return -1;
	}
	c->upgrading = true;
	c->secret = secret;
	if (!open)
		return 0;
	c->deadline.own = 0;
	if (c->in) {
		conn_fail(c, "plaintext behind starttls");
		return 0;
	}
	/* now, so that what is written from here on cannot go with it */
	if (!c->failed && !c->locked && conn_push(c) == 0 && conn_queued(c) == 0)
		conn_handshake_begin(c, true);
	else
		conn_watch(c);
	return 0;
}

/* Only who came to us is counted, and class admin never: whom we connect to is our own affair. */
static bool may_begin(struct conn *c)
{
	if (!c->server || c->klass == CONN_ADMIN)
		return true;
	c->shaking = limits_handshake_enter(c->loop->limits);
	if (!c->shaking)
		limits_refused(c->loop->limits, LIMIT_HANDSHAKES);
	return c->shaking;
}

void conn_handshake_end(struct conn *c)
{
	c->handshaking = false;
	if (c->shaking)
		limits_handshake_leave(c->loop->limits);
	c->shaking = false;
}

void conn_handshake_begin(struct conn *c, bool at_once)
{
	double timeout = c->loop->settings.handshake_timeout;

	if (!may_begin(c)) {
		conn_fail(c, "too many handshakes");
		return;
	}
	conn_set_write_timeout(c, timeout > 0 ? timeout : -1);
	c->transport = c->secret->transport;
	c->upgrading = false;
	c->handshaking = true;
	c->wants_write = at_once;
	conn_watch(c);
	c->loop->ops->securing(c);
}

static void done(struct conn *c)
{
	bool first = c->state == CONN_CONNECTING;

	conn_handshake_end(c);
	c->wants_write = false;
	c->write_due = 0;
	c->state = CONN_OPEN;
	if (!c->paused)
		conn_touch(c);
	conn_watch(c);
	c->loop->ops->secured(c);
	if (first && c->state == CONN_OPEN)
		c->loop->ops->connect(c);
	if (c->state == CONN_OPEN && !c->dirty && !c->locked && (first || c->out))
		conn_flush(c);
}

/* The first data often comes with the last step of the handshake: it is answered in the same turn,
 * and the answer takes along what the handshake itself has still to send. */
static void go_on(struct conn *c)
{
	conn_feed_leftover(c);
	if (c->loop->depth == 1)
		conn_flush_dirty(c->loop);
	if (c->state == CONN_CLOSED || !conn_transport(c)->flush)
		return;
	conn_transport(c)->flush(c);
	conn_watch(c);
}

void conn_handshake(struct conn *c)
{
	if (conn_transport(c)->handshake(c) == 0) {
		done(c);
		go_on(c);
	} else if (errno == EAGAIN || errno == EINTR) {
		conn_watch(c);
	} else {
		conn_fail(c, conn_strerror(c, errno));
	}
}
