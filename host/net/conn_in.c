#include "net/conn_parts.h"

#include "base/clock.h"
#include "net/neterr.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const char CONN_SHORT[] = "timeout";

static size_t most(const struct conn *c)
{
	size_t n = c->read_size ? c->read_size : c->loop->settings.read_size;

	return n < LOOP_BUFFER ? n : LOOP_BUFFER;
}

static size_t line_limit(const struct conn *c)
{
	return c->read_size ? c->read_size : c->loop->settings.line_limit;
}

static bool wanted(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->paused && !c->finishing && !c->upgrading &&
	       !c->handshaking;
}

static void owe(struct conn *c, size_t n)
{
	c->owed += c->rate * (float)n;
	if ((double)c->owed > c->loop->settings.min_wait && wanted(c)) {
		conn_pause_for(c, (double)c->owed);
		c->owed = 0;
	}
}

/* A rate limit is a pause as long as the bytes cost; many small reads cost as much as a large one.
 */
static inline void charge(struct conn *c, size_t n)
{
	if (c->rate > 0)
		owe(c, n);
}

/* True if the connection goes on. */
static bool too_long(struct conn *c)
{
	bool stays = c->skipping || c->loop->ops->line_too_long(c);

	if (c->state != CONN_OPEN)
		return false;
	if (!stays) {
		conn_fail(c, "line too long");
		return false;
	}
	c->skipping = true;
	return true;
}

bool conn_next_line(struct conn_lines *in, const char **line_r, size_t *n_r)
{
	struct conn *c = in->conn;

	while (in->done < in->n && c->lines && wanted(c)) {
		const char *from = in->bytes + in->done;
		size_t left = in->n - in->done;
		const char *end = memchr(from, '\n', left);
		size_t line = end ? (size_t)(end - from) : left;

		if (line > line_limit(c)) {
			if (!too_long(c))
				return false;
			if (!end)
				in->done = in->n;
		}
		if (!end)
			return false;
		in->done += line + 1;
		if (!c->skipping) {
			*line_r = from;
			*n_r = c->ends ? line + 1 : line - (line && from[line - 1] == '\r');
			return true;
		}
		c->skipping = false; /* that was the tail of a line that was too long */
	}
	return false;
}

/* Delivers a piece of up to `room` bytes, a shorter one with the word `last`. */
static inline void deliver_piece(
    struct conn *c, const char *bytes, size_t n, size_t room, const char *last)
{
	c->loop->ops->incoming(c, bytes, n, n < room && !c->datagram ? last : NULL);
	charge(c, n);
}

/* Delivers what it can; returns the number of bytes that are done with. */
static size_t feed(struct conn *c, const char *bytes, size_t n, const char *last)
{
	struct conn_lines in = {c, bytes, n, 0};

	while (in.done < n && wanted(c)) {
		const char *from = bytes + in.done;
		size_t left = n - in.done, room = most(c), piece = left < room ? left : room;

		if (c->lines) {
			c->loop->ops->lines(c, &in);
			if (c->lines)
				break;
			continue;
		}
		in.done += piece;
		deliver_piece(c, from, piece, room, last);
	}
	return in.done;
}

/* What came behind STARTTLS in the same read was not sent under TLS and never counts as if it had
 * been (CVE-2021-33515 and its kind). */
static bool injected(struct conn *c)
{
	if (!c->upgrading && !c->handshaking)
		return false;
	conn_fail(c, "plaintext behind starttls");
	return true;
}

static void leave_over(struct conn *c, const char *bytes, size_t n)
{
	if (!injected(c) && buf_append(&c->in, bytes, n) < 0)
		conn_fail(c, "out of memory");
}

static void deliver(struct conn *c, const char *bytes, size_t n, const char *last)
{
	size_t done, room = most(c);

	c->feeding = true;
	if (!c->lines && n <= room && wanted(c)) { /* nearly every read */
		deliver_piece(c, bytes, n, room, last);
		c->feeding = false;
		return;
	}
	done = feed(c, bytes, n, last);
	if (done < n && c->state == CONN_OPEN)
		leave_over(c, bytes + done, n - done);
	c->feeding = false;
	if (c->lines)
		charge(c, n);
}

/* From the queue, because a callback may not see the shared buffer of another turn. */
static void deliver_queued(struct conn *c, const char *last)
{
	struct buf *in = c->in;
	size_t done;

	c->in = NULL;
	c->feeding = true;
	done = feed(c, buf_peek(in), buf_len(in), last);
	c->feeding = false;
	if (c->state == CONN_OPEN && !(done < buf_len(in) && injected(c))) {
		c->in = in;
		buf_consume(&c->in, done);
	} else {
		buf_free(&in);
	}
}

static void on_end(struct conn *c, const char *why)
{
	c->ended = true;
	if (c->in && wanted(c)) {
		struct buf *in = c->in;

		c->in = NULL;
		if (!c->skipping)
			c->loop->ops->incoming(c, buf_peek(in), buf_len(in), "closed");
		buf_free(&in);
	}
	conn_close(c, why);
}

static void on_error(struct conn *c, int error)
{
	const char *why = conn_strerror(c, error);

	c->failed = true;
	conn_drop_output(c);
	if (strcmp(why, "closed") == 0)
		on_end(c, why);
	else
		conn_fail(c, why);
}

void conn_feed_leftover(struct conn *c)
{
	if (c->in && wanted(c))
		deliver_queued(c, CONN_SHORT);
	if (c->more && wanted(c))
		conn_readable(c);
}

enum { STREAM_GOES_ON = -1, STREAM_ENDED = 0 }; /* or an errno */

static int stream_state(ssize_t n)
{
	if (n == 0)
		return STREAM_ENDED;
	return n > 0 || errno == EAGAIN || errno == EINTR ? STREAM_GOES_ON : errno;
}

static void stream_end(struct conn *c, int state)
{
	if (state == STREAM_ENDED)
		on_end(c, "closed");
	else if (state != STREAM_GOES_ON)
		on_error(c, state);
}

static bool reads_on(struct conn *c)
{
	return !c->lines && !c->datagram && c->loop->ops->hears_end(c);
}

/* LuaSocket fills a read until nothing is left, and so hears of the end together with the last
 * bytes. That costs a receive more, which is made only for an owner who can hear the difference.
 * Adds to *n; returns the state of the stream behind these bytes. */
static int read_on(struct conn *c, char *bytes, size_t room, size_t *n)
{
	ssize_t more = 1;

	while (more > 0 && *n < room) {
		more = conn_transport(c)->recv(c, bytes + *n, room - *n);
		*n += more > 0 ? (size_t)more : 0;
	}
	return stream_state(more);
}

/* Receives up to `room` bytes: how many, the state of the stream behind them, and whether the owner
 * hears of that with them. */
static inline size_t fill(struct conn *c, char *bytes, size_t room, int *stream_r, bool *heard_r)
{
	ssize_t got = conn_transport(c)->recv(c, bytes, room);
	size_t n = got > 0 ? (size_t)got : 0;

	*stream_r = stream_state(got);
	*heard_r = n > 0 && n < room && reads_on(c);
	if (*heard_r)
		*stream_r = read_on(c, bytes, room, &n);
	return n;
}

/* What the last bytes come with; LuaSocket's "*a" takes the end for a success. */
static const char *last_word(struct conn *c, int state)
{
	if (state == STREAM_GOES_ON)
		return CONN_SHORT;
	if (state == STREAM_ENDED)
		return c->read_size < LOOP_BUFFER ? "closed" : NULL;
	return conn_strerror(c, state);
}

static void take_in(struct conn *c, const char *bytes, size_t n, const char *last)
{
	if (!c->in)
		deliver(c, bytes, n, last);
	else if (buf_append(&c->in, bytes, n) < 0)
		conn_fail(c, "out of memory");
	else
		deliver_queued(c, last);
}

static void receive(struct conn *c)
{
	size_t room = c->lines || conn_transport(c)->whole ? LOOP_BUFFER : most(c);
	bool heard;
	int stream;
	size_t n = fill(c, c->loop->rbuf, room, &stream, &heard);

	if (n > 0) {
		conn_touch_read(c);
		take_in(c, c->loop->rbuf, n, last_word(c, stream));
		if (stream == STREAM_GOES_ON || !wanted(c) || c->in)
			return; /* it is read again when it is wanted again */
	} else if (c->datagram && stream == STREAM_ENDED) {
		return; /* an empty packet */
	}
	stream_end(c, stream);
}

/* Nobody wants to read now. A transport that waits for room goes on with what it has to send by
 * itself, and with its read when that is wanted again: the socket, which has room, would else wake
 * us in each turn. */
static void put_off(struct conn *c)
{
	if (c->wants_write) {
		c->wants_write = false;
		c->more = true;
		if (conn_transport(c)->flush)
			conn_transport(c)->flush(c);
	}
	conn_watch(c);
}

/* A transport that is not the kernel's own: what it waits for may have changed. */
static void look_again(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_watch(c);
	if (c->more && wanted(c))
		ev_feed_event(c->loop->ev, &c->io, EV_CUSTOM);
	if (c->wants_read && c->out && !c->locked) {
		c->wants_read = false;
		conn_flush(c);
	}
}

void conn_readable(struct conn *c)
{
	if (!wanted(c)) {
		put_off(c);
		return;
	}
	receive(c);
	if (c->transport != TRANSPORT_PLAIN)
		look_again(c);
}

/* ---- the plain reads of a turn, in one call of ops->reads ----
 * In groups: a receive from each, then the callback of each, then a send to each. What is done many
 * times in a row finds its code and data in the caches, which a system call between would empty:
 * echo-64-16 takes 0.955, echo-64-1 0.967 and http-64 0.932 of the CPU that one connection after
 * the other takes, on an idle machine (beside four busy processes as much). An answer may so wait
 * for callbacks of others, HELD_BACK as a rule; where they take long, a group is one connection. */

static const double HELD_BACK = 100e-6; /* seconds */

void conn_list_readable(struct conn *c)
{
	struct conn_reads *r = &c->loop->reads;

	if (r->listed == READS_MOST)
		conn_read_listed(c->loop);
	conn_hold(c);
	r->list[r->listed++] = c;
}

bool conn_read_listed(struct loop *loop)
{
	struct conn_reads *r = &loop->reads;

	if (r->listed == 0)
		return false;
	loop->ops->reads(r);
	r->listed = r->done = r->next = r->got = 0;
	return true;
}

/* Receives from the next of the list, one piece behind the other, until the group is full. */
static void fill_group(struct conn_reads *r)
{
	size_t used = 0;

	r->next = r->got = 0;
	while (r->done < r->listed && r->got < r->most) {
		struct conn *c = r->list[r->done];
		struct conn_read *read = &r->group[r->got];
		size_t room = most(c);

		if (r->got && room > LOOP_BUFFER - used)
			return;
		r->done++;
		if (!conn_reads_plainly(c)) { /* what was read before it has changed it */
			if (c->state < CONN_CLOSED)
				ev_feed_event(c->loop->ev, &c->io, EV_READ);
			conn_release(c);
			continue;
		}
		read->conn = c;
		read->bytes = r->buffer + used;
		read->n = fill(c, r->buffer + used, room, &read->stream, &read->heard);
		read->heard = read->heard && read->n < room;
		if (read->n)
			conn_touch_read(c);
		used += (read->n + 15) & ~(size_t)15;
		r->got++;
	}
}

/* A callback of the group has changed it since it was read. What came to one that is paused stays
 * for later, what came to one that has ended is nobody's. */
static void deliver_changed(const struct conn_read *read)
{
	struct conn *c = read->conn;

	if (c->state != CONN_OPEN || c->finishing || read->n == 0)
		return;
	if (wanted(c))
		take_in(c, read->bytes, read->n, last_word(c, read->stream));
	else
		leave_over(c, read->bytes, read->n);
}

/* Of one that wants none now the end of the stream shows again when it is read again. */
static void let_rest(struct conn *c, int stream)
{
	if (stream != STREAM_GOES_ON && wanted(c) && !c->in)
		stream_end(c, stream);
	if (c->transport != TRANSPORT_PLAIN)
		look_again(c);
	conn_release(c);
}

/* True if there is something for its owner. */
static bool begin_read(struct conn_reads *r, const struct conn_read *read)
{
	struct conn *c = read->conn;
	bool plain = conn_reads_plainly(c);

	if (!plain || read->n == 0) {
		if (!plain)
			deliver_changed(read);
		let_rest(c, read->stream);
		return false;
	}
	r->conn = c;
	r->bytes = read->bytes;
	r->n = read->n;
	r->stream = read->stream;
	r->err = read->heard ? last_word(c, read->stream) : NULL;
	c->feeding = true;
	return true;
}

static void end_read(struct conn_reads *r)
{
	struct conn *c = r->conn;

	r->conn = NULL;
	if (c->feeding) {
		c->feeding = false;
		charge(c, r->n);
	}
	let_rest(c, r->stream);
}

static void begin_group(struct loop *loop)
{
	struct conn_reads *r = &loop->reads;

	fill_group(r);
	loop_enter(loop);
	r->looked = clock_coarse();
	r->began = clock_monotonic();
}

/* The next is twice as large, as long as its callbacks may be over within HELD_BACK. */
static void end_group(struct loop *loop)
{
	struct conn_reads *r = &loop->reads;
	double took = clock_monotonic() - r->began;
	unsigned most = r->most * 2;

	r->began = 0;
	loop_leave(loop);
	if (r->got == 0)
		return;
	if (most > GROUP_MOST)
		most = GROUP_MOST;
	while (most > 1 && took * most > HELD_BACK * r->got)
		most /= 2;
	r->most = most;
}

/* A callback took long, or they write much: what the group has written leaves before its end. */
static void let_go(struct loop *loop)
{
	double now = clock_coarse();

	if (now == loop->reads.looked && loop->cork.len < CORK_SIZE / 2)
		return;
	loop->reads.looked = now;
	loop_leave(loop);
	loop_enter(loop);
}

bool conn_next_read(struct conn_reads *r)
{
	struct loop *loop = (struct loop *)((char *)r - offsetof(struct loop, reads));

	if (r->conn)
		end_read(r);
	for (;;) {
		while (r->next < r->got) {
			if (r->next > 0)
				let_go(loop);
			if (begin_read(r, &r->group[r->next++]))
				return true;
		}
		if (r->began > 0)
			end_group(loop);
		if (r->done == r->listed)
			return false;
		begin_group(loop);
	}
}
