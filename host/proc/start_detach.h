/* gadwall run --detach: the command returns when the host is ready, or with its status and reason.
 */
#ifndef PROC_START_DETACH_H
#define PROC_START_DETACH_H

#include <stdbool.h>

/* Forks. In the first process: waits until the host is ready or has ended, relaying what it writes
 * to standard error meanwhile; true, with the status to exit with. In the new one, a session of its
 * own: false. */
bool detach_start(int *status_r);

/* In the new one: tells the waiting command, once; a no-op when there is none. */
void detach_done(int status);

#endif
