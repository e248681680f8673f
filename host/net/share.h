/* Workers of one generation that share listeners see each other's counts of connections.
 *
 * All of them watch the same listening sockets, and whoever is quickest would take nearly all
 * long-lived connections (4 : 96 with plain epoll). So a worker that holds more than 1/8 over the
 * mean of those that live shuts its gates for 10 ms, then looks again. It does not wait twice while
 * somebody waits for it: what it finds in the queue after a pause, the others are too busy to take.
 * Of many who come at once it takes no more than leave it a fair share: the others are awake as
 * well. (Taking 64 at a time gave the first of three workers all of 16 that came together.)
 *
 * The counts lie in one page, a file that each worker maps; the keeper knows nothing of it. A
 * worker whose mark has not moved for three seconds does not count. */
#ifndef NET_SHARE_H
#define NET_SHARE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

enum { SHARE_WORKERS = 16 };

/* Seconds for which a gate is shut; how many are let in by a worker with too many, at least, each
 * time that it looks. */
#define SHARE_PAUSE 0.01
enum { SHARE_LEAST = 8 };

struct share_slot {
	uint32_t connections;
	uint32_t mark;     /* milliseconds of the monotonic clock, when it was last seen alive */
	uint32_t room[14]; /* a cache line for each */
};

/* Maps the file (made if it is not there) for worker `me` (1 to SHARE_WORKERS) and begins to mark
 * it as alive. 0, or -1 with errno; ERANGE: too many workers, everything goes on without it. */
int share_open(struct ev_loop *ev, const char *path, unsigned me);

/* Ends it; remove: takes the file away as well. Idempotent. */
void share_close(struct ev_loop *ev, bool remove);

/* So many connections more or less, of all classes but admin. */
void share_add(int n);

/* How many newcomers this worker may take now, at most `most`: 0 when it holds too many already,
 * else as many as leave it with not too many, but one at least. Alone: `most`. */
unsigned share_room(unsigned most);

#endif
