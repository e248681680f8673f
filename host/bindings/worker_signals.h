/* Signals in a worker: they are the keeper's business, so a worker only says where they belong. */
#ifndef BINDINGS_WORKER_SIGNALS_H
#define BINDINGS_WORKER_SIGNALS_H

#include <ev.h>

/* Installs handlers for every signal that means something to a host, then unblocks all signals.
 * One that another process sent is one log line; one that the worker sent to itself goes to the
 * keeper; without a keeper it is the verb itself. 0, or -1 with errno. */
int worker_signals_start(struct ev_loop *loop);
void worker_signals_stop(struct ev_loop *loop);

/* What runs from now on, for the case that it never returns: when the keeper ends this worker for
 * its missing beat (SIGABRT), `line` is logged, and `report` written to the file `path` (temp +
 * rename; NULL: none). Copied; what is too long is cut (line) or left out (report). line NULL:
 * nothing that could be blamed runs. */
void worker_signals_blame(const char *line, const char *report, const char *path);

#endif
