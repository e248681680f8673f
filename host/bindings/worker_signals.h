/* Signals in a worker: they are the keeper's business, so a worker only says where they belong. */
#ifndef BINDINGS_WORKER_SIGNALS_H
#define BINDINGS_WORKER_SIGNALS_H

#include <ev.h>

/* Installs handlers for every signal that means something to a host, then unblocks all signals.
 * One that another process sent is one log line; one that the worker sent to itself goes to the
 * keeper; without a keeper it is the verb itself. 0, or -1 with errno. */
int worker_signals_start(struct ev_loop *loop);
void worker_signals_stop(struct ev_loop *loop);

#endif
