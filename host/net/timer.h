/* One-shot timers on libev's heap, addressed by numbers that are never used twice while they could
 * be known: a stale number finds nothing. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timers;

/* A timer has fired. `slot` is its number's lower half: small, reused, stable for its life.
 * Returns seconds to fire again, counted from now; negative: it is over. */
typedef double timer_fire_fn(void *data, uint64_t id, uint32_t slot);

/* timer_drop_fn: slot is free from now on (fired for the last time, or stopped). */
typedef void timer_drop_fn(void *data, uint32_t slot);

struct timers *timers_new(
    struct loop *loop, timer_fire_fn *fire, timer_drop_fn *drop_fn, void *data);

/* Stops all, calls nothing. */
void timers_free(struct timers **timers);

/* Lower half of an id. */
#define TIMER_SLOT(id) ((uint32_t)((id)&0xffffffffu))

/* Fires once in `delay` seconds (not before the next turn; negative = 0): the id, or 0 with ENOMEM.
 */
uint64_t timer_add(struct timers *ts, double delay);

/* false if the id is not alive. During its own callback a timer can be stopped: it does not fire
 * again. */
bool timer_stop(struct timers *ts, uint64_t id);

/* Fires in `delay` seconds from now instead; in its own callback this is one more life. */
bool timer_reschedule(struct timers *ts, uint64_t id, double delay);

/* How many are waiting. */
size_t timers_pending(const struct timers *ts);

#endif
