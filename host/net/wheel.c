#include "net/wheel.h"

#include <stddef.h>
#include <string.h>

enum { BITS = 6, MASK = WHEEL_SLOTS - 1 };

void wheel_init(struct wheel *w, uint32_t now, wheel_expire_fn *expire)
{
	memset(w, 0, sizeof *w);
	w->now = now;
	w->expire = expire;
}

static void place(struct wheel *w, struct wheel_item *item)
{
	uint32_t delta = item->due - w->now, due = item->due;
	unsigned level, index;
	struct wheel_item **head;

	if (delta < WHEEL_SLOTS) {
		level = 0;
	} else if (delta < WHEEL_SLOTS * WHEEL_SLOTS) {
		level = 1;
	} else {
		const uint32_t farthest = (WHEEL_SLOTS - 1) << (2 * BITS);

		level = 2;
		due = w->now + (delta < farthest ? delta : farthest);
	}
	index = (due >> (level * BITS)) & MASK;
	head = &w->slot[level][index];
	item->next = *head;
	if (item->next)
		item->next->link = &item->next;
	item->link = head;
	*head = item;
	w->used[level] |= UINT64_C(1) << index;
}

void wheel_insert(struct wheel *w, struct wheel_item *item, uint32_t due)
{
	wheel_remove(w, item);
	if ((int32_t)(due - w->now) <= 0)
		due = w->now + 1;
	item->due = due;
	place(w, item);
}

void wheel_remove(struct wheel *w, struct wheel_item *item)
{
	struct wheel_item **head = &w->slot[0][0], **link = item->link;

	if (!link)
		return;
	*link = item->next;
	if (item->next)
		item->next->link = link;
	else if (link >= head && link < head + (ptrdiff_t)WHEEL_LEVELS * WHEEL_SLOTS && !*link)
		w->used[(link - head) / WHEEL_SLOTS] &=
		    ~(UINT64_C(1) << ((link - head) % WHEEL_SLOTS));
	item->link = NULL;
	item->next = NULL;
}

/* Takes one item at a time, because expire may remove any other. */
static void empty_slot(struct wheel *w, unsigned level, unsigned index)
{
	struct wheel_item *pending = w->slot[level][index], *item;

	if (!pending)
		return;
	w->slot[level][index] = NULL;
	w->used[level] &= ~(UINT64_C(1) << index);
	pending->link = &pending;
	while ((item = pending)) {
		wheel_remove(w, item);
		if ((int32_t)(item->due - w->now) <= 0)
			w->expire(item);
		else
			place(w, item);
	}
}

/* The next tick at which anything can happen, not after `target`. */
static uint32_t jump(const struct wheel *w, uint32_t target)
{
	uint32_t next = w->now + 1;

	if (!w->used[0])
		next = (w->now | MASK) + 1;
	if (!w->used[0] && !w->used[1])
		next = (w->now | (WHEEL_SLOTS * WHEEL_SLOTS - 1)) + 1;
	return (int32_t)(next - target) > 0 ? target : next;
}

void wheel_advance(struct wheel *w, uint32_t now)
{
	while ((int32_t)(now - w->now) > 0) {
		w->now = jump(w, now);
		if ((w->now & (WHEEL_SLOTS * WHEEL_SLOTS - 1)) == 0)
			empty_slot(w, 2, (w->now >> (2 * BITS)) & MASK);
		if ((w->now & MASK) == 0)
			empty_slot(w, 1, (w->now >> BITS) & MASK);
		empty_slot(w, 0, w->now & MASK);
	}
}

/* Slots from the one after `current` to the next used one, counted from 1. */
static uint32_t next_slot(uint64_t used, uint32_t current)
{
	unsigned shift = (current + 1) & MASK;
	uint64_t turned = (used >> shift) | (shift ? used << (WHEEL_SLOTS - shift) : 0);

	return (uint32_t)__builtin_ctzll(turned) + 1;
}

bool wheel_next(const struct wheel *w, uint32_t *ticks_r)
{
	bool any = false;

	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		uint32_t current = w->now >> (level * BITS), at;

		if (!w->used[level])
			continue;
		at = ((current + next_slot(w->used[level], current)) << (level * BITS)) - w->now;
		if (!any || at < *ticks_r)
			*ticks_r = at;
		any = true;
	}
	return any;
}
