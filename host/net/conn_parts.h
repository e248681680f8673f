/* What conn.c, conn_in.c and conn_out.c share; nobody else includes this. */
#ifndef NET_CONN_PARTS_H
#define NET_CONN_PARTS_H

#include "net/conn.h"

/* Whether its next read is nothing but a receive and a callback. */
static inline bool conn_reads_plainly(const struct conn *c)
{
	return c->state == CONN_OPEN && c->transport == TRANSPORT_PLAIN && !c->in && !c->paused &&
	       !c->finishing && !c->upgrading && !c->handshaking && !c->datagram && !c->lines;
}

/* Makes libev's interest agree with the state. */
void conn_watch(struct conn *conn);

/* Puts the wheel item at the earliest deadline, if that is earlier than where it stands. */
void conn_arm(struct conn *conn, uint32_t due);

/* Starts the silence clock anew; conn_touch_read counts from the begin of the turn (a store, as a
 * rule). */
void conn_touch(struct conn *conn);
void conn_touch_read(struct conn *conn);

/* No output may go: locked, connecting, in a handshake. */
static inline bool conn_holds_back(const struct conn *c)
{
	return c->locked || c->handshaking || c->state == CONN_CONNECTING;
}

/* conn_secure.c: begins the handshake that conn_secure_take announced, or ends the connection if
 * there are too many; a step of it; its end, good or bad. `at_once`: without waiting for input. */
void conn_handshake_begin(struct conn *conn, bool at_once);
void conn_handshake(struct conn *conn);
void conn_handshake_end(struct conn *conn);

/* Words for an errno of the transport. */
const char *conn_strerror(struct conn *conn, int error);

/* conn_in.c: the socket is readable; the same of one that conn_reads_plainly, which can wait for
 * the end of the turn; left-over input is to be delivered. */
void conn_readable(struct conn *conn);
void conn_list_readable(struct conn *conn);
void conn_feed_leftover(struct conn *conn);

/* conn_out.c: tries to send what waits; may disconnect. */
void conn_flush(struct conn *conn);

/* conn_out.c: sends what it can at once; callbacks are left for later. 0, or -1 with errno. */
int conn_push(struct conn *conn);

/* One last send without waiting; errors are ignored. */
void conn_flush_last(struct conn *conn);

/* Forgets all output. */
void conn_drop_output(struct conn *conn);

#endif
