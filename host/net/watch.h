/* Watches a descriptor that somebody else owns. Closing the watch inside its own callback is safe.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include "net/loop.h"

#include <ev.h>
#include <stdbool.h>

struct watch;
typedef void watch_fn(struct watch *watch, bool readable, bool writable);
typedef void watch_released_fn(struct watch *watch); /* net/ does not point to it any more */

struct watch {
	ev_io io; /* io.fd: ro, -1 when closed */
	struct loop *loop;
	watch_fn *fn;
	watch_released_fn *released;
	unsigned holds; /* private */
};

/* Closed, no descriptor. */
void watch_init(struct watch *watch, struct loop *loop, watch_fn *fn, watch_released_fn *released);

/* Begins to watch. The fd stays the caller's and must stay open until watch_close. */
void watch_open(struct watch *watch, int fd, bool readable, bool writable);

void watch_flags(struct watch *watch, bool readable, bool writable);

/* Idempotent; released follows at once or after the callback that runs. */
void watch_close(struct watch *watch);

/* For gc: no callbacks. */
void watch_fini(struct watch *watch);

#endif
