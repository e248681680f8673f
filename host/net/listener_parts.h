/* What listener.c and listener_close.c share; nobody else includes this. */
#ifndef NET_LISTENER_PARTS_H
#define NET_LISTENER_PARTS_H

#include "net/listener.h"

/* Accepts up to `budget` newcomers. */
void listener_accept(struct listener *listener, int budget);

/* One connection more, to be followed by listener_conn_gone. */
void listener_conn_came(struct listener *listener);

/* Makes the watcher agree with the state. */
void listener_watch(struct listener *listener);

/* The pause after EMFILE is over, or a step of a close is due. */
void listener_on_timer(struct ev_loop *ev, ev_timer *w, int revents);

/* Takes from a connection that was just accepted what it has inherited from a listener that is
 * about to close, in this process or in another one that shares it. */
void listener_free_newcomer(const struct listener *listener, int fd);

/* Tells the owner when nothing refers to it any more. */
void listener_maybe_released(struct listener *listener);

#endif
