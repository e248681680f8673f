/* One-shot timers, addressed by numbers that are never used twice while they could be known: a
 * stale number finds nothing. They stand in a heap of their own, and libev knows the first: 24
 * bytes each, in two arrays that grow. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timers;

/* A timer has fired. `slot` is its number's lower half: small, reused, stable for its life;
 * `marked` is as it was added. Returns seconds to fire again, counted from now; negative: it is
 * over. */
typedef double timer_fire_fn(void *data, uint64_t id, bool marked);

/* The slot is free from now on: it has fired for the last time, or was stopped while it fired. */
typedef void timer_drop_fn(void *data, uint32_t slot, bool marked);

struct timers *timers_new(
    struct loop *loop, timer_fire_fn *fire, timer_drop_fn *drop_fn, void *data);

/* Stops all, calls nothing. */
void timers_free(struct timers **timers);

/* Lower half of an id. */
#define TIMER_SLOT(id) ((uint32_t)((id)&0xffffffffu))

#define TIMER_NO_SLOT UINT32_MAX

/* The slot that the next timer_add takes, so that what may fail on the caller's side fails before
 * there is a timer. TIMER_NO_SLOT: no memory. */
uint32_t timer_next_slot(struct timers *ts);

/* Right after timer_next_slot: fires once in `delay` seconds (not before the next turn; negative =
 * 0), the id. `marked` is the caller's own: one bit that he need not look up. */
uint64_t timer_add(struct timers *ts, double delay, bool marked);

enum timer_stop {
	TIMER_UNKNOWN, /* no timer has this id */
	TIMER_FIRING,  /* it is in its own callback, after which it will be dropped */
	TIMER_STOPPED, /* its slot is free, without a call of drop */
	TIMER_STOPPED_MARKED,
};

/* Ends a timer. */
enum timer_stop timer_stop(struct timers *ts, uint64_t id);

/* Fires in `delay` seconds from now instead; in its own callback this is one more life. false if
 * the id is not alive. */
bool timer_reschedule(struct timers *ts, uint64_t id, double delay);

/* How many are waiting. */
size_t timers_pending(const struct timers *ts);

#endif
