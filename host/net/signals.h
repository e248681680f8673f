/* Signals as events of the loop: the handler writes number and sender to a pipe and does nothing
 * else. */
#ifndef NET_SIGNALS_H
#define NET_SIGNALS_H

#include "net/loop.h"

#include <stdbool.h>
#include <sys/types.h>

/* sender: the pid that sent it, 0 for the kernel's own. */
typedef void signals_fn(void *data, int signo, pid_t sender);

/* Makes the pipe and its watcher, and ignores SIGPIPE; fn hears every watched signal. Once a
 * process; 0, or -1 with errno. */
int signals_open(struct loop *loop, signals_fn *fn, void *data);

/* Installs our handler (a handler, not a blocked mask: exec resets it) and unblocks the signal, or
 * puts the default back. 0, or -1 with errno (EINVAL: cannot be caught). */
int signals_watch(int signo, bool on);

/* Puts every default back and closes the pipe. */
void signals_close(void);

#endif
