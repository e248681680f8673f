/* A worker whose keeper has died: it serves on, looks for a new keeper, and hands back what the old
 * one held.
 *
 *   (kept) ──EOF──> LOOKING ──connect, ATTACH, HOLD …, ATTACHED──> OFFERED ──ADOPTED──> (kept)
 *                    ^    every 200 ms                               │
 *                    └────────────── refused, EOF ───────────────────┘
 *
 * A timer of the kernel runs from the loss on, so that a loop that hangs ends too; policy (finish
 * after orphan_timeout) is core/orphan.lua's. */
#ifndef BINDINGS_WORKER_ORPHAN_H
#define BINDINGS_WORKER_ORPHAN_H

#include "proc/ipc.h"

/* The channel has ended: from now on there is no keeper, or the one we asked has gone too. */
void orphan_begin(void);

/* A message while there is no keeper. true: it is for everybody else, too. */
bool orphan_heard(const struct ipc_message *m);

/* SIGALRM, with its default action, ends this process in so many seconds unless a keeper adopts it
 * before; a later call moves the end. */
void orphan_end_within(double seconds);

/* For the end of the loop: no more looking; the kernel's timer stays. */
void orphan_stop(void);

#endif
