/* How long a turn of the loop takes: as long as that, a new event may have to wait.
 *
 * A histogram in two windows of LAG_WINDOW seconds, the current one and the one before, so that a
 * percentile speaks of the last half to whole minute. No memory but its own, one addition a turn.
 */
#ifndef NET_LAG_H
#define NET_LAG_H

#include <stdint.h>

enum { LAG_WINDOW = 30, LAG_BUCKETS = 100 };

struct lag {
	double since; /* private: begin of the current window */
	uint32_t current[LAG_BUCKETS], before[LAG_BUCKETS]; /* private */
	uint64_t all[LAG_BUCKETS], turns; /* private; turns: ro, since the start */
	double sum;                       /* ro: seconds of them together */
};

/* Notes a turn that took `seconds` and ended at `now` (any clock, always the same). */
void lag_add(struct lag *lag, double seconds, double now);

/* The time that 99 % of the turns kept within, in seconds, to about a fifth; 0 without turns. */
double lag_p99(const struct lag *lag);

/* How many turns since the start kept within `seconds`, a power of two of microseconds. */
uint64_t lag_within(const struct lag *lag, double seconds);

#endif
