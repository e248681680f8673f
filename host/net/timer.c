#include "net/timer.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CHUNK = 256 };

/* 64 bytes: a million of them are written for the first time page by page, which costs more than
 * libev's heap does. */
struct timer {
	ev_timer ev; /* data: struct timers */
	uint32_t slot;
	uint32_t generation; /* odd while alive */
	uint32_t next_free;
	bool firing, stopped;
};

struct timers {
	struct loop *loop;
	timer_fire_fn *fire;
	timer_drop_fn *drop;
	void *data;
	struct timer **chunks;    /* stable addresses: libev's heap points into them */
	size_t n_chunks, pending; /* chunks come in blocks, see block_after */
	uint32_t free;            /* slot + 1, 0 = none */
};

static struct timer *at(const struct timers *ts, uint32_t slot)
{
	return &ts->chunks[slot / CHUNK][slot % CHUNK];
}

static struct timers *owner(const struct timer *t)
{
	return t->ev.data;
}

static uint64_t id_of(const struct timer *t)
{
	return (uint64_t)t->generation << 32 | t->slot;
}

static struct timer *find(const struct timers *ts, uint64_t id)
{
	uint32_t slot = TIMER_SLOT(id);
	struct timer *t;

	if (slot / CHUNK >= ts->n_chunks)
		return NULL;
	t = at(ts, slot);
	return (t->generation & 1) && t->generation == id >> 32 ? t : NULL;
}

static void drop(struct timer *t)
{
	struct timers *ts = owner(t);

	ev_timer_stop(ts->loop->ev, &t->ev);
	t->generation++;
	t->next_free = ts->free;
	ts->free = t->slot + 1;
	ts->pending--;
	ts->drop(ts->data, t->slot);
}

/* libev counts from the begin of its turn; a long callback has moved the present on since. */
static void start(struct timer *t, double delay)
{
	struct ev_loop *ev = owner(t)->loop->ev;
	double late = loop_late(owner(t)->loop);

	ev_timer_stop(ev, &t->ev);
	if (!(delay > 0))
		delay = 0;
	else if (delay > 1e9)
		delay = 1e9;
	ev_timer_set(&t->ev, delay + late, 0);
	ev_timer_start(ev, &t->ev);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct timer *t = (struct timer *)w;
	struct timers *ts = owner(t);
	struct loop *loop = ts->loop;
	double again;

	(void)ev;
	(void)revents;
	loop_enter(loop);
	t->firing = true;
	t->stopped = false;
	again = ts->fire(ts->data, id_of(t), t->slot);
	t->firing = false;
	if (!t->stopped && again >= 0)
		start(t, again);
	else if (t->stopped || !ev_is_active(&t->ev)) /* else rescheduled by its own callback */
		drop(t);
	loop_leave(loop);
}

/* How many chunks come together behind the first `n`: as many again, up to a megabyte. */
static size_t block_after(size_t n)
{
	enum { MOST = 64 };

	return n < 1 ? 1 : n < MOST ? n : MOST;
}

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
	return ts;
}

void timers_free(struct timers **timers)
{
	struct timers *ts = *timers;

	if (!ts)
		return;
	for (size_t at = 0, n; at < ts->n_chunks; at += n) {
		struct timer *block = ts->chunks[at];

		n = block_after(at);
		for (size_t i = 0; i < n * CHUNK; i++)
			ev_timer_stop(ts->loop->ev, &block[i].ev);
		munmap(block, n * CHUNK * sizeof *block);
	}
	free(ts->chunks);
	free(ts);
	*timers = NULL;
}

/* The kernel gives a block in one go: page by page, as they are written to first, the pages of a
 * million timers were a third of what it took to add them (a virtual machine, which needs 16 us a
 * page so and 2 us in a block). */
static struct timer *new_block(size_t chunks)
{
	void *block = mmap(NULL, chunks * CHUNK * sizeof(struct timer), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return block == MAP_FAILED ? NULL : block;
}

static int add_block(struct timers *ts)
{
	size_t n = block_after(ts->n_chunks);
	struct timer **chunks = realloc(ts->chunks, (ts->n_chunks + n) * sizeof *chunks);
	uint32_t first = (uint32_t)ts->n_chunks * CHUNK;
	struct timer *block;

	if (!chunks)
		return -1;
	ts->chunks = chunks;
	block = new_block(n);
	if (!block)
		return -1;
	for (uint32_t i = (uint32_t)n * CHUNK; i-- > 0;) { /* the first is taken first */
		ev_timer_init(&block[i].ev, on_timer, 0, 0);
		block[i].ev.data = ts;
		block[i].slot = first + i;
		block[i].next_free = ts->free;
		ts->free = first + i + 1;
	}
	for (size_t i = 0; i < n; i++)
		chunks[ts->n_chunks++] = block + i * CHUNK;
	return 0;
}

uint64_t timer_add(struct timers *ts, double delay)
{
	struct timer *t;

	if (!ts->free && add_block(ts) < 0)
		return 0;
	t = at(ts, ts->free - 1);
	ts->free = t->next_free;
	ts->pending++;
	t->generation++;
	start(t, delay);
	return id_of(t);
}

bool timer_stop(struct timers *ts, uint64_t id)
{
	struct timer *t = find(ts, id);

	if (!t)
		return false;
	if (t->firing)
		t->stopped = true;
	else
		drop(t);
	return true;
}

bool timer_reschedule(struct timers *ts, uint64_t id, double delay)
{
	struct timer *t = find(ts, id);

	if (!t)
		return false;
	t->stopped = false;
	start(t, delay);
	return true;
}

size_t timers_pending(const struct timers *ts)
{
	return ts->pending;
}
