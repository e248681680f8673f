/* A listening socket: accepts in batches, sheds at limits, has a gate, and closes without losing
 * anybody.
 *
 *   listener_serve ──> OPEN <──> SHUT          the gate: the watcher stops, the socket stays
 *                        │         │
 *                        v  listener_close     filter for new SYNs (TCP), path moved away (Unix)
 *                     CLOSING ──> OPEN         listener_abort, until the 2 ms are over
 *                        │ 2 ms: accept until there is nobody left, shutdown() for every dup
 *                        v
 *                     CLOSED                   ops->closed
 *
 * Plain close(2) would reset whoever waits in the queue (47 of 48 under 20,000 connects a second).
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/addr.h"
#include "net/conn.h"
#include "net/loop.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct listener;
struct limits_peer;

enum listener_state { LISTENER_OPEN, LISTENER_SHUT, LISTENER_CLOSING, LISTENER_CLOSED };

struct listener_ops {
	/* A newcomer; takes fd and, unless NULL, the peer's place (conn->peer) as well. */
	void (*accepted)(struct listener *listener, int fd, struct limits_peer *peer);
	void (*closed)(struct listener *listener); /* state is CLOSED, fd -1 */
	void (*released)(
	    struct listener *listener); /* CLOSED, and the last accepted connection has gone */
};

struct listener {
	ev_io io;          /* io.fd: ro, -1 when closed */
	ev_timer timer;    /* private: pause after EMFILE, the 2 ms of a close */
	struct loop *loop; /* ro */
	const struct listener_ops *ops;
	struct listener *next, **link; /* private */
	enum listener_state state;     /* ro */
	enum conn_class klass;         /* ro */
	bool tcp;                      /* ro */
	bool gate_open;                /* ro: what was asked for, also while closing */
	bool waited;                   /* private: a pause for the others has just ended */
	bool secure;                   /* newcomers begin with a handshake */
	char path[sizeof((struct sockaddr_un *)0)->sun_path +
		  16]; /* private: "" if not a Unix path of ours */
	dev_t dev;     /* private: of the path at bind */
	ino_t ino;
	uint64_t accepted, refused; /* ro */
	uint64_t wakeups;           /* ro: how often the loop called it */
	uint64_t current;           /* ro: accepted and not yet closed */
};

/* Makes it CLOSED, with no descriptor. */
void listener_init(struct listener *listener, struct loop *loop, const struct listener_ops *ops);

/* Takes a bound, listening fd. open: accepts at once, else the gate is shut, and the fd may begin
 * to listen later, before the gate opens. own_path: a Unix path may be unlinked at the close. 0, or
 * -1 with errno (not a listening socket); fd is closed then. */
int listener_serve_take(
    struct listener *listener, int fd, enum conn_class klass, bool open, bool own_path);

/* Changes the class of those who come from now on. */
void listener_set_class(struct listener *listener, enum conn_class klass);

/* Opens or shuts the gate. No effect while closing or closed. */
void listener_gate(struct listener *listener, bool open);

/* Begins the close; ops->closed follows. at_once: without the 2 ms (a connect in the middle of its
 * handshake may be reset), ops->closed before it returns. Idempotent. */
void listener_close(struct listener *listener, bool at_once);

/* Takes the close back: true if it was not too late. */
bool listener_abort(struct listener *listener);

/* Lets go of the fd without shutdown(): other holders serve on. ops->closed is called. */
void listener_leave(struct listener *listener);

/* Sets nodelay, keepalive and the like as the settings say; accepted sockets inherit them. */
void listener_options(struct listener *listener);

/* For gc and the end: no callbacks. Idempotent. */
void listener_fini(struct listener *listener);

/* For conn.c: one of its connections has closed. */
void listener_conn_gone(struct listener *listener);

/* "open", "shut", "closing", "closed". */
const char *listener_state_name(enum listener_state state);

#endif
