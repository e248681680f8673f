/* The loop: libev's epoll backend, the buffers that all connections share, and the end of a turn.
 *
 * A turn: wait; deliver events, each between loop_enter and loop_leave, and behind the others those
 * of plain connections that can be read, up to GROUP_MOST of them at once; then, before the next
 * wait, the nextticks. What callbacks write is corked and leaves at the outermost loop_leave, one
 * send for each connection; what is written while corks are flushed, or outside any callback,
 * leaves before the next wait. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "net/cork.h"
#include "net/lag.h"
#include "net/settings.h"
#include "net/urgent.h"
#include "net/wheel.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct conn;
struct conn_ops;
struct listener;
struct limits;

enum { LOOP_BUFFER = 65536, READS_MOST = 256, GROUP_MOST = 16 };

/* A connection that has been read and not delivered yet. */
struct conn_read {
	struct conn *conn; /* held */
	const char *bytes;
	size_t n;
	int stream; /* what is known of the stream behind these bytes */
	bool heard; /* its owner hears of that with them */
};

/* Connections that have become readable in this turn, taken up in groups in one call of ops->reads:
 * see conn_in.c, and conn.h. */
struct conn_reads {
	struct conn *conn; /* whose turn it is; NULL: none */
	const char *bytes; /* what came: n bytes */
	size_t n;
	const char *err; /* as that of ops->incoming */

	/* private: of conn_in.c */
	char *buffer; /* LOOP_BUFFER bytes: of the group */
	struct conn_read group[GROUP_MOST];
	unsigned next, got; /* of the group */
	unsigned most;      /* so many make a group: 1 to GROUP_MOST */
	int stream;         /* of conn */
	double began;       /* when the group's first callback began; 0: there is no group */
	double looked;      /* the coarse clock, as the group last saw it */
	unsigned done, listed;
	struct conn *list[READS_MOST]; /* held */
};

typedef void loop_tick_fn(void *data, intptr_t number);

struct loop {
	struct ev_loop *ev;           /* ro */
	char *rbuf;                   /* LOOP_BUFFER bytes; valid between a receive and the next */
	struct net_settings settings; /* ro: see loop_set */
	struct limits *limits;        /* of accepted connections */
	const struct conn_ops *ops;   /* of all connections; written by the binding */
	bool hears_drain;             /* some owner wants ops->predrain or drain; see there */
	struct conn *conns;           /* every open connection */
	struct listener *listeners;   /* every listener that is not closed */
	size_t open_conns;            /* ro */
	uint32_t tick;                /* ro: now, as of the begin of this turn */
	uint32_t read_ticks;          /* ro: settings.read_timeout in ticks */
	int spare_fd;                 /* given up for a moment when descriptors run out */
	int epoll_fd;                 /* private: libev's own, or -1 */
	struct lag lag;               /* of turns, from the end of the wait to the next */

	/* private */
	struct cork cork;
	struct conn_reads reads;
	struct wheel wheel;
	ev_timer wheel_timer;
	uint32_t wheel_due; /* the tick at which wheel_timer fires, while it is active */
	ev_prepare prepare;
	ev_check check;
	ev_idle idle;
	struct loop_tick *ticks;
	size_t n_ticks, cap_ticks;
	double born; /* monotonic; tick 1 of the wheel */
	double born_real;
	double turned_at; /* monotonic: when libev read its clock for this turn */
	uint32_t
	    serials; /* the last connection's; begins anywhere, for other workers have some too */
	unsigned depth;
	uint64_t events; /* callbacks so far */
	bool quitting, running, leaving, turning;
	ev_io *urgent[URGENT_MOST]; /* of urgent.c, as the next three */
	int n_urgent;
	long looked; /* the tick of the last look */
	bool looking;
};

/* The loop of this process, made at the first call; NULL when that fails (errno). Never libev's
 * default loop. */
struct loop *loop_main(void);

/* Ends the process's loop: every connection and listener is closed without a callback. */
void loop_main_free(void);

/* Puts new settings in force. */
void loop_set(struct loop *loop, const struct net_settings *settings);

/* Runs until loop_quit. -1 with EBUSY inside a callback of this loop. */
int loop_run(struct loop *loop);

/* One turn that does not wait: 1 if anything happened, else 0; -1 with EBUSY inside a callback. */
int loop_step(struct loop *loop);

/* true: loop_run returns after this turn; false: it does not. */
void loop_quit(struct loop *loop, bool quit);

/* true: quits as soon as no connection and no listener is open; false: takes it back. */
void loop_leave_when_empty(struct loop *loop, bool leave);

/* Delivers what is pending now: a turn without its wait. */
void loop_deliver(struct loop *loop);

/* fn(data, number) before the loop waits again; after it those of the same turn. -1 with ENOMEM. */
int loop_nexttick(struct loop *loop, loop_tick_fn *fn, void *data, intptr_t number);

/* conn_in.c: reads the connections that are listed; whether there was one. For loop.c. */
bool conn_read_listed(struct loop *loop);

/* conn_out.c: sends what callbacks have written. For loop_leave and loop.c. */
void conn_flush_dirty(struct loop *loop);
void conn_flush_later(struct loop *loop);

/* Around every callback from libev: corks, counts. */
static inline void loop_enter(struct loop *loop)
{
	loop->depth++;
	loop->events++;
}

static inline void loop_leave(struct loop *loop)
{
	if (loop->depth == 1 && loop->cork.dirty)
		conn_flush_dirty(loop);
	if (--loop->depth == 0 && loop->n_urgent)
		urgent_look(loop);
}

/* Seconds since libev read its clock: it counts a timer's delay from then, and a long callback has
 * moved the present on. Monotonic: the wall clock may be set meanwhile. */
double loop_late(const struct loop *loop);

/* Now, in ticks of the wheel (10 ms, never 0), fresh. */
uint32_t loop_tick_now(const struct loop *loop);

/* `after` seconds in ticks, rounded up; 0 for never (0, infinite). */
uint32_t loop_ticks_in(double after);

/* The tick `after` seconds from now, rounded up. */
uint32_t loop_tick_after(const struct loop *loop, double after);

/* Puts an item of the wheel at a tick and sees to it that the loop wakes for it. */
void loop_deadline(struct loop *loop, struct wheel_item *item, uint32_t due);

/* Takes fd out of epoll at once: for a socket that another process holds too, closing it does not.
 */
void loop_forget_fd(struct loop *loop, int fd);

#endif
