#include "net/conn_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* ---- what is corked ---- */

/* Moves what it has corked to its queue. */
static int spill(struct conn *c)
{
	struct cork *k = &c->loop->cork;
	struct cork_piece *piece = cork_find(k, c);
	int r;

	if (!piece)
		return 0;
	r = buf_append(&c->out, cork_bytes(k, piece), piece->n);
	cork_drop(k, piece);
	return r;
}

const char *conn_corked(const struct conn *c, size_t *n_r)
{
	struct cork_piece *piece = cork_find(&c->loop->cork, c);

	*n_r = piece ? piece->n : 0;
	return piece ? cork_bytes(&c->loop->cork, piece) : NULL;
}

size_t conn_queued(const struct conn *c)
{
	size_t corked;

	(void)conn_corked(c, &corked);
	return buf_len(c->out) + corked;
}

void conn_drop_output(struct conn *c)
{
	struct cork_piece *piece = cork_find(&c->loop->cork, c);

	if (piece)
		cork_drop(&c->loop->cork, piece);
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
	ssize_t sent = send_some(c, buf_peek(c->out), buf_len(c->out));

	if (sent > 0)
		buf_consume(&c->out, (size_t)sent);
	return sent < 0 ? -1 : 0;
}

static inline int push(struct conn *c)
{
	struct cork *k = &c->loop->cork;
	struct cork_piece *piece;
	ssize_t sent;

	if (c->out)
		return push_queued(c);
	piece = cork_find(k, c);
	if (!piece)
		return 0;
	sent = send_some(c, cork_bytes(k, piece), piece->n);
	if (sent >= 0 && (size_t)sent < piece->n &&
	    buf_append(&c->out, cork_bytes(k, piece) + sent, piece->n - (size_t)sent) < 0)
		sent = -1;
	cork_drop(k, piece);
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
	if (spill(c) < 0)
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

/* The cork has no room for these bytes, or another's are behind what it has there. Little waits in
 * the queue; of much goes at once what the kernel takes. */
static int write_past(struct conn *c, const char *bytes, size_t n)
{
	enum { MUCH = CORK_SIZE / 4 };
	ssize_t sent = 0;

	if (conn_queued(c) + n < MUCH)
		return spill(c) < 0 ? -1 : enqueue(c, bytes, n);
	if (conn_push(c) < 0)
		goto fail;
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
	if (c->out || conn_holds_back(c))
		return spill(c) < 0 ? -1 : enqueue(c, bytes, n);
	return write_past(c, bytes, n);
}

/* NULL: not within the cork. A dirty one may have a piece that is not the last. */
static inline char *cork_room(struct conn *c, size_t n)
{
	struct cork *k = &c->loop->cork;
	char *room = c->dirty ? cork_more(k, c, n) : NULL;

	if (!room && (!c->dirty || !cork_find(k, c)))
		room = cork_begin(k, c, n);
	return room;
}

int conn_write(struct conn *c, const void *bytes, size_t n)
{
	char *room = NULL;

	if (c->state == CONN_OPEN && !c->finishing && !c->upgrading && !c->handshaking &&
	    !c->locked && !c->failed && !c->datagram && !c->out && n)
		room = cork_room(c, n);
	if (!room)
		return write_slow(c, bytes, n);
	if (!c->dirty)
		mark_dirty(c);
	memcpy(room, bytes, n);
	return 0;
}
