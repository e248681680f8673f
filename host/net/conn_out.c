#include "net/conn_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the cork ----
 * One buffer for the loop holds what the callback wrote to one connection. A second connection that
 * is written to moves the first one's bytes to its own queue, so each sends once, however they
 * alternate. */

static bool has_cork(const struct conn *c)
{
	return c->loop->cork.owner == c;
}

static void uncork(struct cork *k)
{
	k->owner = NULL;
	k->len = 0;
}

/* Moves corked bytes to the queue of their connection. */
static int spill(struct cork *k)
{
	struct conn *c = k->owner;
	int r = c ? buf_append(&c->out, k->data, k->len) : 0;

	uncork(k);
	return r;
}

size_t conn_queued(const struct conn *c)
{
	return buf_len(c->out) + (has_cork(c) ? c->loop->cork.len : 0);
}

void conn_drop_output(struct conn *c)
{
	if (has_cork(c))
		uncork(&c->loop->cork);
	buf_free(&c->out);
}

/* In a flush list it is held: it may be closed before its turn comes. */
static void mark_dirty(struct conn *c)
{
	struct cork *k = &c->loop->cork;
	struct conn ***tail = c->loop->depth && !k->flushing ? &k->dirty_tail : &k->later_tail;

	c->dirty = true;
	c->dirty_next = NULL;
	**tail = c;
	*tail = &c->dirty_next;
	conn_hold(c);
}

/* ---- sending ---- */

static bool is_full(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* Sends up to a chunk; bytes taken, or -1 with errno when the connection is broken. */
static inline ssize_t send_some(struct conn *c, const char *bytes, size_t n)
{
	size_t chunk = c->loop->settings.max_send_chunk;
	ssize_t sent = conn_transport(c)->send(c, bytes, n < chunk ? n : chunk);

	if (sent < 0 && is_full(errno))
		return 0;
	return sent;
}

static int push_queued(struct conn *c)
{
	ssize_t sent;

	if (has_cork(c) && spill(&c->loop->cork) < 0)
		return -1;
	sent = send_some(c, buf_peek(c->out), buf_len(c->out));
	if (sent > 0)
		buf_consume(&c->out, (size_t)sent);
	return sent < 0 ? -1 : 0;
}

static inline int push(struct conn *c)
{
	struct cork *k = &c->loop->cork;
	ssize_t sent;

	if (c->out)
		return push_queued(c);
	if (!has_cork(c))
		return 0;
	sent = send_some(c, k->data, k->len);
	if (sent >= 0 && (size_t)sent < k->len &&
	    buf_append(&c->out, k->data + sent, k->len - (size_t)sent) < 0)
		sent = -1;
	uncork(k);
	return sent < 0 ? -1 : 0;
}

int conn_push(struct conn *c)
{
	return push(c);
}

/* Output is lost, but the peer may have sent something before it went: the read side finds out. */
static void broken(struct conn *c, int error)
{
	c->failed = true;
	c->write_due = 0;
	conn_drop_output(c);
	if (c->state == CONN_CLOSING || c->paused || (error != EPIPE && error != ECONNRESET))
		conn_fail(c, c->state == CONN_CLOSING && c->why ? c->why : conn_strerror(c, error));
	else
		conn_watch(c);
}

/* What is left waits for room. */
static void wait_for_room(struct conn *c, size_t before)
{
	if (!c->write_due || buf_len(c->out) != before)
		conn_set_write_timeout(c, c->loop->settings.send_timeout);
	conn_watch(c);
}

/* All has gone; returns false if that ended it, or began a handshake. */
static bool sent_all(struct conn *c)
{
	if (c->state == CONN_CLOSING) {
		conn_fail(c, c->why);
		return false;
	}
	if (c->upgrading) {
		conn_handshake_begin(c, true); /* Prosody: in the place of ondrain */
		return false;
	}
	if ((c->io.events & EV_WRITE) || c->paused)
		conn_watch(c);
	return true;
}

/* Neither closed nor failed. */
static inline void flush_now(struct conn *c)
{
	size_t before = buf_len(c->out);

	if (push(c) < 0) {
		broken(c, errno);
		return;
	}
	if (c->out) {
		wait_for_room(c, before);
		return;
	}
	c->write_due = 0;
	if (!sent_all(c))
		return;
	if (c->loop->hears_drain)
		c->loop->ops->drain(c);
}

static inline bool flushes(const struct conn *c)
{
	return c->state != CONN_CLOSED && !c->failed;
}

void conn_flush(struct conn *c)
{
	bool was = c->dirty;

	c->dirty = true; /* what predrain writes goes out with the rest */
	if (c->loop->hears_drain)
		c->loop->ops->predrain(c);
	c->dirty = was;
	if (flushes(c))
		flush_now(c);
}

void conn_flush_last(struct conn *c)
{
	if (!c->failed && !conn_holds_back(c) && conn_queued(c))
		conn_push(c);
}

int conn_half_close(struct conn *c)
{
	if (c->state == CONN_CLOSED) {
		errno = EBADF;
		return -1;
	}
	if (conn_transport(c)->bye)
		conn_transport(c)->bye(c);
	return shutdown(c->io.fd, SHUT_WR);
}

/* ---- the flush lists ---- */

static void keep_back(struct conn *c)
{
	if (has_cork(c) && spill(&c->loop->cork) < 0)
		conn_fail(c, "out of memory");
}

static inline void flush_listed(struct conn *c)
{
	if (c->loop->hears_drain && flushes(c) && !conn_holds_back(c))
		c->loop->ops->predrain(c); /* what it writes goes out with the rest */
	c->dirty = false;
	if (flushes(c) && conn_holds_back(c))
		keep_back(c);
	else if (flushes(c))
		flush_now(c);
	conn_release(c); /* as mark_dirty held it */
}

static void flush_list(struct conn *c)
{
	struct conn *next;

	for (; c; c = next) {
		next = c->dirty_next;
		flush_listed(c);
	}
}

static struct conn *take_list(struct conn **head, struct conn ***tail)
{
	struct conn *list = *head;

	*head = NULL;
	*tail = head;
	return list;
}

void conn_flush_dirty(struct loop *loop)
{
	struct cork *k = &loop->cork;

	if (k->flushing)
		return;
	k->flushing = true;
	flush_list(take_list(&k->dirty, &k->dirty_tail));
	k->flushing = false;
}

void conn_flush_later(struct loop *loop)
{
	struct cork *k = &loop->cork;

	if (!k->later)
		return;
	loop_enter(loop);
	k->flushing = true;
	flush_list(take_list(&k->later, &k->later_tail));
	k->flushing = false;
	loop_leave(loop);
}

/* ---- writing ---- */

static int write_packet(struct conn *c, const void *bytes, size_t n)
{
	if (conn_transport(c)->send(c, bytes, n) >= 0 || is_full(errno))
		return 0; /* a datagram may be lost, as always */
	return -1;
}

/* Puts the bytes at the end of the queue, within the bound. */
static int enqueue(struct conn *c, const char *bytes, size_t n)
{
	size_t limit = c->loop->settings.max_send_buffer_size;

	if (buf_len(c->out) + n > limit && !conn_holds_back(c) && c->state == CONN_OPEN && c->out)
		conn_push(c); /* an error shows again at the flush */
	if (buf_len(c->out) + n > limit) {
		if (!c->locked)
			conn_fail(c, "no space left in buffer");
		errno = ENOBUFS;
		return -1;
	}
	return buf_append(&c->out, bytes, n);
}

/* More than the cork takes: what is corked goes first, then as much as the kernel takes now. */
static int write_through(struct conn *c, const char *bytes, size_t n)
{
	struct cork *k = &c->loop->cork;
	ssize_t sent = 0;

	if (has_cork(c) && conn_push(c) < 0)
		goto fail;
	if (!c->out && n <= LOOP_BUFFER) {
		k->owner = c;
		memcpy(k->data, bytes, n);
		k->len = n;
		return 0;
	}
	if (!c->out)
		sent = send_some(c, bytes, n);
	if (sent < 0)
		goto fail;
	return (size_t)sent == n ? 0 : enqueue(c, bytes + sent, n - (size_t)sent);
fail:
	broken(c, errno);
	return 0;
}

static int write_slow(struct conn *c, const char *bytes, size_t n)
{
	struct cork *k = &c->loop->cork;

	if (c->state > CONN_OPEN || c->finishing) {
		errno = EPIPE;
		return -1;
	}
	if (n == 0 || c->failed)
		return 0;
	if (c->upgrading && c->state == CONN_OPEN) { /* it would go unencrypted */
		errno = ENOBUFS;
		return -1;
	}
	if (c->datagram)
		return write_packet(c, bytes, n);
	if (!c->dirty)
		mark_dirty(c);
	if (c->out || conn_holds_back(c)) {
		if (has_cork(c) && spill(k) < 0)
			return -1;
		return enqueue(c, bytes, n);
	}
	if (k->owner && k->owner != c && spill(k) < 0)
		return -1;
	return write_through(c, bytes, n);
}

int conn_write(struct conn *c, const void *bytes, size_t n)
{
	struct cork *k = &c->loop->cork;

	if (c->state == CONN_OPEN && !c->finishing && !c->upgrading && !c->handshaking &&
	    !c->locked && !c->failed && !c->datagram && !c->out && n &&
	    (!k->owner || k->owner == c) && k->len + n <= LOOP_BUFFER) {
		if (!c->dirty)
			mark_dirty(c);
		memcpy(k->data + k->len, bytes, n);
		k->len += n;
		k->owner = c;
		return 0;
	}
	return write_slow(c, bytes, n);
}
