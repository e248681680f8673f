/* One connection: a socket, its transport, its state, its deadlines, its output.
 *
 *   conn_connect ──> CONNECTING ──────────┐
 *                        │ connected      │ refused, connect_timeout, close, destroy
 *   conn_accept ───────> OPEN ────────────┤
 *                        │ close with output waiting, end of input
 *                        v                │ closed, error, timeouts, destroy
 *                     CLOSING ──> CLOSED <┘
 *                  (no reads, no writes; flushes)
 *
 * ops->disconnect is called exactly once, before CLOSED, unless conn_destroy came first. Any conn_*
 * function may be called in any callback: the connection stays usable memory (CLOSED, fd -1) until
 * the last frame has gone; then ops->released is called, once, and the owner of the storage may let
 * go.
 *
 * Input that arrives while paused waits in the kernel. Output is corked (cork.h), sent directly,
 * and queued only as far as the kernel does not take it; a failed send discards output and leaves
 * it to the read side to deliver what the peer still sent and then to report the end. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/transport.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct limits_peer;

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_CLOSING, CONN_CLOSED };
/* How input is cut: as it comes, "*l", "*L" (lines with their ends). */
enum conn_mode { CONN_BYTES, CONN_LINES, CONN_WHOLE_LINES };
enum conn_class { CONN_CLIENT, CONN_PEER, CONN_ADMIN };

/* LuaSocket's word for a read that could have brought more; compare the pointer. */
extern const char CONN_SHORT[];

/* Bytes in which lines end; of conn_in.c. */
struct conn_lines {
	struct conn *conn;
	const char *bytes;
	size_t n, done;
};

/* The next whole line, in mode "*l" without its end, which is the owner's now: false when there is
 * none, or when the connection wants none any more (closed, paused, another mode). Calls
 * line_too_long. */
bool conn_next_line(struct conn_lines *lines, const char **line_r, size_t *n_r);

/* Goes on to the next connection of the turn that something has come for, and ends the read of the
 * one before, whatever became of it: false when there is none left. Calls other ops on the way. */
bool conn_next_read(struct conn_reads *reads);

/* What the owner of all connections of a loop does (loop->ops); called between loop_enter and
 * loop_leave. */
struct conn_ops {
	void (*connect)(struct conn *conn);
	/* err: NULL; CONN_SHORT when less than read_size came; "closed" (or another word of
	 * disconnect, which follows) with the last unended line, and with the last bytes of a
	 * stream where the owner hears_end. */
	void (*incoming)(struct conn *conn, const char *bytes, size_t n, const char *err);
	/* Plain connections in mode bytes have something: takes all by conn_next_read, and does for
	 * each what incoming does. One call of Lua that catches errors is enough for all of them.
	 */
	void (*reads)(struct conn_reads *reads);
	/* Lines have come: takes them by conn_next_line, until there is none. */
	void (*lines)(struct conn *conn, struct conn_lines *lines);
	bool (*hears_end)(struct conn *conn); /* asked at short reads: incoming's err is of use */
	/* Before a send; all output has gone to the kernel. Not called before loop->hears_drain is
	 * set: to ask each time whether somebody listens cost 50 of the 2,300 instructions of a
	 * read, and hardly anybody does. */
	void (*predrain)(struct conn *conn);
	void (*drain)(struct conn *conn);
	bool (*read_timeout)(struct conn *conn);  /* true: goes on */
	bool (*line_too_long)(struct conn *conn); /* true: the rest of the line is skipped */
	void (*securing)(struct conn *conn);      /* a handshake is about to begin */
	void (*secured)(
	    struct conn *conn); /* it is done; before connect, if that is still to come */
	void (*disconnect)(struct conn *conn, const char *why); /* NULL: our own close */
	void (*released)(struct conn *conn); /* nothing in net/ points to it any more */
};

/* In the order of use: a read that is answered touches the first part only. An idle connection is
 * held to 320 bytes with what Lua and libev keep for it, so this stays within 176. */
struct conn {
	ev_io io;          /* io.fd: ro, -1 when closed; io.data: private, its limits_peer */
	struct loop *loop; /* ro */
	union {
		struct buf *in;  /* private: an unended line, or what a pause left over */
		const char *why; /* private, of CLOSING: for disconnect, static storage */
	};
	struct buf *out;            /* private: what the kernel did not take */
	struct conn *dirty_next;    /* private */
	struct wheel_item deadline; /* private: the earliest of the dues; own: that of reading */
	uint32_t write_due;         /* private: ticks, 0 = off, as all dues */
	float read_timeout;         /* seconds; 0 = the setting's */
	float rate;                 /* seconds a byte; 0 = no limit */
	uint32_t read_size;         /* 0 = the setting's; in line mode the most bytes of a line */
	uint16_t holds;             /* private: frames */
	uint8_t state;              /* ro: enum conn_state */
	uint8_t klass;              /* ro: enum conn_class */
	/* what stands in the way of reading or writing comes first: one test for all */
	bool paused : 1;    /* reads: by the owner, or for a while */
	bool finishing : 1; /* private: disconnect has been or is being called */
	bool
	    upgrading : 1; /* private: a handshake is to come, of the transport that secret names */
	bool handshaking : 1; /* ro: nothing is delivered or sent; write_due is its deadline */
	bool locked : 1;      /* writes are held back */
	bool failed : 1;      /* private: a send failed, output is discarded */
	bool datagram : 1;    /* one write is one packet */
	bool lines : 1;       /* mode "*l" or "*L" */
	bool ends : 1;        /* mode "*L" */
	bool dirty : 1;       /* private: in a flush list */
	bool feeding : 1;     /* private: input is being delivered */
	bool skipping : 1;    /* private: until the end of a line that is too long */
	bool ended : 1;       /* private: the peer has sent its last byte */
	bool wants_write : 1; /* of the transport: a read or the handshake waits for room */
	bool wants_read : 1;  /* of the transport: a send waits for input */
	bool more : 1;        /* of the transport: recv has something that the kernel has not */
	bool shaking : 1;     /* private: its handshake counts among max_handshakes */
	uint8_t transport;    /* ro: enum transport_kind */

	uint32_t resume_due; /* private */
	float owed;          /* private: seconds of pause that were too short to take */
	struct listener
	    *server; /* ro: who accepted it, NULL for others; valid while listed there */
	struct conn *next, **link;  /* private: the loop's list; link is NULL when not in it */
	struct conn_secret *secret; /* private: of the transport that encrypts */
	uint32_t serial;            /* ro: distinct, and all but surely among processes too */
	uint32_t born;              /* ro: tick */
};

/* What a transport with a handshake keeps for a connection begins so. */
struct conn_secret {
	uint8_t transport; /* enum transport_kind */
};

static inline const struct transport *conn_transport(const struct conn *conn)
{
	return transports[conn->transport];
}

/* Makes it CLOSED, with no descriptor. */
void conn_init(struct conn *conn, struct loop *loop);

/* Takes an accepted or otherwise connected fd: OPEN. Does not call ops->connect. */
void conn_accept_take(struct conn *conn, int fd, enum conn_class klass);

/* Its place among those of its address (limits.h), left when it closes. Before conn_accept_take. */
void conn_set_peer(struct conn *conn, struct limits_peer *peer);

/* Takes an fd that may still be connecting: CONNECTING until it is writable. */
void conn_adopt_take(struct conn *conn, int fd, enum conn_class klass);

/* Changes to the transport of `secret`, which begins with a handshake and frees it in its fini.
 * Before accept or adopt: ops->connect comes after the handshake. On an open connection (STARTTLS):
 * what is queued is sent first, input that was read ahead ends the connection. -1 with EINVAL if it
 * is changing already or closed. */
int conn_secure_take(struct conn *conn, struct conn_secret *secret);

/* For gc and the end: closes without any callback, best effort for the output. Idempotent. */
void conn_fini(struct conn *conn);

/* Queues bytes: 0; -1 with EPIPE (closing or closed), ENOBUFS (queue full: the connection has been
 * ended with "no space left in buffer", unless writes are held back), ENOMEM. */
int conn_write(struct conn *conn, const void *bytes, size_t n);

/* Sends what waits, then closes; disconnect gets `why` (static storage or NULL). */
void conn_close(struct conn *conn, const char *why);

/* Nothing more will be sent, and the peer is told: under TLS by its close_notify, then by the end
 * of the stream. What the peer sends is still read. What is queued has to have gone. 0; -1 with
 * errno. */
int conn_half_close(struct conn *conn);

/* Closes now, without disconnect. */
void conn_destroy(struct conn *conn);

/* Disconnect with `why`, then destroy; what is queued is lost. */
void conn_fail(struct conn *conn, const char *why);

/* Reading off and on; resume delivers what a pause in mid-read left over in a later turn. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
void conn_pause_for(struct conn *conn, double seconds); /* negative: cancels */

/* Holds output back and lets it go. */
void conn_lock_writes(struct conn *conn);
void conn_unlock_writes(struct conn *conn);

/* size 0 = the setting's. Left-over input is delivered in the new mode. */
void conn_set_mode(struct conn *conn, enum conn_mode mode, size_t size);

/* Once: `seconds` from now (negative: off); the next read goes back to read_timeout. */
void conn_set_read_timeout(struct conn *conn, double seconds);
void conn_set_write_timeout(struct conn *conn, double seconds);

/* The timeout in force when nothing else was said. */
double conn_read_timeout(const struct conn *conn);

/* Bytes that wait in this process; those of them that are corked, borrowed, with how many (0:
 * NULL). */
size_t conn_queued(const struct conn *conn);
const char *conn_corked(const struct conn *conn, size_t *n_r);

/* For conn_release: the last frame of a closed one has gone. */
void conn_released(struct conn *conn);

/* Around anything that calls back and then still needs the connection: a callback may close the
 * very connection that we are reading from. */
static inline void conn_hold(struct conn *conn)
{
	conn->holds++;
}

static inline void conn_release(struct conn *conn)
{
	if (--conn->holds == 0 && conn->state == CONN_CLOSED)
		conn_released(conn);
}

/* "connecting", "open", "closing", "closed"; "client", "peer", "admin". */
const char *conn_state_name(enum conn_state state);
const char *conn_class_name(enum conn_class klass);

/* For loop.c. */
void conn_expire(struct wheel_item *item);

#endif
