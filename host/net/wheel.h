/* Coarse deadlines for very many objects: 24 bytes each, no heap, no system call.
 *
 * Three rings of 64 slots (10 ms, 0.64 s, 41 s). An item stands in the slot of a deadline that may
 * have moved later since: whoever expires looks at the true deadline and goes back in if it is not
 * yet due. That makes "push the deadline back" (every read) a store. A deadline that moves earlier
 * must be inserted again. Fires at most two ticks late, never early. */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_LEVELS = 3, WHEEL_SLOTS = 64, WHEEL_TICKS_PER_SECOND = 100 };

struct wheel_item {
	struct wheel_item *next, **link; /* private: link is NULL outside the wheel */
	uint32_t due;                    /* ro: the tick it stands at */
	uint32_t own;                    /* of whoever it belongs to: it would be padding */
};

typedef void wheel_expire_fn(struct wheel_item *item);

struct wheel {
	uint32_t now; /* ro: tick up to which it was advanced */
	wheel_expire_fn
	    *expire; /* item is out of the wheel when called and may be inserted again */
	uint64_t used[WHEEL_LEVELS]; /* private: a bit for each slot that is not empty */
	struct wheel_item *slot[WHEEL_LEVELS][WHEEL_SLOTS]; /* private */
};

void wheel_init(struct wheel *w, uint32_t now, wheel_expire_fn *expire);

/* Puts the item at `due` (a tick; not after now means the next tick), moving it if it is in
 * already. */
void wheel_insert(struct wheel *w, struct wheel_item *item, uint32_t due);

/* Takes the item out; harmless if it is not in. */
void wheel_remove(struct wheel *w, struct wheel_item *item);

/* Advances to tick `now`, calling expire for what is due. */
void wheel_advance(struct wheel *w, uint32_t now);

/* Whether nothing is in it. */
static inline bool wheel_is_empty(const struct wheel *w)
{
	return !(w->used[0] | w->used[1] | w->used[2]);
}

/* Ticks until wheel_advance has something to do; false if the wheel is empty. */
bool wheel_next(const struct wheel *w, uint32_t *ticks_r);

#endif
