/* Why not an ev_timer each: a million added and cancelled are slow by the memory that they touch.
 * With 64 bytes each, and libev's heap that writes into them, one took 550 ns of CPU where it takes
 * 300 with these: 8 bytes of a slot, which tell the place in the heap, and 16 in it. */
#include "net/timer.h"

#include "base/clock.h"
#include "base/slab.h"

#include <ev.h>
#include <math.h>
#include <stdlib.h>

enum {
	ARITY = 4, /* as many entries as a line of the cache holds: the children of one */
	ROOT = 3,  /* so that they begin with one */
	FIRST_SIZE = 64,
	MOST = 1 << 30,
};

static const double LONGEST = 1e9; /* seconds */

struct entry {
	double at; /* monotonic */
	uint32_t slot;
	bool marked;
};

struct slot {
	uint32_t generation; /* odd while alive */
	uint32_t place;      /* alive: in the heap, 0 = it fires; else the next free slot + 1 */
};

struct timers {
	struct loop *loop;
	timer_fire_fn *fire;
	timer_drop_fn *drop;
	void *data;
	struct entry *heap; /* from ROOT to `end` */
	struct slot *slots;
	uint32_t heap_size, slots_size;
	uint32_t end, n_slots, pending;
	uint32_t free;      /* slot + 1, 0 = none */
	struct entry fires; /* whose callback runs; slot TIMER_NO_SLOT: nobody's */
	bool stopped;       /* that one */
	double armed;       /* when `wake` comes: the root's time or earlier */
	ev_timer wake;
};

/* ---- the heap ---- */

static void put(struct timers *ts, uint32_t i, struct entry e)
{
	ts->heap[i] = e;
	ts->slots[e.slot].place = i;
}

static uint32_t parent_of(uint32_t i)
{
	return (i - ROOT - 1) / ARITY + ROOT;
}

static void go_up(struct timers *ts, uint32_t i, struct entry e)
{
	while (i > ROOT) {
		uint32_t parent = parent_of(i);

		if (!(e.at < ts->heap[parent].at))
			break;
		put(ts, i, ts->heap[parent]);
		i = parent;
	}
	put(ts, i, e);
}

static void go_down(struct timers *ts, uint32_t i, struct entry e)
{
	for (;;) {
		uint32_t child = (i - ROOT) * ARITY + ROOT + 1, least = child;
		uint32_t after = child + ARITY < ts->end ? child + ARITY : ts->end;

		if (child >= ts->end)
			break;
		while (++child < after)
			if (ts->heap[child].at < ts->heap[least].at)
				least = child;
		if (!(ts->heap[least].at < e.at))
			break;
		put(ts, i, ts->heap[least]);
		i = least;
	}
	put(ts, i, e);
}

/* An entry comes to where another was. */
static void settle(struct timers *ts, uint32_t i, struct entry e)
{
	if (i > ROOT && e.at < ts->heap[parent_of(i)].at)
		go_up(ts, i, e);
	else
		go_down(ts, i, e);
}

static void take_out(struct timers *ts, uint32_t slot)
{
	uint32_t i = ts->slots[slot].place;
	struct entry last = ts->heap[--ts->end];

	ts->slots[slot].place = 0;
	if (i != ts->end)
		settle(ts, i, last);
}

/* ---- slots ---- */

static uint64_t id_of(const struct timers *ts, uint32_t slot)
{
	return (uint64_t)ts->slots[slot].generation << 32 | slot;
}

/* NULL: not alive. */
static struct slot *find(const struct timers *ts, uint64_t id)
{
	uint32_t slot = TIMER_SLOT(id);
	struct slot *s;

	if (slot >= ts->n_slots)
		return NULL;
	s = &ts->slots[slot];
	return (s->generation & 1) && s->generation == id >> 32 ? s : NULL;
}

static void give_slot(struct timers *ts, uint32_t slot)
{
	struct slot *s = &ts->slots[slot];

	s->generation++;
	s->place = ts->free;
	ts->free = slot + 1;
	ts->pending--;
}

/* Twice as large. The array, or NULL and it is as it was. */
static void *grow(void *array, uint32_t *size, size_t each)
{
	uint32_t more = *size ? *size * 2 : FIRST_SIZE;

	if (more > MOST)
		return NULL;
	array = array ? slab_resize(array, *size * each, more * each) : slab_new(more * each);
	if (array)
		*size = more;
	return array;
}

/* Room for one more alive, and in the heap for all that are. */
static bool make_room(struct timers *ts)
{
	struct entry *heap;
	struct slot *slots;

	if (ts->free)
		return true;
	if (ts->n_slots + ROOT >= ts->heap_size) {
		heap = grow(ts->heap, &ts->heap_size, sizeof *heap);
		if (!heap)
			return false;
		ts->heap = heap;
	}
	if (ts->n_slots >= ts->slots_size) {
		slots = grow(ts->slots, &ts->slots_size, sizeof *slots);
		if (!slots)
			return false;
		ts->slots = slots;
	}
	return true;
}

/* ---- time ---- */

/* libev counts from the begin of the turn. A root that is stopped or moves later leaves `wake` as
 * it is: it comes for nothing, once. */
static void arm(struct timers *ts)
{
	struct ev_loop *ev = ts->loop->ev;
	double after;

	ev_timer_stop(ev, &ts->wake);
	ts->armed = INFINITY;
	if (ts->end == ROOT)
		return;
	ts->armed = ts->heap[ROOT].at;
	after = ts->armed - ts->loop->turned_at;
	ev_timer_set(&ts->wake, after > 0 ? after : 0, 0);
	ev_timer_start(ev, &ts->wake);
}

/* From the call on, however long this turn has been. */
static void place(struct timers *ts, struct entry e, double delay)
{
	uint32_t i = ts->slots[e.slot].place;

	if (!(delay > 0))
		delay = 0;
	else if (delay > LONGEST)
		delay = LONGEST;
	e.at = clock_monotonic() + delay;
	if (i)
		settle(ts, i, e);
	else
		go_up(ts, ts->end++, e);
	if (e.at < ts->armed)
		arm(ts);
}

static void fire_root(struct timers *ts)
{
	struct loop *loop = ts->loop;
	struct entry e = ts->heap[ROOT];
	double again;

	take_out(ts, e.slot);
	ts->fires = e;
	ts->stopped = false;
	loop_enter(loop);
	again = ts->fire(ts->data, id_of(ts, e.slot), e.marked);
	ts->fires.slot = TIMER_NO_SLOT;
	if (!ts->stopped && again >= 0) {
		place(ts, e, again);
	} else if (!ts->slots[e.slot].place) { /* nor moved by its own callback */
		give_slot(ts, e.slot);
		ts->drop(ts->data, e.slot, e.marked);
	}
	loop_leave(loop);
}

/* What this turn adds is not before its begin: it waits for the next. */
static void on_wake(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct timers *ts = w->data;

	(void)ev;
	(void)revents;
	while (ts->end > ROOT && ts->heap[ROOT].at < ts->loop->turned_at)
		fire_root(ts);
	arm(ts);
}

/* ---- from outside ---- */

struct timers *timers_new(
    struct loop *loop, timer_fire_fn *fire, timer_drop_fn *drop_fn, void *data)
{
	struct timers *ts = calloc(1, sizeof *ts);

	if (!ts)
		return NULL;
	ts->loop = loop;
	ts->fire = fire;
	ts->drop = drop_fn;
	ts->data = data;
	ts->end = ROOT;
	ts->fires.slot = TIMER_NO_SLOT;
	ts->armed = INFINITY;
	ev_timer_init(&ts->wake, on_wake, 0, 0);
	ts->wake.data = ts;
	return ts;
}

void timers_free(struct timers **timers)
{
	struct timers *ts = *timers;

	if (!ts)
		return;
	ev_timer_stop(ts->loop->ev, &ts->wake);
	if (ts->heap)
		slab_free(ts->heap, ts->heap_size * sizeof *ts->heap);
	if (ts->slots)
		slab_free(ts->slots, ts->slots_size * sizeof *ts->slots);
	free(ts);
	*timers = NULL;
}

uint32_t timer_next_slot(struct timers *ts)
{
	if (!make_room(ts))
		return TIMER_NO_SLOT;
	return ts->free ? ts->free - 1 : ts->n_slots;
}

uint64_t timer_add(struct timers *ts, double delay, bool marked)
{
	uint32_t slot = ts->free ? ts->free - 1 : ts->n_slots;
	struct slot *s = &ts->slots[slot];

	if (ts->free)
		ts->free = s->place;
	else
		ts->slots[ts->n_slots++] = (struct slot){0};
	s->generation++;
	s->place = 0;
	ts->pending++;
	place(ts, (struct entry){.slot = slot, .marked = marked}, delay);
	return id_of(ts, slot);
}

enum timer_stop timer_stop(struct timers *ts, uint64_t id)
{
	struct slot *s = find(ts, id);
	uint32_t slot = TIMER_SLOT(id);
	bool marked;

	if (!s)
		return TIMER_UNKNOWN;
	if (slot == ts->fires.slot) {
		ts->stopped = true;
		if (s->place)
			take_out(ts, slot);
		return TIMER_FIRING;
	}
	marked = ts->heap[s->place].marked;
	take_out(ts, slot);
	give_slot(ts, slot);
	return marked ? TIMER_STOPPED_MARKED : TIMER_STOPPED;
}

bool timer_reschedule(struct timers *ts, uint64_t id, double delay)
{
	struct slot *s = find(ts, id);

	if (!s)
		return false;
	if (TIMER_SLOT(id) == ts->fires.slot)
		ts->stopped = false;
	place(ts, s->place ? ts->heap[s->place] : ts->fires, delay);
	return true;
}

size_t timers_pending(const struct timers *ts)
{
	return ts->pending;
}
